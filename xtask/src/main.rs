//! The project's own chores, as typed and tested code: `cargo xtask tidy`.
//!
//! Knows the repository's layout; must not know what the product does.

mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => report(tidy::run(&root())),
        _ => {
            say("usage: cargo xtask tidy");
            ExitCode::from(2)
        }
    }
}

fn report(outcome: anyhow::Result<Vec<String>>) -> ExitCode {
    match outcome {
        Ok(problems) if problems.is_empty() => {
            say("tidy: nothing to say");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            for problem in &problems {
                say(problem);
            }
            say(&format!("tidy: {} to mend", problems.len()));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("tidy could not be run: {error:#}"));
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stdout, reason = "a chore talks to the terminal")]
fn say(text: &str) {
    println!("{text}");
}

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies one level below the root").to_path_buf()
}
