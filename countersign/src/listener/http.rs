//! HTTP: connections, limits, routing.
