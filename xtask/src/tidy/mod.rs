//! What rustc, clippy and rustfmt do not look at: which crate may use which, that files of a crate
//! form no circle, what dependencies bring along, that every file says what it is, and that
//! documents name things that exist.
//!
//! Runs as an ordinary test too, so that nothing is found only in CI.

mod crates;
mod documents;
mod layout;
mod policy;
mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// All checks; each problem is one line that starts with its place.
///
/// # Errors
/// Where a check could not be made at all.
pub(crate) fn run(root: &Path) -> anyhow::Result<Vec<String>> {
    let files = tracked(root)?;
    let metadata = metadata(root)?;
    let mut problems = crates::check(&metadata)?;
    problems.extend(policy::check(root, &metadata, &built(root)?)?);
    problems.extend(layout::check(root, &files)?);
    problems.extend(sources::check(root, &files)?);
    problems.extend(documents::check(root, &files)?);
    Ok(problems)
}

/// The repository's files relative to its root: those git knows, else (an unpacked archive) all
/// that are not built.
fn tracked(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = Command::new("git").current_dir(root).args(["ls-files", "-z"]).output();
    if let Ok(listed) = listed
        && listed.status.success()
        && !listed.stdout.is_empty()
    {
        let names = String::from_utf8(listed.stdout).context("file names are UTF-8")?;
        let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
        return Ok(files.filter(|file| root.join(file).is_file()).collect());
    }
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let built = ["target", ".git"].iter().any(|name| path.ends_with(name));
            if path.is_dir() && !built {
                folders.push(path);
            } else if path.is_file() {
                files.push(path.strip_prefix(root)?.to_path_buf());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What cargo says of the workspace and its dependencies on this platform.
fn metadata(root: &Path) -> anyhow::Result<serde_json::Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = Command::new("rustc").arg("-vV").output().context("rustc")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("host")?;
    let ask = |offline: bool| {
        let mut command = Command::new(&cargo);
        command.current_dir(root).args(["metadata", "--format-version=1", "--locked"]);
        // Dependencies of other platforms need not be on this machine.
        command.args(["--filter-platform", host]);
        if offline {
            command.arg("--offline");
        }
        command.output()
    };
    let mut output = ask(true)?;
    if !output.status.success() {
        output = ask(false)?;
    }
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("cargo metadata prints JSON")
}

/// Packages that are really built, as `name vVERSION`. `cargo metadata` also lists dependencies
/// that only a feature nobody turns on would bring (`dep?/feature`), `cargo tree` doesn't.
fn built(root: &Path) -> anyhow::Result<std::collections::BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(&cargo)
        .current_dir(root)
        .args(["tree", "--workspace", "--locked", "--prefix=none", "--format={p}"])
        .args(["--edges=normal,build,dev", "--quiet"])
        .output()
        .context("cargo tree")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let first_two = |line: &str| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?))
    };
    Ok(text.lines().filter_map(first_two).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        let problems = super::run(&crate::root()).expect("the checks can be made");
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}
