//! The first steps of a container's process: this program, started again in the pod's network and
//! in a pid namespace of its own, makes itself a root directory, becomes the container's user and
//! then becomes the container's program.
//!
//! The root is an empty file system in memory whose entries lead into a read-only view of this
//! machine, so that "an image" is a program that is installed here, while what a container writes,
//! its volumes, `/tmp`, `/etc/hosts` and `/etc/resolv.conf` are its own.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sunup_sys::container::{self, Identity};

/// The view of this machine in a container.
const HOST: &str = ".host";
/// Programs that the image has beside this machine's own.
pub(crate) const PROGRAMS: &str = "/.sunup/bin";

/// The error by which the kernel says that a program is not of its processor's.
const NO_EXEC: i32 = 8;

/// What a container's process is to become.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// An empty directory to make the root in.
    pub(crate) root: PathBuf,
    /// Host name.
    pub(crate) host_name: String,
    /// Programs of the image: name and where it is on this machine.
    pub(crate) programs: Vec<(String, PathBuf)>,
    /// The name of a program for a processor that this machine hasn't.
    pub(crate) foreign: Option<String>,
    /// Small files, such as `/etc/hosts`.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// Volumes.
    pub(crate) mounts: Vec<Mount>,
    /// The container's own files can't be written.
    pub(crate) read_only_root: bool,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// The whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// Working directory.
    pub(crate) directory: Option<String>,
    /// User and group, if others than the lab's own can be had.
    pub(crate) ids: Option<(u32, u32)>,
    /// More groups.
    pub(crate) groups: Vec<u32>,
    /// Capabilities.
    pub(crate) capabilities: Vec<String>,
    /// Nothing that is executed gains a privilege.
    pub(crate) no_new_privileges: bool,
    /// Milliseconds between the container's start and its program's.
    pub(crate) delay_ms: u64,
    /// The program is left out: the container ends with this code.
    pub(crate) fail: Option<i32>,
    /// Joins the container whose process is standard input, instead of making one.
    pub(crate) join: bool,
}

/// A volume in a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mount {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    pub(crate) read_only: bool,
}

/// Becomes the container's program; the plan is in a file. Comes back only when that fails: the
/// exit code, after the reason was told on standard input (a pipe to the lab) or, where a
/// container is joined, on standard error.
#[must_use]
pub fn become_container(plan: &Path) -> i32 {
    let told = (|| {
        let text = std::fs::read(plan).with_context(|| plan.display().to_string())?;
        let plan: Plan = serde_json::from_slice(&text)?;
        Ok(plan)
    })();
    match told {
        Ok(plan) if plan.join => join(&plan),
        Ok(plan) => make(&plan),
        Err(error) => tell(&error, None),
    }
}

fn make(plan: &Plan) -> i32 {
    let mut status = match container::take_stdin() {
        Ok(status) => Some(status),
        Err(error) => return tell(&error.into(), None),
    };
    let made = container::own_names(&plan.host_name).context("host name").and_then(|()| {
        container::own_mounts().context("mounts")?;
        root(plan)?;
        identity(plan)
    });
    if let Err(error) = made {
        return tell(&error, status);
    }
    if plan.delay_ms > 0 || plan.fail.is_some() {
        // The container runs from here on; only its program is late, or never comes.
        drop(status.take());
        std::thread::sleep(Duration::from_millis(plan.delay_ms));
        if let Some(code) = plan.fail {
            return code;
        }
    }
    if let Some(name) = &plan.foreign
        && is_refused(name)
    {
        // The runtime's own process has left by now: the container says it, and ends.
        drop(status.take());
        let _ = writeln!(io::stderr(), "exec {PROGRAMS}/{name}: exec format error");
        return 1;
    }
    let error = run(plan);
    tell(&error, status)
}

/// Whether the kernel will not have a program. It is started beside this process: what replaces a
/// process gives what the kernel will not have to a shell.
fn is_refused(name: &str) -> bool {
    let started = std::process::Command::new(Path::new(PROGRAMS).join(name)).spawn();
    started.is_err_and(|error| error.raw_os_error() == Some(NO_EXEC))
}

fn join(plan: &Plan) -> i32 {
    let joined = container::take_stdin().map_err(anyhow::Error::from).and_then(|process| {
        container::enter(&process).context("joining the container")?;
        // Where the mounts were joined, the working directory is still the old one.
        std::env::set_current_dir("/")?;
        identity(plan)
    });
    match joined {
        Ok(()) => tell(&run(plan), None),
        Err(error) => tell(&error, None),
    }
}

fn tell(error: &anyhow::Error, status: Option<OwnedFd>) -> i32 {
    let text = format!("{error:#}");
    let _ = match status {
        Some(pipe) => std::fs::File::from(pipe).write_all(text.as_bytes()),
        None => writeln!(io::stderr(), "{text}"),
    };
    // The codes by which shells and container runtimes say "not found" and "can't be run".
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => 127,
        _ => 126,
    }
}

fn identity(plan: &Plan) -> anyhow::Result<()> {
    let identity = Identity {
        ids: plan.ids,
        groups: plan.groups.clone(),
        capabilities: plan.capabilities.clone(),
        no_new_privileges: plan.no_new_privileges,
    };
    container::become_user(&identity).context("user and capabilities")?;
    // After the user, whose change makes the kernel forget it.
    container::die_with_parent().context("die with the lab")
}

