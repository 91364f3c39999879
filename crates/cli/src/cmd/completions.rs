//! `sunup completions`: what a shell completes, made from the arguments themselves.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::global::Global;
use crate::out;

const EXAMPLES: &str = "\
Examples:
  sunup completions bash > /etc/bash_completion.d/sunup
  sunup completions zsh > \"${fpath[1]}/_sunup\"
  sunup completions fish > ~/.config/fish/completions/sunup.fish
  source <(sunup completions bash)            this shell only";

/// Prints completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(
    args: Args,
    mut command: clap::Command,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "sunup", &mut script);
    out::print(global, &String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
