//! Texts with expressions.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    connector_codegen::check_expression(&String::from_utf8_lossy(bytes));
});