/// Replaces this process by the container's program.
fn run(plan: &Plan) -> anyhow::Error {
    let Some((program, arguments)) = plan.argv.split_first() else {
        return anyhow::anyhow!("no command: the image has none, and neither has the container");
    };
    let path = plan.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let Some(found) = find(program, path.unwrap_or_default()) else {
        let error = io::Error::from(io::ErrorKind::NotFound);
        let text = format!("exec: \"{program}\": executable file not found in $PATH");
        return anyhow::Error::from(error).context(text);
    };
    let mut command = std::process::Command::new(found);
    command.arg0(program).args(arguments).env_clear();
    command.envs(plan.env.iter().map(|(k, v)| (k, v)));
    command.stdin(std::process::Stdio::null());
    if let Some(directory) = &plan.directory {
        command.current_dir(directory);
    }
    anyhow::Error::from(command.exec()).context(format!("exec: \"{program}\""))
}

fn find(program: &str, path: &str) -> Option<PathBuf> {
    let runs = |file: &Path| {
        file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|file| runs(file));
    }
    path.split(':').map(|dir| Path::new(dir).join(program)).find(|file| runs(file))
}

/// Makes the container's root and moves into it.
fn root(plan: &Plan) -> anyhow::Result<()> {
    let root = &plan.root;
    container::mount_tmpfs(root).context("the container's root")?;
    let host = root.join(HOST);
    std::fs::create_dir(&host)?;
    container::bind_tree(Path::new("/"), &host).context("a view of this machine")?;
    for directory in ["proc", "tmp", ".sunup", ".sunup/bin"] {
        std::fs::create_dir(root.join(directory))?;
    }
    std::fs::set_permissions(root.join("tmp"), std::fs::Permissions::from_mode(0o1777))?;
    if container::mount_proc(&root.join("proc")).is_err() {
        std::fs::remove_dir(root.join("proc"))?;
    }
    let shared = own_path(root, Path::new("/dev/shm"))?;
    std::fs::create_dir_all(&shared)?;
    container::mount_tmpfs(&shared).context("shared memory")?;
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777))?;
    for (name, from) in &plan.programs {
        let to = root.join(PROGRAMS.trim_start_matches('/')).join(name);
        std::fs::File::create(&to)?;
        // A mount, not a link: its user may not be allowed to walk there.
        container::bind(from, &to, true).with_context(|| from.display().to_string())?;
    }
    if let Some(name) = &plan.foreign {
        let to = root.join(PROGRAMS.trim_start_matches('/')).join(name);
        std::fs::write(&to, foreign())?;
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755))?;
    }
    for (path, text) in &plan.files {
        let to = own_path(root, path)?;
        std::fs::write(&to, text).with_context(|| path.display().to_string())?;
    }
    for mount in &plan.mounts {
        let to = own_path(root, &mount.to)?;
        if mount.from.is_dir() {
            std::fs::create_dir_all(&to)?;
        } else if !to.exists() {
            std::fs::File::create(&to)?;
        }
        container::bind(&mount.from, &to, mount.read_only)
            .with_context(|| format!("mount {}", mount.to.display()))?;
    }
    show_host(root, Path::new(""))?;
    if plan.read_only_root {
        container::make_read_only(root, false).context("a read-only root")?;
    }
    container::enter_root(root).context("the new root")
}

/// The head of a program for Atmel's AVR, a processor that runs no Linux.
///
/// # Sources
/// elf(5), `e_machine`; `EM_AVR` is 83.
fn foreign() -> [u8; 64] {
    let mut head = [0; 64];
    // 64 bits, little endian, version 1; a program of its own.
    head[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (head[16], head[18], head[20]) = (2, 83, 1);
    // Where its tables would begin, and how long they and the head are.
    (head[32], head[52], head[54]) = (64, 64, 56);
    head
}

/// A path in the container that is the container's own: directories of this machine on the way
/// are replaced by directories that show the same.
fn own_path(root: &Path, path: &Path) -> anyhow::Result<PathBuf> {
    let mut inside = PathBuf::new();
    let parts: Vec<Component<'_>> = path.components().collect();
    anyhow::ensure!(path.is_absolute(), "{}: not an absolute path", path.display());
    anyhow::ensure!(!parts.contains(&Component::ParentDir), "{}: has ..", path.display());
    let names: Vec<_> = parts.iter().filter(|p| matches!(p, Component::Normal(_))).collect();
    let Some((last, parents)) = names.split_last() else {
        anyhow::bail!("the root itself can't be mounted over");
    };
    for name in parents {
        inside.push(name);
        let here = root.join(&inside);
        if here.is_symlink() {
            std::fs::remove_file(&here)?;
        }
        if !here.exists() {
            std::fs::create_dir(&here)?;
            show_host(root, &inside)?;
        }
    }
    let here = root.join(&inside).join(last);
    if here.is_symlink() {
        std::fs::remove_file(&here)?;
    }
    Ok(here)
}

/// Links everything that this machine has in a directory and the container hasn't.
fn show_host(root: &Path, directory: &Path) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(Path::new("/").join(directory)) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let link = root.join(directory).join(&name);
        if link.symlink_metadata().is_ok() || (directory.as_os_str().is_empty() && name == HOST) {
            continue;
        }
        let target = Path::new("/").join(HOST).join(directory).join(&name);
        symlink(target, link)?;
    }
    Ok(())
}
