//! Fixtures, goldens and outside parts for Sunup's own tests.
//!
//! A test whose outside part (goldens, nftables, Envoy, a browser …) is missing is skipped and
//! listed by name; with `SUNUP_REQUIRE=all` in the environment the same gap fails the test.
//! A dev-dependency only: nothing that ships may depend on this crate.

pub mod drawn;
pub mod export_gen;
pub mod growth;
pub mod process;
pub mod web;

use std::path::{Path, PathBuf};

/// The root of the workspace, found from this crate's own manifest.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/testkit lies two levels below the root").to_path_buf()
}

/// The folder of shared golden data: `SUNUP_GOLDENS`, else `../shared/goldens` beside the
/// workspace. `None` where it does not exist.
#[must_use]
pub fn goldens() -> Option<PathBuf> {
    let dir = match std::env::var_os("SUNUP_GOLDENS") {
        Some(dir) => PathBuf::from(dir),
        None => workspace_root().parent()?.join("shared/goldens"),
    };
    dir.is_dir().then_some(dir)
}

/// Passes an outside part through, or says that the test is skipped for want of it.
///
/// The line goes to standard error, where `cargo test -- --nocapture` and `.ci/run` list it.
///
/// # Panics
/// With `SUNUP_REQUIRE=all`, where a missing part is a failure.
pub fn require<T>(test: &str, part: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let all = std::env::var_os("SUNUP_REQUIRE").is_some_and(|v| v == "all");
        assert!(!all, "{test}: {part} is missing and SUNUP_REQUIRE=all");
        // Straight to the handle: the test harness captures the print macros.
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {part} is missing");
    }
    found
}

/// A program on the `PATH` (or in `/usr/sbin`, `/sbin`, where plain users' paths often lack it).
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|p| p.is_file())
}

/// Programs of Helm to try: those that `SUNUP_HELM` names, separated as in `PATH`, else the one on
/// the `PATH`.
#[must_use]
pub fn helms() -> Option<Vec<PathBuf>> {
    match std::env::var_os("SUNUP_HELM").filter(|named| !named.is_empty()) {
        Some(named) => Some(std::env::split_paths(&named).collect()),
        None => Some(vec![program("helm")?]),
    }
}
