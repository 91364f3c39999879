//! The network plugin `sunup-cni`: tells the agent, and never holds up or fails a pod.
//!
//! Whatever happens, the answer is success with the previous result, within [`WITHIN`]; what was
//! odd is one line.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use sunup_node::cni;
use sunup_node::wire::{LINE_MAX, Request, Status};

use crate::lines;

/// How long the agent may take, all in all.
pub const WITHIN: Duration = Duration::from_millis(200);
/// Characters of the line that is logged, at most.
const SAID_MAX: usize = 300;

/// What the plugin's process has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub out: String,
    /// For standard error, where something was odd.
    pub said: Option<String>,
}

/// One call, from its environment and what standard input has.
#[must_use]
pub fn call(env: impl Fn(&str) -> Option<String>, config: &str) -> Answer {
    let end = Instant::now() + WITHIN;
    let (call, odd) = cni::read(env, config);
    let told = call.request.as_ref().map(|request| {
        let namespace = call.namespace.as_deref().map(File::open).transpose();
        let namespace = namespace.map_err(|error| format!("CNI_NETNS: {error}"))?;
        let answer = ask(Path::new(&call.socket), request, namespace.as_ref(), end);
        answer.map(|_| ()).map_err(|error| format!("the agent at {}: {error}", call.socket))
    });
    let odd = odd.map(|odd| odd.to_string()).or(told.and_then(Result::err));
    let line = |odd: String| {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let odd: String = odd.chars().map(printable).take(SAID_MAX).collect();
        format!("sunup-cni: {odd}; the pod comes up without it")
    };
    Answer { out: call.answer, said: odd.map(line) }
}

/// What an agent does about each pod.
///
/// # Errors
/// There is no agent, or it doesn't answer.
pub fn status(socket: &Path) -> io::Result<Status> {
    Ok(serde_json::from_slice(&asked(socket, &Request::Status)?)?)
}

/// Whether an agent answers.
///
/// # Errors
/// It doesn't, or there is none.
pub fn alive(socket: &Path) -> io::Result<()> {
    asked(socket, &Request::Alive).map(|_| ())
}

/// With the patience of somebody who looks.
fn asked(socket: &Path, request: &Request) -> io::Result<Vec<u8>> {
    ask(socket, request, None, Instant::now() + Duration::from_secs(5))
}

/// Sends a request with a descriptor; the line that comes back.
fn ask(socket: &Path, request: &Request, with: Option<&File>, end: Instant) -> io::Result<Vec<u8>> {
    let mut stream = connect(socket)?;
    let left = || {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let mut sent = 0;
    while sent < line.len() {
        stream.set_write_timeout(Some(left()?))?;
        let fd = with.filter(|_| sent == 0).map(|file| file.as_fd());
        sent += lines::send_part(&stream, &line[sent..], fd.as_slice())?;
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        let bytes = match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(bytes);
        if bytes.contains(&b'\n') {
            return Ok(answer);
        }
        if answer.len() > LINE_MAX {
            return Err(io::Error::other("the answer is too long"));
        }
    }
}

/// Without waiting for room in a queue that nobody empties.
fn connect(path: &Path) -> io::Result<UnixStream> {
    use socket2::{Domain, SockAddr, Socket, Type};
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}
