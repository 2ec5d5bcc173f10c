//! Hiding and unhiding of User-Password (RFC 2865 §5.2).
