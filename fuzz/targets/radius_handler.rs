//! Hands arbitrary octets to the function of this name.

#![no_main]

#[path = "../src/handler.rs"]
mod handler;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| handler::radius(octets));
