//! libFuzzer target: `properties::proxy_header`.

#![no_main]

#[expect(dead_code, reason = "each target checks one property of several")]
#[path = "../../tests/fuzz/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::proxy_header(bytes));
