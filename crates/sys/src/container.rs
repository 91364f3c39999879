//! What it takes to run a process as a container runtime does: namespaces of its own, a root of
//! its own, the right user with the right capabilities. Says nothing about when and why.
//!
//! # Sources
//! namespaces(7), pid_namespaces(7), mount_namespaces(7), pivot_root(2), capabilities(7).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::{CapabilitySet, Gid, ThreadNameSpaceType, Uid, UnshareFlags};

/// The capabilities that container runtimes leave a process unless its pod says otherwise.
/// <https://github.com/containerd/containerd/blob/main/pkg/oci/spec.go>
pub const DEFAULT_CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A capability by its name in pod manifests (`NET_ADMIN`); `None` where there is none such.
#[must_use]
pub fn capability(name: &str) -> Option<CapabilitySet> {
    CapabilitySet::from_name(name.strip_prefix("CAP_").unwrap_or(name))
}

/// A process that can be signalled without mistaking another for it.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// A handle on a child that has not been waited for.
    ///
    /// # Errors
    /// The process is gone, or the kernel is older than 5.3.
    pub fn of(child: &std::process::Child) -> io::Result<Self> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(rustix::process::pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// It has ended.
    pub fn terminate(&self) -> io::Result<()> {
        Ok(rustix::process::pidfd_send_signal(&self.0, Signal::TERM)?)
    }

    /// Ends it.
    ///
    /// # Errors
    /// It has ended.
    pub fn kill(&self) -> io::Result<()> {
        Ok(rustix::process::pidfd_send_signal(&self.0, Signal::KILL)?)
    }

    /// The descriptor, for being joined in another process.
    ///
    /// # Errors
    /// Too many open files.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Makes the next children of the calling thread members of that process' pid namespace.
    ///
    /// # Errors
    /// It has ended, or no privilege.
    pub fn children_join(&self) -> io::Result<()> {
        join(&self.0, ThreadNameSpaceType::PROCESS_ID)
    }
}

fn join(pidfd: &impl AsFd, which: ThreadNameSpaceType) -> io::Result<()> {
    Ok(rustix::thread::move_into_thread_name_spaces(pidfd.as_fd(), which)?)
}

/// Moves the calling process, which must have a single thread, into the mounts, host name and IPC
/// of the process that a descriptor stands for: how `exec` into a container begins.
///
/// # Errors
/// The process has ended, or no privilege.
pub fn enter(pidfd: &impl AsFd) -> io::Result<()> {
    let which = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION;
    join(pidfd, which)
}

/// The next child of the calling thread is the first process of a new pid namespace: when it
/// ends, all of its descendants end.
///
/// # Errors
/// No privilege.
pub fn children_in_new_pid_namespace() -> io::Result<()> {
    unshare(UnshareFlags::NEWPID)
}

/// Gives the calling process mounts of its own, which spread nowhere.
///
/// # Errors
/// No privilege.
pub fn own_mounts() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)?;
    let apart = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    Ok(rustix::mount::mount_change("/", apart)?)
}

/// Gives the calling process a host name and IPC objects of its own.
///
/// # Errors
/// No privilege, or the name is too long.
pub fn own_names(host_name: &str) -> io::Result<()> {
    unshare(UnshareFlags::NEWUTS | UnshareFlags::NEWIPC)?;
    Ok(rustix::system::sethostname(host_name.as_bytes())?)
}

/// Mounts an empty file system that lives in memory.
///
/// # Errors
/// No privilege, no such directory.
pub fn mount_tmpfs(at: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", at, "tmpfs", flags, c"mode=0755")?)
}

/// Mounts the processes of the calling process' pid namespace.
///
/// # Errors
/// `EPERM` where parts of the outer `/proc` are hidden, as in most containers.
pub fn mount_proc(at: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount("proc", at, "proc", flags, None)?)
}

/// Shows a file or directory at a second place.
///
/// # Errors
/// Either doesn't exist, or no privilege.
pub fn bind(from: &Path, to: &Path, read_only: bool) -> io::Result<()> {
    rustix::mount::mount_bind(from, to)?;
    if read_only {
        make_read_only(to, false)?;
    }
    Ok(())
}

/// Shows a whole tree, with all that is mounted in it, at a second place, read-only where the
/// kernel (5.12) can do that in one step.
///
/// # Errors
/// Either doesn't exist, or no privilege.
pub fn bind_tree(from: &Path, to: &Path) -> io::Result<()> {
    rustix::mount::mount_bind_recursive(from, to)?;
    // An older kernel leaves the tree as writable as it was.
    let _ = make_read_only(to, true);
    Ok(())
}

/// Makes a mount read-only, and those in it too if `all`.
///
/// # Errors
/// No privilege; `ENOSYS` before Linux 5.12.
#[expect(unsafe_code, reason = "mount_setattr has no safe form in our dependencies")]
pub fn make_read_only(at: &Path, all: bool) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let path = std::ffi::CString::new(at.as_os_str().as_bytes())?;
    let attributes =
        libc::mount_attr { attr_set: MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = if all { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is NUL-terminated and the structure has the size that is given; both
    // outlive the call, and the kernel writes to neither.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes a directory the root of the calling process and lets go of the old one.
///
/// # Errors
/// It is no mount point, or no privilege.
pub fn enter_root(new: &Path) -> io::Result<()> {
    std::env::set_current_dir(new)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount("/", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")
}

/// Who a process is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User and group; `None` stays who it is: where no other id exists.
    pub ids: Option<(u32, u32)>,
    /// Further groups; used with `ids` only.
    pub groups: Vec<u32>,
    /// Names of the capabilities that may be had at all.
    pub capabilities: Vec<String>,
    /// Nothing that is executed may gain a privilege.
    pub no_new_privileges: bool,
}

/// Turns the calling process, which must have a single thread, into somebody.
///
/// # Errors
/// No privilege, an id that doesn't exist here, or a capability that nobody knows.
pub fn become_user(identity: &Identity) -> io::Result<()> {
    let mut kept = CapabilitySet::empty();
    for name in &identity.capabilities {
        let known = capability(name);
        kept |= known.ok_or_else(|| io::Error::other(format!("no capability {name}")))?;
    }
    // What is outside of the bounding set is lost when the program is executed.
    for one in CapabilitySet::all().iter().filter(|one| !kept.contains(*one)) {
        match rustix::thread::remove_capability_from_bounding_set(one) {
            // The kernel knows fewer capabilities than we do.
            Err(rustix::io::Errno::INVAL) => {}
            other => other?,
        }
    }
    if let Some((uid, gid)) = identity.ids {
        let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        rustix::thread::set_thread_groups(&groups)?;
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    }
    if identity.no_new_privileges {
        rustix::thread::set_no_new_privs(true)?;
    }
    Ok(())
}

/// Standard input as a descriptor that programs don't inherit; `/dev/null` takes its place.
///
/// # Errors
/// There is no standard input, or no `/dev/null`.
pub fn take_stdin() -> io::Result<OwnedFd> {
    let given = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(given)
}

/// The calling process is killed when its parent ends, whatever the parent's end is.
///
/// # Errors
/// None is known.
pub fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

#[expect(unsafe_code, reason = "rustix marks unshare unsafe for CLONE_FILES, not used here")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the hazard is UnshareFlags::FILES, by which threads stop sharing descriptors that
    // safe code takes for shared; callers in this file don't pass it.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    Ok(())
}
