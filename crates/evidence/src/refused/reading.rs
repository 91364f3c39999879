//! What a text can say about a refused connection.
//!
//! Must not know how it is found out.

use std::net::IpAddr;
use std::ops::Range;

/// How surely the words mean ECONNREFUSED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// The words fit, but would fit other failures too ("Unable to connect to …").
    Weak,
    /// The text says ECONNREFUSED, in words or as errno 111.
    Strong,
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address; IPv4 mapped into IPv6 is given as IPv4.
    Ip(IpAddr),
    /// A name, in lowercase, without a final dot.
    Name(String),
}

/// Where a connection was meant to go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The peer.
    pub host: Host,
    /// The peer's port, where the text says it or its URL scheme implies it.
    pub port: Option<u16>,
}

/// A refused connection, as told by a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// How surely.
    pub strength: Strength,
    /// The peers, in the order of the text, without repeats, at most 16; often none. A name and
    /// the IP that it was dialled by are both listed.
    pub destinations: Vec<Destination>,
    /// Stable id of the family that was recognised, such as `go-dial`; `udp` and `dns-udp` are
    /// not TCP.
    pub form: &'static str,
    /// Bytes of the telling words in the text; for a joined error, in its first line.
    pub span: Range<usize>,
}

impl Refused {
    /// Whether all known destinations are this pod itself.
    ///
    /// A name counts by itself only where no IP on its port says where it led.
    #[must_use]
    pub fn loopback(&self) -> bool {
        let known = &self.destinations;
        let covered = |d: &Destination| {
            let same = |p: Option<u16>| p == d.port || p.is_none() || d.port.is_none();
            matches!(d.host, Host::Name(_))
                && known.iter().any(|k| matches!(k.host, Host::Ip(_)) && same(k.port))
        };
        !known.is_empty() && known.iter().all(|d| is_loopback(&d.host) || covered(d))
    }
}

/// A refusal, or words like one, that are nobody's start-up fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FalseFriend {
    /// The destination is the pod itself, which no mesh captures: a local server is missing.
    Loopback,
    /// The sidecar's own readiness port (15000, 15020, 15021): somebody waits, as advised.
    WaitLoop,
    /// A kubelet probe, or pilot-agent's in its place.
    KubeletProbe,
    /// A Unix socket: it never leaves the container.
    UnixSocket,
    /// Another error number: Windows (10061), macOS (61), no route (113), timed out (110).
    OtherErrno,
    /// A server answered and said no (MQTT's CONNACK, a connection limit), or tells of a client.
    Answered,
    /// Configuration, source code, a query, a pattern, a metric or counter, advice.
    QuotedText,
    /// A connection that came up, told with its last error.
    Recovered,
}

/// What a text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A refused connection.
    Refused(Refused),
    /// Something to set aside, with the refusal it looks like where one can be read.
    FalseFriend(FalseFriend, Option<Refused>),
    /// Neither.
    Nothing,
}

/// Whether a host is this pod itself.
fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Ip(ip) => ip.to_canonical().is_loopback() || ip.is_unspecified(),
        Host::Name(name) => {
            let name = name.as_str();
            name == "localhost"
                || name.ends_with(".localhost")
                || name == "localhost.localdomain"
                || name == "ip6-localhost"
                || name == "localhost4"
                || name == "localhost6"
        }
    }
}
