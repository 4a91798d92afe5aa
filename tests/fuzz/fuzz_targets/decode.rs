//! Pages through the decoder, and what the reference of its tests makes of them.

#![no_main]

#[path = "../../../core/decode/tests/decode/agreement.rs"]
mod agreement;
#[path = "../../../core/decode/tests/decode/cells.rs"]
mod cells;
#[path = "../../../core/decode/tests/decode/input.rs"]
mod input;
#[path = "../../../core/decode/tests/decode/reference.rs"]
mod reference;
#[path = "../../../core/decode/tests/decode/traces.rs"]
mod traces;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| input::check(bytes));
