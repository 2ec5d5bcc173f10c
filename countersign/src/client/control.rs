//! The command line's side of the local socket.
