//! The EST client: fullcmc for logons, simpleenroll for the RA.
