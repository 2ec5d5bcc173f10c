//! Connections without a server.
