//! `sunup lab`: pods run as a kubelet runs them, and the first steps of their processes.

use std::path::Path;
use std::process::ExitCode;

use super::Global;

/// The command by which a container's process begins: not for people.
const INSIDE: &str = "lab-inside";

/// Runs what the lab starts as containers, before the command tree is built: each is started
/// often, and a container's process must have a single thread.
pub(crate) fn shortcut() -> Option<(Global, anyhow::Result<ExitCode>)> {
    let mut args = std::env::args_os().skip(1);
    let code = match args.next()?.to_str()? {
        INSIDE => sunup_lab::become_container(Path::new(&args.next()?)),
        _ => return None,
    };
    let code = ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    Some((Global { color: super::Color::Auto }, Ok(code)))
}
