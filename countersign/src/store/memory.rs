//! A store in memory, for tests: the contract without a disk.
