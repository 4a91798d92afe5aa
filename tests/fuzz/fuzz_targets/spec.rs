//! Specs: what comes of them, and what is said about them.

#![no_main]

#[path = "../../../codegen/tests/mutations/check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::check(bytes);
});
