//! Retransmissions: the same request gets the same answer (RFC 5080 §2.2.2).
