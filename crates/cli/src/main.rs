//! The program `sunup`. All of it is the library beside it: a library is compiled while those it
//! needs are still being made into machine code, a program only after them.

fn main() -> std::process::ExitCode {
    sunup_cli::main()
}
