//! libFuzzer target: `http2_front::http2_front`.

#![no_main]

#[path = "../../tests/fuzz/http2_front.rs"]
mod http2_front;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| http2_front::http2_front(bytes));
