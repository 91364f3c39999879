//! The binary for an image: one file that needs no library, with little to do before it runs.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::image::git::git;

/// Static, so that no library has to be in the image, nor be mapped by each of its pods. Still at a
/// random address, but with its relocations in their packed form: those of a plain binary take a
/// megabyte, all of which is read at each start. What starts the program is linked into it, so that
/// no system is too old to know that form.
const FLAGS: &[&str] = &["-Ctarget-feature=+crt-static", "-Clink-arg=-Wl,-z,pack-relative-relocs"];

/// Where cargo builds it, apart from everyday builds: flags of its own make all crates other ones.
const BUILT: &str = "target/image/build";
/// In a folder that clones share, the sources as the last of them had them.
const SOURCES: &str = "sources";
/// Where it is kept.
const KEPT: &str = "target/image/sunup";

/// Builds the binary for `triple`, or for this machine's kind of machine; where it is. With a `shared`
/// folder, outside of this clone, the next clone compiles only what differs.
pub(crate) fn build(
    root: &Path,
    triple: Option<&str>,
    shared: Option<&Path>,
) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = shared.map_or_else(|| root.join(BUILT), Path::to_path_buf);
    let _held = shared.map(held).transpose()?;
    let sources = match shared {
        Some(folder) => mirrored(root, &folder.join(SOURCES))?,
        None => root.to_path_buf(),
    };
    let mut command = Command::new(cargo);
    command.current_dir(sources).env("CARGO_TARGET_DIR", &built);
    // With a target named, flags are those of the program alone: macros and build scripts, which
    // run here, have to be loaded as libraries.
    let triple = match triple {
        Some(triple) => triple.to_owned(),
        None => host()?,
    };
    command.args(["build", "--release", "--locked", "-p", "sunup-cli", "--bin", "sunup"]);
    command.args(["--target", &triple]);
    let places = places(&built)?;
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(&places).join("\u{1f}"));
    command.env("CFLAGS", c_flags(&places));
    anyhow::ensure!(command.status()?.success(), "the binary could not be built");
    let (made, kept) = (built.join(&triple).join("release/sunup"), root.join(KEPT));
    std::fs::create_dir_all(kept.parent().unwrap_or(root))?;
    std::fs::copy(&made, &kept).with_context(|| format!("{} to {KEPT}", made.display()))?;
    Ok(kept)
}

/// A shared folder, for one build at a time.
fn held(folder: &Path) -> anyhow::Result<File> {
    let place = || folder.display().to_string();
    std::fs::create_dir_all(folder).with_context(place)?;
    let lock = File::create(folder.join("lock")).with_context(place)?;
    lock.lock().with_context(place)?;
    Ok(lock)
}

/// The sources, copied to `into`. Cargo goes by the times of files, which in a clone say when it was
/// cloned: a file that is there with the same content keeps its time, and what is made of it is good.
fn mirrored(root: &Path, into: &Path) -> anyhow::Result<PathBuf> {
    let listed = git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = listed.context("to share what is compiled takes a git repository")?;
    let mut kept = BTreeSet::new();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), into.join(name));
        // Deleted, and not yet committed.
        if !from.is_file() {
            continue;
        }
        let bytes = std::fs::read(&from).with_context(|| from.display().to_string())?;
        if std::fs::read(&to).ok().as_ref() != Some(&bytes) {
            std::fs::create_dir_all(to.parent().unwrap_or(into))?;
            std::fs::write(&to, bytes).with_context(|| to.display().to_string())?;
        }
        kept.insert(to);
    }
    only(into, &kept)?;
    Ok(into.to_path_buf())
}

/// Removes all other files below a folder.
fn only(folder: &Path, kept: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            only(&entry.path(), kept)?;
        } else if !kept.contains(&entry.path()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Where the build's files lie, and what they are called instead, so that a panic's message, and
/// with it the binary, is the same wherever it is built. Of several that fit the last one counts. Our
/// own files have no place: cargo names them as they lie in the clone.
fn places(built: &Path) -> anyhow::Result<Vec<(PathBuf, &'static str)>> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir().context("no home folder, and no CARGO_HOME")?.join(".cargo"),
    };
    Ok(vec![(home, "/cargo"), (built.to_path_buf(), "/built")])
}

fn flags(places: &[(PathBuf, &str)]) -> Vec<String> {
    let named =
        places.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    FLAGS.iter().map(|flag| (*flag).to_owned()).chain(named).collect()
}

/// The same for C, whose errors have the names of files in them.
fn c_flags(places: &[(PathBuf, &str)]) -> String {
    let named =
        places.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display()));
    named.collect::<Vec<_>>().join(" ")
}

/// This machine's kind of machine, as rustc calls it.
pub(crate) fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("rustc -vV")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_changed_keeps_its_time_and_what_went_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (clone, into) = (folder.path().join("clone"), folder.path().join("into"));
        let asked = |arguments: &[&str]| git(&clone, arguments).unwrap();
        std::fs::create_dir_all(clone.join("src")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(clone.join(name), text).unwrap();
        asked(&["init", "--quiet"]);
        write(".gitignore", "target\n");
        for name in ["same", "src/changed", "src/gone", "target"] {
            write(name, "before");
        }
        mirrored(&clone, &into).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        for name in ["same", "src/changed"] {
            File::options()
                .write(true)
                .open(into.join(name))
                .unwrap()
                .set_modified(long_ago)
                .unwrap();
        }
        // As in another clone: everything is newer.
        write("same", "before");
        write("src/changed", "after");
        std::fs::remove_file(clone.join("src/gone")).unwrap();
        mirrored(&clone, &into).unwrap();
        let time = |name: &str| into.join(name).metadata().unwrap().modified().unwrap();
        assert_eq!(time("same"), long_ago);
        assert!(time("src/changed") > long_ago);
        assert_eq!(std::fs::read_to_string(into.join("src/changed")).unwrap(), "after");
        assert!(!into.join("src/gone").exists());
        assert!(!into.join("target").exists());
    }
}
