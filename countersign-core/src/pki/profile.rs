//! Certificate profiles: as written, and checked.
