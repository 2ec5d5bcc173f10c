//! Sign: a checked certificate request leaves with the RA's signature.
