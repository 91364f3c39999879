//! What a lab takes of the machine it runs on: namespaces, programs, this program itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sunup_lab::scenario::Scenario;

/// The commands by which a container's process begins: not for people.
pub(crate) const INSIDE: &str = "lab-inside";
pub(crate) const PART: &str = "lab-part";

/// What is different where a plain user has no other ids.
pub(crate) const ONE_USER: &str = "one user id is all there is here: containers run as the lab's \
     own user, those that aren't root without capabilities, and the proxy is known by a socket \
     mark instead of by its uid 1337";

/// Does the work in namespaces of its own; see [`sunup_lab::enter`].
pub(crate) fn inside(
    work: impl FnOnce(&Path) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let outside = if sunup_lab::is_inside() {
        None
    } else {
        Some(tempfile::Builder::new().prefix("sunup-lab-").tempdir()?)
    };
    let directory = outside.as_ref().map_or_else(PathBuf::new, |dir| dir.path().to_owned());
    match sunup_lab::enter(&directory)? {
        sunup_lab::Enter::Inside(state) => work(&state),
        sunup_lab::Enter::Ended(code) => Ok(ExitCode::from(code)),
    }
}

/// The real Envoy, where there is one: `SUNUP_ENVOY`, or on the PATH.
pub(crate) fn envoy() -> Option<PathBuf> {
    let named = std::env::var_os("SUNUP_ENVOY").map(PathBuf::from);
    named.filter(|path| path.is_file()).or_else(|| on_path("envoy"))
}

/// A program on the PATH, or where distributions hide servers.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    places.extend(versions.map(|entry| entry.path().join("bin")));
    places.into_iter().map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// What a scenario needs and this machine lacks. `any_user`: whether there is more than one uid.
pub(crate) fn lacks(scenario: &Scenario, any_user: bool) -> Vec<String> {
    let there = |need: &str| match need {
        "any-user" => any_user,
        "envoy" => envoy().is_some(),
        program => on_path(program).is_some(),
    };
    scenario.needs.iter().filter(|need| !there(need)).cloned().collect()
}
