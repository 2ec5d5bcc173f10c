//! Issue: what a valid signing certificate vouches for becomes a logon certificate.
