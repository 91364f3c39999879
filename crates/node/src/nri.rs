//! NRI, by which a container runtime (containerd since 1.7, CRI-O since 1.26) tells a plugin of pods'
//! sandboxes over a socket, and waits for its answer: as much of it as a plugin needs that changes
//! nothing. Bytes in, bytes out and what they tell; whatever comes, a runtime gets an answer that holds
//! nothing up.
//!
//! Three layers: frames of several connections in one (8 bytes before each: which connection, how
//! long), ttrpc (10 bytes: length, stream, kind, flags), and messages of protobuf.
//!
//! # Sources
//! containerd/nri `pkg/net/multiplex/mux.go`, `pkg/api/api.proto`, `pkg/stub/stub.go`; containerd/ttrpc
//! `channel.go`, `types.go`; Protocol Buffers, "Encoding".

mod message;

pub use message::{Fields, Value, put_bytes, put_number};

use crate::wire::PodName;

/// Where a runtime listens, unless it is told otherwise.
pub const SOCKET: &str = "/var/run/nri/nri.sock";
/// The connection on which the runtime calls the plugin.
pub const OF_PLUGIN: u32 = 1;
/// The connection on which the plugin calls the runtime.
pub const OF_RUNTIME: u32 = 2;
/// ttrpc: a call.
pub const REQUEST: u8 = 1;
/// ttrpc: its answer.
pub const RESPONSE: u8 = 2;
/// A message that is longer is no runtime's.
const MESSAGE_MAX: usize = 4 << 20;
const FRAME: usize = 8;
const HEAD: usize = 10;
const PLUGIN: &str = "nri.pkg.api.v1alpha1.Plugin";
const RUNTIME: &str = "nri.pkg.api.v1alpha1.Runtime";
/// `RUN_POD_SANDBOX`.
pub const RUN: u64 = 1;
/// `STOP_POD_SANDBOX`.
pub const STOP: u64 = 2;
/// `REMOVE_POD_SANDBOX`.
pub const REMOVE: u64 = 3;
/// The code for a method that is not there (google.rpc.Code).
const UNIMPLEMENTED: u64 = 12;

/// A sandbox, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// The pod's.
    pub pod: PodName,
    /// Its first process, whose namespaces are the pod's.
    pub pid: u32,
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// What a runtime tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A pod's network is there, and its containers are not. The runtime waits for the answer.
    Run(Sandbox),
    /// A sandbox goes.
    Gone(String),
}

/// What came of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What it tells, if anything.
    pub told: Option<Told>,
    /// The answer, to be sent once that is done.
    pub answer: Vec<u8>,
}

/// Why a connection can't go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NriError {
    /// A length that no message has.
    #[error("a message of {0} bytes")]
    TooLong(usize),
    /// The runtime doesn't take the plugin.
    #[error("the runtime doesn't take the plugin: {0}")]
    Refused(String),
}

/// One connection to a runtime.
#[derive(Debug, Default)]
pub struct Session {
    /// Bytes that are no whole frame yet.
    raw: Vec<u8>,
    /// Of each connection, bytes that are no whole message yet.
    plugin: Vec<u8>,
    runtime: Vec<u8>,
}

impl Session {
    /// A plugin of a name, called in the order of `index` (two digits) among others; the bytes by which
    /// it begins.
    #[must_use]
    pub fn new(name: &str, index: &str) -> (Self, Vec<u8>) {
        let mut register = Vec::new();
        put_bytes(&mut register, 1, name.as_bytes());
        put_bytes(&mut register, 2, index.as_bytes());
        (Self::default(), request(OF_RUNTIME, 1, (RUNTIME, "RegisterPlugin"), &register))
    }

    /// Takes bytes; every call that is whole by now.
    ///
    /// # Errors
    /// The connection can't go on.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<Call>, NriError> {
        self.raw.extend_from_slice(bytes);
        while let Some((to, length)) = frame(&self.raw)? {
            let Some(payload) = self.raw.get(FRAME..FRAME + length) else { break };
            match to {
                OF_PLUGIN => self.plugin.extend_from_slice(payload),
                OF_RUNTIME => self.runtime.extend_from_slice(payload),
                _ => {}
            }
            self.raw.drain(..FRAME + length);
        }
        while let Some(message) = next(&mut self.runtime)? {
            refused(&message)?;
        }
        let mut calls = Vec::new();
        while let Some(message) = next(&mut self.plugin)? {
            if message.kind == REQUEST {
                calls.push(called(&message));
            }
        }
        Ok(calls)
    }
}

