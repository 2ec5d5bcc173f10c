//! The local socket of the command line.
