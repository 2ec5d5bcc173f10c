//! Renew: the signing certificate, at half of its life.
