//! Plain HTTP: revocation list, CA certificate, health.
