//! The agent's socket: root's alone, one line of JSON each way, bounded in time, size and number.

use std::fs::File;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use sunup_node::wire::{LINE_MAX, Reply, Request};

use crate::agent::Agent;

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

/// Answers for as long as the process lives.
pub fn run(listener: &UnixListener, agent: &Arc<Agent>) {
    let busy = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of descriptors: those that are answered give theirs back.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        if !is_trusted(&stream) {
            continue;
        }
        while busy.load(Ordering::Acquire) >= AT_ONCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        busy.fetch_add(1, Ordering::AcqRel);
        let (agent, done) = (Arc::clone(agent), Arc::clone(&busy));
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
    let (line, file) = receive(stream)?;
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

/// One line, and the descriptor that came with it.
fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Option<File>)> {
    let (mut line, mut file) = (Vec::new(), None);
    let mut buffer = [0; 4096];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [io::IoSliceMut::new(&mut buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(stream, &mut parts, &mut ancillary, flags)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                // All but the first are closed here.
                let fds: Vec<OwnedFd> = fds.collect();
                file = file.or(fds.into_iter().next().map(File::from));
            }
        }
        let bytes = &buffer[..received.bytes];
        if let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            line.extend_from_slice(&bytes[..end]);
            return Ok((line, file));
        }
        line.extend_from_slice(bytes);
        if bytes.is_empty() || line.len() > LINE_MAX {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
