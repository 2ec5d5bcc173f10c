//! The embedded store: records in redb, counters in a journal.
