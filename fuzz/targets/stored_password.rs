//! Hands arbitrary octets to the function of this name.

#![no_main]

#[path = "../src/password.rs"]
mod password;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| password::stored(octets));
