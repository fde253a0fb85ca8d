//! The `riptide` binary; everything is in the library.
fn main() -> std::process::ExitCode {
    riptide::main()
}
