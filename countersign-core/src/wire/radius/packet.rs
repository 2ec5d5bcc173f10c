//! The packet: header, reading, writing (RFC 2865 §3).
