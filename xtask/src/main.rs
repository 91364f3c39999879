//! The project's own chores, as typed and tested code: `cargo xtask tidy`, `docs`, `new-rule ID`,
//! `image`, `dist`, `bombs`, `fuzz`.
//!
//! Knows the repository's layout; must not know what the product does.

mod bombs;
mod dist;
mod fuzz;
mod image;
mod new_rule;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["tidy"] => report(tidy::run(&root())),
        ["docs"] => done(docs()),
        ["image", options @ ..] => {
            done(image::Asked::read(options).and_then(|asked| image::run(&root(), &asked)))
        }
        ["dist", options @ ..] => {
            done(dist::Asked::read(options).and_then(|asked| dist::run(&root(), &asked)))
        }
        ["bombs", names @ ..] => done(bombs::run(&root(), names, say)),
        ["fuzz", options @ ..] => {
            done(fuzz::Asked::read(options).and_then(|asked| fuzz::run(&root(), &asked)))
        }
        ["new-rule", id] => done(new_rule::run(&root(), id)),
        _ => {
            say("usage: cargo xtask tidy | docs | new-rule ID | image [OPTIONS] | dist [OPTIONS] \
                 | bombs [NAME…] | fuzz [OPTIONS]");
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

fn done(outcome: anyhow::Result<Vec<String>>) -> ExitCode {
    match outcome {
        Ok(lines) => {
            lines.iter().for_each(|line| say(line));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes `docs`: the tests that compare the pages with their tables can write them too.
fn docs() -> anyhow::Result<Vec<String>> {
    const WRITERS: [[&str; 3]; 2] = [
        ["sunup-doctor", "doctor", "every_rule_has_its_page"],
        ["sunup-intake", "intake", "the_page_about_forms_is_the_table"],
    ];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for [package, target, test] in WRITERS {
        let mut command = std::process::Command::new(&cargo);
        command.current_dir(root()).env("SUNUP_BLESS", "1");
        command.args(["test", "-q", "-p", package, "--test", target, test]);
        anyhow::ensure!(command.status()?.success(), "the pages could not be written");
    }
    Ok(vec!["docs is up to date".to_owned()])
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
