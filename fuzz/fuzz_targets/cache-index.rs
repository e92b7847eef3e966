#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| overinterp_fuzz::cache_index(bytes));
