//! libFuzzer target: `properties::response_head`.

#![no_main]

#[path = "../../tests/fuzz/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::response_head(bytes));
