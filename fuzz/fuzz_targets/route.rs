//! libFuzzer target: `properties::route`.

#![no_main]

#[expect(dead_code, reason = "each target checks one property of several")]
#[path = "../../tests/fuzz/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::route(bytes));
