//! Certificates: prepared, linted, signed elsewhere, completed (RFC 5280).
