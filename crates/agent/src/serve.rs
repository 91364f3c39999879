//! The agent's socket: root's alone, one line of JSON each way, bounded in time, size and number.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use sunup_node::wire::{Reply, Request};

use crate::agent::Agent;
use crate::lines;

/// How long somebody who connected may take to say what for, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections at a time; more wait in the kernel's queue, and the plugin's patience ends.
const AT_ONCE: usize = 64;

/// Binds the socket, in a folder that only its owner may enter.
///
/// # Errors
/// The folder can't be made, or another agent listens there.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent listens there"));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// An agent's socket that is answered.
#[derive(Debug)]
pub struct Serving {
    listener: Arc<UnixListener>,
    stop: Arc<OwnedFd>,
    busy: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Answers from now on.
    ///
    /// # Errors
    /// No descriptor or thread can be had.
    pub fn start(listener: UnixListener, agent: &Arc<Agent>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = Arc::new(listener);
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let busy = Arc::new(AtomicUsize::new(0));
        let run = {
            let (listener, stop, busy) =
                (Arc::clone(&listener), Arc::clone(&stop), Arc::clone(&busy));
            let agent = Arc::clone(agent);
            move || run(&listener, &stop, &agent, &busy)
        };
        let build = std::thread::Builder::new().name("serve".to_owned()).stack_size(128 * 1024);
        let thread = Some(build.spawn(run)?);
        Ok(Self { listener, stop, busy, thread })
    }

    /// Takes no more calls, and ends once those that were taken are answered. The socket still listens:
    /// who calls waits for whoever answers next.
    #[must_use]
    pub fn stop(mut self) -> Arc<UnixListener> {
        self.end();
        let end = Instant::now() + PATIENCE;
        while self.busy.load(Ordering::Acquire) > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        Arc::clone(&self.listener)
    }

    fn end(&mut self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(listener: &UnixListener, stop: &OwnedFd, agent: &Arc<Agent>, busy: &Arc<AtomicUsize>) {
    loop {
        let mut fds =
            [stop.as_fd(), listener.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let polled = poll(&mut fds, None);
        if polled.is_ok() && !fds[0].revents().is_empty() {
            return;
        }
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => {
                // Out of descriptors: those that are answered give theirs back.
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
        };
        if !is_trusted(&stream) {
            continue;
        }
        while busy.load(Ordering::Acquire) >= AT_ONCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        busy.fetch_add(1, Ordering::AcqRel);
        let (agent, done) = (Arc::clone(agent), Arc::clone(busy));
        let answer = move || {
            // Who breaks off has nothing to hear.
            let _ = one(&stream, &agent);
            done.fetch_sub(1, Ordering::AcqRel);
        };
        let build = std::thread::Builder::new().name("call".to_owned()).stack_size(128 * 1024);
        if build.spawn(answer).is_err() {
            busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The node's root, or the agent's own user. The plugin is a process of the node's, which has no id in
/// the agent's container.
fn is_trusted(stream: &UnixStream) -> bool {
    let peer = sunup_sys::socket::peer_user(stream);
    peer.is_ok_and(|user| user == 0 || user == rustix::process::geteuid().as_raw())
}

fn one(stream: &UnixStream, agent: &Agent) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (line, files) = lines::receive(stream)?;
    // All but the first are closed here.
    let file = files.into_iter().next();
    let request: Request = serde_json::from_slice(&line)?;
    let reply = match request {
        // Whoever owns the stand-ins answers, or nobody.
        Request::Status => {
            let status = agent.status().ok_or(io::ErrorKind::TimedOut)?;
            return answer(stream, serde_json::to_vec(&status)?);
        }
        Request::Alive => {
            agent.counters().ok_or(io::ErrorKind::TimedOut)?;
            Reply::default()
        }
        // It hears of this agent's end.
        Request::Succeed => return stream.try_clone().map(|waiting| agent.succeeded_by(waiting)),
        Request::Add { sandbox, pod, addresses } => {
            let file = file.ok_or_else(|| io::Error::other("no namespace came with it"));
            let pod = pod.unwrap_or_default();
            let added = file.and_then(|file| agent.add(&sandbox, pod, addresses, file));
            added.unwrap_or_else(|error| Reply { mode: String::new(), why: error.to_string() })
        }
        Request::Del { sandbox } => {
            agent.del(&sandbox);
            Reply::default()
        }
        Request::Gc { valid } => {
            agent.gc(valid.into_iter().map(|one| one.sandbox).collect());
            Reply::default()
        }
    };
    answer(stream, serde_json::to_vec(&reply)?)
}

fn answer(mut stream: &UnixStream, mut line: Vec<u8>) -> io::Result<()> {
    line.push(b'\n');
    stream.write_all(&line)
}
