//! The EST listener (RFC 7030): cacerts, simpleenroll for the RA, fullcmc for logons.
