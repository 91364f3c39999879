//! The `sunup` command: reads arguments, puts the other crates together, prints.
//!
//! The only place that prints. It holds no judgement of its own: what a line means, which rule
//! fires and how a file is edited is said by the crates below.

mod apply;
mod attributes;
mod chart;
mod cmd;
mod fixes;
mod folder;
mod global;
mod injector;
mod keep;
#[cfg(target_os = "linux")]
mod lab;
mod live;
mod out;
mod page;
mod progress;
mod redact;
mod store;
mod when;
mod workload;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use global::{Global, TROUBLE};

/// Runs the command that the process was called with; what it is to end with.
pub fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    let short = cmd::node::shortcut().or_else(cmd::capture::shortcut).or_else(cmd::lab::shortcut);
    #[cfg(target_os = "linux")]
    if let Some((global, outcome)) = short {
        return finish(outcome, &global);
    }
    let command = called();
    if std::env::args_os().len() <= 1 {
        cmd::begin::say(command.get_bin_name().unwrap_or("sunup"));
        return ExitCode::from(TROUBLE);
    }
    call(command.get_matches())
}

/// Runs the command of these arguments, without the program's name, as [`main`] runs those of the process;
/// for who looks at the work from inside the process.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    call(called().get_matches_from([OsString::from("sunup")].into_iter().chain(arguments)))
}

fn call(matches: clap::ArgMatches) -> ExitCode {
    let cli = cmd::Cli::from_arg_matches(&matches);
    let cli = cli.unwrap_or_else(|error| error.exit());
    let global = cli.global;
    finish(cmd::run(cli.command, &global), &global)
}

/// The command by the name it was called by: as `kubectl-sunup` on the PATH it is kubectl's plugin,
/// and its help says what to type then.
///
/// # Sources
/// Kubernetes documentation, "Extend kubectl with plugins".
fn called() -> clap::Command {
    let command = cmd::Cli::command();
    let name = std::env::args_os().next();
    let plugin = name.as_deref().and_then(|name| std::path::Path::new(name).file_stem());
    if plugin.is_some_and(|name| name == "kubectl-sunup") {
        return command.bin_name("kubectl sunup");
    }
    command
}

fn finish(outcome: anyhow::Result<ExitCode>, global: &Global) -> ExitCode {
    match outcome {
        Ok(code) => code,
        // The reader of our output (`head`, `less`) has seen enough: nothing went wrong.
        Err(error) if out::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            out::error(global, &error);
            ExitCode::from(TROUBLE)
        }
    }
}
