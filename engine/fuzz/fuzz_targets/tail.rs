#![no_main]
#![allow(missing_docs, reason = "the macro makes a function of C")]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ringkeep_fuzz::run("tail", input));
