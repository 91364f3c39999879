//! `sunup redact`: a copy of evidence that can be shared.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::global::Global;
use crate::out;

const PROMISES: &str = "\
What it promises:
  Of objects, entries and tables only those fields keep their values that the doctor reads or that
  hold words of Kubernetes' own (kinds, reasons, times, ports); any other value is replaced, and so
  it is wherever else it stands. Of environment, ConfigMaps, Secrets, arguments, labels, annotations
  and images only the mesh's own stay; remarks in YAML are left out.
  In free text (logs, messages, sessions) these are replaced: what such fields held, names of
  objects, addresses, hosts, mail addresses, and what has the form of a secret: keys, tokens,
  cookies, passwords in URLs, options and settings; also where its name stands in a line above
  (blocks, quotes, the input of a command), behind escapes, or across the cut of a long line.
  What is packed is refused, what is no text is left out. The copy is for you alone (0700).

What it does not promise:
  A secret in free text that no field holds and that has no form; people's names, telephone
  numbers; what can be reckoned from times, ports, counts and the order of what happened.
  A fault that lies in the letters of a name (its length, its place in an order) may come or go.
  Read what you send.

Examples:
  sunup redact dump/ shared/                  then read shared/ before you send it
  sunup doctor shared/                        gives the findings that dump/ gives";

/// Copies evidence with tokens, values, addresses and names replaced
///
/// The same text becomes the same stand-in in every file; addresses of one network stay in one
/// network; loopback, ports and names that every mesh has stay as they are. The doctor reads the
/// copy back to the same findings.
#[derive(Debug, clap::Args)]
#[command(after_help = PROMISES)]
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
    let copied = crate::redact::copy(&args.from, &args.to)?;
    if let Some((name, why)) = copied.left_out.first() {
        let more = match copied.left_out.len() {
            1 => String::new(),
            all => format!("; {} more were left out likewise", all - 1),
        };
        out::note(global, &format!("{name} was left out: {why}{more}"));
    }
    let words = if copied.files == 1 { "file is" } else { "files are" };
    out::note(global, &format!("{} {words} in {}", copied.files, args.to.display()));
    Ok(ExitCode::SUCCESS)
}
