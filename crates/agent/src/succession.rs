//! One agent after the other on a node, without a connection that is refused or reset: the next one
//! waits at the socket of the one that runs, which leaves it all that is open when it ends. Where it
//! dies instead, nothing is left, and the next one begins anew.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use sunup_node::succession::Left;
use sunup_node::version::Known;
use sunup_node::wire::Request;
use sunup_sys::ns::Namespace;
use sunup_sys::standin::StandIn;

use crate::agent::Agent;
use crate::keep::Inherited;
use crate::lines;

/// How long a successor may take with one line.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a predecessor has left.
#[derive(Debug)]
pub struct Inheritance {
    /// At which plugins call; calls may wait in its queue.
    pub listener: UnixListener,
    /// What was known of proxies' versions.
    pub known: Known,
    pods: Vec<Inherited>,
}

impl Inheritance {
    /// Pods that come with it.
    #[must_use]
    pub fn pods(&self) -> usize {
        self.pods.len()
    }

    /// Hands the pods to an agent, which goes on with them.
    pub fn give(self, agent: &Agent) -> UnixListener {
        self.pods.into_iter().for_each(|pod| agent.inherit(pod));
        self.listener
    }
}

/// Waits for the end of the agent that listens at a path, which takes as long as that one lives. `None`
/// where it left nothing: it died, or knows of no successors.
///
/// # Errors
/// It can't be reached, or what it leaves can't be read.
pub fn succeed(path: &Path) -> io::Result<Option<Inheritance>> {
    let stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    lines::send(&stream, serde_json::to_vec(&Request::Succeed)?, &[])?;
    let mut left: Option<Inheritance> = None;
    loop {
        let (line, files) = match lines::receive(&stream) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(left),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(left),
            Err(error) => return Err(error),
        };
        let mut files = files.into_iter().map(OwnedFd::from);
        let missing = || io::Error::other("a descriptor is missing");
        match serde_json::from_slice(&line)? {
            Left::Socket { known } => {
                let listener = UnixListener::from(files.next().ok_or_else(missing)?);
                left = Some(Inheritance { listener, known, pods: Vec::new() });
            }
            Left::Pod(pod) => {
                let namespace = Namespace::of(files.next().ok_or_else(missing)?.into());
                let stand_ins = files.map(StandIn::taken).collect::<io::Result<_>>()?;
                let left = left.as_mut().ok_or_else(missing)?;
                left.pods.push(Inherited { pod: *pod, namespace, stand_ins });
            }
            Left::End => {
                lines::send(&stream, Vec::new(), &[])?;
                return Ok(left);
            }
        }
        lines::send(&stream, Vec::new(), &[])?;
    }
}

/// Leaves everything to the successor that has waited longest, if there is one: how many pods it has
/// now. No calls may be answered any more. What it doesn't take goes to the next one, and is closed
/// where there is none.
#[must_use]
pub fn leave(agent: &Agent, listener: &UnixListener) -> Option<usize> {
    let mut heir = None;
    let mut counted = 0;
    let mut known_and_pods = None;
    while let Some(stream) = agent.successor() {
        if known_and_pods.is_none() {
            let (known, pods) = agent.leave()?;
            known_and_pods = Some((known, pods.into_iter().peekable()));
        }
        let Some((known, pods)) = &mut known_and_pods else { return None };
        let socket = Left::Socket { known: known.clone() };
        if tell(&stream, &socket, &[listener.as_fd()]).is_err() {
            continue;
        }
        // From here on it answers calls, whatever becomes of the pods.
        heir = Some(());
        while let Some(left) = pods.peek() {
            let fds: Vec<_> = std::iter::once(left.namespace.fd())
                .chain(left.stand_ins.iter().map(|stand_in| stand_in.as_fd()))
                .collect();
            if tell(&stream, &Left::Pod(Box::new(left.pod.clone())), &fds).is_err() {
                break;
            }
            counted += 1;
            // The successor has its own of each descriptor.
            drop(pods.next());
        }
        if pods.peek().is_none() {
            // All is said; who doesn't hear the end sees it.
            let _ = tell(&stream, &Left::End, &[]);
            break;
        }
    }
    heir.map(|()| counted)
}

fn tell(stream: &UnixStream, left: &Left, fds: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    lines::send(stream, serde_json::to_vec(left)?, fds)?;
    lines::receive(stream).map(|_| ())
}
