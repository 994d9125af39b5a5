//! libFuzzer target: `properties::ipc_frames`.

#![no_main]

#[path = "../../tests/fuzz/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::ipc_frames(bytes));
