//! libFuzzer target: `properties::request_head`.

#![no_main]

#[path = "../../tests/fuzz/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::request_head(bytes));
