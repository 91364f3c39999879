//! The `sunup` command: reads arguments, puts the other crates together, prints.
//!
//! The only place that prints. It holds no judgement of its own: what a line means, which rule
//! fires and how a file is edited is said by the crates below.

mod apply;
mod cmd;
mod injector;
mod live;
mod out;
mod progress;
mod redact;
mod when;
mod workload;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some((global, outcome)) = cmd::capture::shortcut().or_else(cmd::lab::shortcut) {
        return finish(outcome, &global);
    }
    let cli = cmd::Cli::parse();
    let global = cli.global;
    finish(cmd::run(cli.command, &global), &global)
}

fn finish(outcome: anyhow::Result<ExitCode>, global: &cmd::Global) -> ExitCode {
    match outcome {
        Ok(code) => code,
        // The reader of our output (`head`, `less`) has seen enough: nothing went wrong.
        Err(error) if out::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            out::error(global, &error);
            ExitCode::from(cmd::TROUBLE)
        }
    }
}
