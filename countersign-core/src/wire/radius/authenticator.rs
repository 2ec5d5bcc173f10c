//! Request, Response and Message-Authenticator (RFC 2865 §3, RFC 3579 §3.2).
