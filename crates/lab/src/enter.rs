//! How a program becomes a lab: it starts itself again in namespaces of its own and waits.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use sunup_sys::{container, ns, signal};

/// Set in the environment of the half that is inside; its value is the lab's directory.
const INSIDE: &str = "SUNUP_LAB_DIRECTORY";

/// What became of [`enter`].
#[derive(Debug)]
pub enum Enter {
    /// This is the inside: the lab's own directory, in memory, gone with the process.
    Inside(PathBuf),
    /// This was the outside; the inside has ended with this exit code.
    Ended(u8),
}

/// Whether this process is the inside half.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Starts this program again, with the same arguments, as root of a user namespace (unless it is
/// root already) and as the first process of a pid namespace, and waits for it. Ctrl-C and SIGTERM
/// end the inside and all that it has started; nothing is left behind, even after SIGKILL.
///
/// Called before any thread is started: a user namespace can't be made otherwise.
///
/// # Errors
/// Namespaces can't be made: the error says why and what to do.
pub fn enter(directory: &Path) -> anyhow::Result<Enter> {
    if let Some(directory) = std::env::var_os(INSIDE) {
        let directory = PathBuf::from(directory);
        container::die_with_parent()?;
        container::own_mounts().context("mounts of the lab's own")?;
        // Other processes are hidden where this can't be done, which nothing here needs.
        let _ = container::mount_proc(Path::new("/proc"));
        container::mount_tmpfs(&directory).context("the lab's directory")?;
        return Ok(Enter::Inside(directory));
    }
    signal::hold_back_end()?;
    if ns::Namespace::try_new().is_none() {
        ns::enter_user_namespace().map_err(explain)?;
    }
    let inside: Arc<OnceLock<container::Handle>> = Arc::default();
    let target = Arc::clone(&inside);
    // Started first: a thread whose children get a pid namespace of their own can start none.
    std::thread::spawn(move || {
        if signal::wait_for_end().is_ok() {
            // All that the inside has started ends with it.
            let _ = target.wait().kill();
        }
    });
    container::children_in_new_pid_namespace().map_err(explain)?;
    let program = std::env::current_exe().context("finding this program")?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut command = Command::new(program);
    command.args(arguments).env(INSIDE, directory);
    let mut child = command.spawn().context("starting the inside of the lab")?;
    let _ = inside.set(container::Handle::of(&child)?);
    let status = child.wait()?;
    Ok(Enter::Ended(code(status)))
}

fn code(status: ExitStatus) -> u8 {
    // Killed: as a shell says of a program that Ctrl-C ended.
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(130)
}

/// Why a user namespace can't be had, as far as the machine tells.
fn explain(error: std::io::Error) -> anyhow::Error {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/{name}")).ok();
    let is = |name: &str, value: &str| read(name).is_some_and(|text| text.trim() == value);
    let advice = if is("user/max_user_namespaces", "0") {
        "user namespaces are switched off: sudo sysctl user.max_user_namespaces=15000"
    } else if is("kernel/unprivileged_userns_clone", "0") {
        "user namespaces are for root only: sudo sysctl kernel.unprivileged_userns_clone=1"
    } else if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor forbids user namespaces: \
         sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else if Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists() {
        "a container forbids them unless it is run with --privileged, or with \
         --security-opt seccomp=unconfined --cap-add SYS_ADMIN"
    } else {
        "as root it may work: sudo sunup …"
    };
    anyhow::anyhow!(
        "the lab needs network namespaces, and they can't be made here ({error}): {advice}"
    )
}
