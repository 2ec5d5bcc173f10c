//! Revocation lists: prepared, signed elsewhere, completed (RFC 5280 §5).
