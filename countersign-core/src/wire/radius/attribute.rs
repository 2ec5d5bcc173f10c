//! Attributes: a checked set, an iterator, a builder (RFC 2865 §5).
