//! The RADIUS client: upstream servers in order, fail-over on silence only.
