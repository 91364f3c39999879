//! What git knows of the repository. Must not know what for.

use std::path::Path;
use std::process::Command;

/// What git says of the repository, if it is one.
pub(super) fn git(repository: &Path, arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    git.current_dir(repository).args(arguments).env("TZ", "UTC");
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
