//! Administer: accounts, tokens, certificates.
