//! HTTPS requests with a client certificate.
