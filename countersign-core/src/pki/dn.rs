//! Distinguished names: RFC 4514 text, comparison as directories compare.
