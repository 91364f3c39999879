//! Network namespaces: a fresh one on a thread of its own, or an existing one by path.
//!
//! `setns` and `unshare` change the calling thread alone, so each namespace gets its own thread;
//! nothing here touches the thread that calls.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// A network namespace that lives as long as this value.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new, empty namespace with `lo` up.
    ///
    /// # Errors
    /// `EPERM` without the privilege: see [`enter_user_namespace`].
    pub fn new() -> std::io::Result<Self> {
        let thread = std::thread::spawn(|| -> std::io::Result<Self> {
            unshare(UnshareFlags::NEWNET)?;
            crate::route::link_up("lo").map_err(std::io::Error::other)?;
            Ok(Self { file: File::open("/proc/thread-self/ns/net")? })
        });
        thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread panicked")))
    }

    /// [`Namespace::new`], or `None` where that isn't possible.
    #[must_use]
    pub fn try_new() -> Option<Self> {
        Self::new().ok()
    }

    /// The namespace at a path such as `/var/run/netns/x` or `/proc/1234/ns/net`.
    ///
    /// # Errors
    /// The path can't be opened.
    pub fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: File::open(path)? })
    }

    /// The namespace that an open file stands for; entering it tells whether it is one.
    #[must_use]
    pub fn of(file: File) -> Self {
        Self { file }
    }

    /// Device and number, by which the same namespace is known again.
    ///
    /// # Errors
    /// The file can't be looked at.
    pub fn identity(&self) -> std::io::Result<(u64, u64)> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = self.file.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Runs a function on a new thread inside the namespace and waits for it.
    ///
    /// # Errors
    /// The namespace can't be entered.
    ///
    /// # Panics
    /// Where the function panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter()?;
                Ok(work())
            });
            match thread.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Moves the calling thread into the namespace, for good.
    ///
    /// # Errors
    /// `EPERM` without the privilege over the namespace.
    pub fn enter(&self) -> std::io::Result<()> {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// The open namespace, to be handed to another process or to [`crate::route`].
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Makes the calling process the root of a new user namespace: what lets a plain user make
/// network namespaces. The process must have a single thread, so this is called first thing in a
/// process started for the purpose.
///
/// # Errors
/// `EPERM` or `ENOSPC` where user namespaces are switched off, `EINVAL` with several threads.
pub fn enter_user_namespace() -> std::io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    unshare(UnshareFlags::NEWUSER)?;
    // Required before a plain user may write gid_map (user_namespaces(7)).
    write_existing(c"/proc/self/setgroups", b"deny")?;
    write_existing(c"/proc/self/uid_map", format!("0 {} 1", uid.as_raw()).as_bytes())?;
    write_existing(c"/proc/self/gid_map", format!("0 {} 1", gid.as_raw()).as_bytes())
}

/// Makes a command start as the root of a new user namespace, whatever threads this process has:
/// how a test or the lab starts its namespaced half without root.
#[expect(unsafe_code, reason = "the work must be done between fork and exec")]
pub fn in_user_namespace(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let (uids, gids) = (format!("0 {} 1", uid.as_raw()), format!("0 {} 1", gid.as_raw()));
    let enter = move || -> std::io::Result<()> {
        unshare(UnshareFlags::NEWUSER)?;
        write_existing(c"/proc/self/setgroups", b"deny")?;
        write_existing(c"/proc/self/uid_map", uids.as_bytes())?;
        write_existing(c"/proc/self/gid_map", gids.as_bytes())
    };
    // SAFETY: between fork and exec only async-signal-safe work is allowed: the closure makes
    // system calls alone; all it needs was allocated before.
    unsafe { command.pre_exec(enter) };
}

/// Writes to an existing file without allocating.
fn write_existing(path: &std::ffi::CStr, text: &[u8]) -> std::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text)?;
    Ok(())
}

#[expect(unsafe_code, reason = "rustix marks unshare unsafe for CLONE_FILES, not used here")]
fn unshare(flags: UnshareFlags) -> std::io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES), "would split descriptors between threads");
    // SAFETY: the hazard is UnshareFlags::FILES, by which threads stop sharing descriptors that
    // safe code takes for shared; callers in this file pass only NEWNET and NEWUSER.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    Ok(())
}
