//! `sunup redact`: a copy of evidence that can be shared.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::global::Global;
use crate::out;

const EXAMPLES: &str = "\
Examples:
  sunup redact dump/ shared/                  then read shared/ before you send it
  sunup doctor shared/                        gives the findings that dump/ gives";

/// Copies evidence with tokens, values, addresses and names replaced
///
/// The same text becomes the same stand-in in every file; addresses of one network stay in one
/// network; loopback, ports and names that every mesh has stay as they are. The doctor reads the
/// copy back to the same findings. What it takes for a secret it knows from the objects among the
/// evidence and by its form, so read what you send.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A folder or a file
    #[arg(value_name = "FROM")]
    from: PathBuf,

    /// A new folder for the copy
    #[arg(value_name = "TO")]
    to: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let files = crate::redact::copy(&args.from, &args.to)?;
    let words = if files == 1 { "file is" } else { "files are" };
    out::note(global, &format!("{files} {words} in {}", args.to.display()));
    Ok(ExitCode::SUCCESS)
}
