//! Certificate requests, PKCS#10 (RFC 2986): read, checked, made.