/// A frame's connection and length, where its head is there.
fn frame(bytes: &[u8]) -> Result<Option<(u32, usize)>, NriError> {
    let Some(head) = bytes.first_chunk::<FRAME>() else { return Ok(None) };
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(4) as usize;
    if length > MESSAGE_MAX + HEAD {
        return Err(NriError::TooLong(length));
    }
    Ok(Some((word(0), length)))
}

/// A message of ttrpc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// By which an answer belongs to its call.
    pub stream: u32,
    /// [`REQUEST`] or [`RESPONSE`].
    pub kind: u8,
    /// What it holds.
    pub body: Vec<u8>,
}

/// Takes the next whole message off a connection's bytes.
///
/// # Errors
/// A length that no message has.
pub fn next(bytes: &mut Vec<u8>) -> Result<Option<Message>, NriError> {
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (length, stream, kind) = (word(0) as usize, word(4), head[8]);
    if length > MESSAGE_MAX {
        return Err(NriError::TooLong(length));
    }
    let Some(body) = bytes.get(HEAD..HEAD + length) else { return Ok(None) };
    let message = Message { stream, kind, body: body.to_vec() };
    bytes.drain(..HEAD + length);
    Ok(Some(message))
}

/// A message of ttrpc, in a frame of a connection.
#[must_use]
pub fn framed(to: u32, stream: u32, kind: u8, body: &[u8]) -> Vec<u8> {
    let long = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = Vec::with_capacity(FRAME + HEAD + body.len());
    out.extend_from_slice(&to.to_be_bytes());
    out.extend_from_slice(&long(HEAD + body.len()));
    out.extend_from_slice(&long(body.len()));
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(body);
    out
}

/// A call of a service's method.
#[must_use]
pub fn request(to: u32, stream: u32, (service, method): (&str, &str), payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    put_bytes(&mut body, 1, service.as_bytes());
    put_bytes(&mut body, 2, method.as_bytes());
    put_bytes(&mut body, 3, payload);
    framed(to, stream, REQUEST, &body)
}

/// Whether the runtime's answer is a refusal.
fn refused(message: &Message) -> Result<(), NriError> {
    let status = Fields(&message.body).bytes(1).unwrap_or_default();
    match Fields(status).number(1) {
        None | Some(0) => Ok(()),
        Some(_) => Err(NriError::Refused(Fields(status).text(2))),
    }
}

/// A call by the runtime, and the answer to it.
fn called(message: &Message) -> Call {
    let fields = Fields(&message.body);
    let (service, method) = (fields.text(1), fields.text(2));
    let payload = fields.bytes(3).unwrap_or_default();
    let mut body = Vec::new();
    let mut told = None;
    match (service.as_str(), method.as_str()) {
        (PLUGIN, "Configure") => {
            let events = [RUN, STOP, REMOVE].iter().fold(0, |all, event| all | 1 << (event - 1));
            let mut answer = Vec::new();
            put_number(&mut answer, 2, events);
            put_bytes(&mut body, 2, &answer);
        }
        (PLUGIN, "Synchronize") => {
            // Pods that run already are found by their processes. More of them may follow.
            let mut answer = Vec::new();
            if Fields(payload).number(3) == Some(1) {
                put_number(&mut answer, 2, 1);
            }
            put_bytes(&mut body, 2, &answer);
        }
        (PLUGIN, "StateChange") => {
            told = changed(payload);
            put_bytes(&mut body, 2, &[]);
        }
        (PLUGIN, "Shutdown") => put_bytes(&mut body, 2, &[]),
        // Nothing else was asked for.
        _ => {
            let mut status = Vec::new();
            put_number(&mut status, 1, UNIMPLEMENTED);
            put_bytes(&mut status, 2, b"not subscribed to");
            put_bytes(&mut body, 1, &status);
        }
    }
    Call { told, answer: framed(OF_PLUGIN, message.stream, RESPONSE, &body) }
}

fn changed(payload: &[u8]) -> Option<Told> {
    let event = Fields(payload);
    let sandbox = sandbox(event.bytes(2)?);
    match event.number(1)? {
        RUN => Some(Told::Run(sandbox)),
        STOP | REMOVE => Some(Told::Gone(sandbox.id)),
        _ => None,
    }
}

fn sandbox(message: &[u8]) -> Sandbox {
    let fields = Fields(message);
    let pod = PodName { name: fields.text(2), uid: fields.text(3), namespace: fields.text(4) };
    let pid = fields.number(9).and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    let addresses = fields.all(10).map(|ip| String::from_utf8_lossy(ip).into_owned()).collect();
    Sandbox { id: fields.text(1), pod, pid, addresses }
}

#[cfg(test)]
mod tests;
