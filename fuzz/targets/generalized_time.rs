//! Hands arbitrary octets to the function of this name.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| countersign_fuzz::entry::generalized_time(octets));
