//! Authenticate: an attempt in, a verdict out, with nothing accepted before it is durable.
