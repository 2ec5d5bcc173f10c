//! TLS: server keys, and client certificates that are examined, not just demanded.
