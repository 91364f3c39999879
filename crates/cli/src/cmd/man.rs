//! `sunup man`: manual pages, made from the arguments themselves.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::global::Global;
use crate::out;

const EXAMPLES: &str = "\
Examples:
  sunup man /usr/local/share/man/man1         then: man sunup-doctor
  sunup man . && man ./sunup-doctor.1         without installing";

/// Writes manual pages, one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder to write them to; it is made where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: Args, command: clap::Command, global: &Global) -> anyhow::Result<ExitCode> {
    let folder = args.folder;
    let shown = folder.display();
    fs::create_dir_all(&folder).with_context(|| format!("{shown}: can't be made"))?;
    // `sunup help` would have a page for every command once more.
    let command = command.disable_help_subcommand(true);
    clap_mangen::generate_to(command, &folder)
        .with_context(|| format!("{shown}: can't be written to"))?;
    out::note(global, &format!("pages are in {shown}"));
    Ok(ExitCode::SUCCESS)
}
