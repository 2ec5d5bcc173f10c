//! Object identifiers of the field, by their names.
