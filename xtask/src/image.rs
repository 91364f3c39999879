//! The binary for an image: one file that needs no library, with little to do before it runs.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// Static, so that no library has to be in the image, nor be mapped by each of its pods. Still at a
/// random address, but with its relocations in their packed form: those of a plain binary take a
/// megabyte, all of which is read at each start. What starts the program is linked into it, so that
/// no system is too old to know that form.
const FLAGS: &[&str] = &["-Ctarget-feature=+crt-static", "-Clink-arg=-Wl,-z,pack-relative-relocs"];

/// Where cargo puts the binary, and where this one is kept.
const MADE: &str = "target/release/sunup";
const KEPT: &str = "target/image/sunup";

/// Links the release build once more, for this machine's kind of machine.
pub(crate) fn run(root: &Path) -> anyhow::Result<Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root);
    // Of the last step alone: libraries are the same ones, and macros have to be loaded.
    command.args(["rustc", "--release", "--locked", "-p", "sunup-cli", "--bin", "sunup", "--"]);
    command.args(FLAGS);
    anyhow::ensure!(command.status()?.success(), "the binary could not be built");
    let kept = root.join(KEPT);
    std::fs::create_dir_all(kept.parent().context("it lies in a folder")?)?;
    std::fs::rename(root.join(MADE), &kept).with_context(|| format!("{MADE} to {KEPT}"))?;
    let bytes = std::fs::metadata(&kept)?.len();
    Ok(vec![format!("{KEPT}: {}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)])
}
