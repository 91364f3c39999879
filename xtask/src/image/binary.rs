//! The binary for an image: one file that needs no library, with little to do before it runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Static, so that no library has to be in the image, nor be mapped by each of its pods. Still at a
/// random address, but with its relocations in their packed form: those of a plain binary take a
/// megabyte, all of which is read at each start. What starts the program is linked into it, so that
/// no system is too old to know that form.
const FLAGS: &[&str] = &["-Ctarget-feature=+crt-static", "-Clink-arg=-Wl,-z,pack-relative-relocs"];

/// Where cargo builds it, apart from everyday builds: flags of its own make all crates other ones.
const BUILT: &str = "target/image/build";
/// Where it is kept.
const KEPT: &str = "target/image/sunup";

/// Builds the binary for `triple`, or for this machine's kind of machine; where it is.
pub(super) fn build(root: &Path, triple: Option<&str>) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = root.join(BUILT);
    let mut command = Command::new(cargo);
    command.current_dir(root).env("CARGO_TARGET_DIR", &built);
    // With a target named, flags are those of the program alone: macros and build scripts, which
    // run here, have to be loaded as libraries.
    let triple = match triple {
        Some(triple) => triple.to_owned(),
        None => host()?,
    };
    command.args(["build", "--release", "--locked", "-p", "sunup-cli", "--bin", "sunup"]);
    command.args(["--target", &triple]);
    let places = places(root, &built)?;
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(&places).join("\u{1f}"));
    command.env("CFLAGS", c_flags(&places));
    anyhow::ensure!(command.status()?.success(), "the binary could not be built");
    let (made, kept) = (built.join(&triple).join("release/sunup"), root.join(KEPT));
    std::fs::copy(&made, &kept).with_context(|| format!("{} to {KEPT}", made.display()))?;
    Ok(kept)
}

/// Where the build's files lie, and what they are called instead, so that a panic's message, and
/// with it the binary, is the same wherever it is built. Of several that fit the last one counts.
fn places(root: &Path, built: &Path) -> anyhow::Result<Vec<(PathBuf, &'static str)>> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir().context("no home folder, and no CARGO_HOME")?.join(".cargo"),
    };
    Ok(vec![(home, "/cargo"), (root.to_path_buf(), "/sunup"), (built.to_path_buf(), "/built")])
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
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("rustc -vV")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}
