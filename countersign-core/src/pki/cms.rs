//! CMS SignedData from parts (RFC 5652).
