//! The fuzz target `fuzz-http`; without a fuzzer it runs the files that are named.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| riptide_fuzz::http(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    riptide_fuzz::replay(riptide_fuzz::http)
}
