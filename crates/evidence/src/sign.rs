//! What a line can say, and sets of it.
//!
//! Must not know the words that say it.

/// What a line says to somebody who looks for start-up faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// May be (part of) a refused connection: the recogniser and the joiner decide.
    Refused,
    /// The proxy says that it is ready.
    ProxyReady,
    /// The proxy says that it is not ready.
    ProxyNotReady,
    /// The proxy's agent begins.
    ProxyStart,
    /// A listener could not be bound for want of permission.
    BindDenied,
    /// A connection was reset or ended early.
    Reset,
    /// A connection timed out.
    Timeout,
    /// A name could not be resolved.
    NameFailure,
    /// The proxy or its agent has trouble with the control plane: xDS, CA, token.
    ControlPlane,
    /// The control plane was reached.
    ControlPlaneReached,
    /// A piece of configuration was rejected.
    Rejected,
    /// An address or port is taken.
    AddressInUse,
    /// An address family is missing.
    AddressFamily,
    /// File descriptors or inotify watches ran out.
    NodeLimit,
    /// A process may have been killed for want of memory.
    OutOfMemory,
    /// The proxy drains or ends in order.
    Draining,
    /// Somebody told the proxy to quit.
    QuitCalled,
    /// The control plane left a privileged port out.
    PortSkipped,
    /// The control plane found no Service that leads to a gateway's port.
    PortUnserved,
    /// A destination has no healthy endpoint (flag UH).
    NoHealthyUpstream,
    /// The proxy could not connect onwards (flag UF).
    ConnectFailed,
    /// Traffic that the mesh's registry does not know was dropped.
    BlackHole,
    /// An authorization policy denied it.
    Denied,
    /// A client of a protocol in which the server speaks first got nothing.
    ServerFirst,
    /// The agent's call of a rewritten probe failed.
    ProbeCall,
    /// The metadata server, or credentials that come from it.
    Metadata,
    /// The API server could not call a webhook.
    WebhookCall,
    /// The check of the redirect that CNI should have set up failed.
    CaptureCheck,
    /// iptables refused the redirect.
    CaptureSetup,
    /// A plaintext client was answered in TLS.
    TlsBytes,
    /// A program cannot run on this node at all: another processor's, no threads, no address space.
    CannotRun,
    /// A server says on which address it listens.
    Listening,
    /// The check of the redirect that Linkerd's CNI plugin should have set up failed.
    LinkerdCheck,
    /// The agent does not know a probe that it is asked for.
    ProbeUnknown,
    /// A TLS handshake that came by way of the pod's own proxy ended early.
    HandshakeByProxy,
    /// The node's agent says what it does about a pod: of another pod than the one that wrote it.
    NodeGate,
}

impl Sign {
    /// Whether its lines are kept as they stand, for rules to read; the others are taken apart.
    #[must_use]
    pub fn is_symptom(self) -> bool {
        use Sign::{BindDenied, ProxyNotReady, ProxyReady, ProxyStart, Refused};
        !matches!(self, Refused | ProxyReady | ProxyNotReady | ProxyStart | BindDenied)
    }

    /// Whether its lines only say what was so when something failed, and never that anything did:
    /// healthy pods write them too.
    #[must_use]
    pub fn only_explains(self) -> bool {
        use Sign::{
            ControlPlaneReached, Draining, Listening, NameFailure, NodeGate, ProxyReady,
            ProxyStart, QuitCalled, Reset, Timeout,
        };
        matches!(
            self,
            ControlPlaneReached
                | Draining
                | Listening
                | NameFailure
                | NodeGate
                | ProxyReady
                | ProxyStart
                | QuitCalled
                | Reset
                | Timeout
        )
    }
}

/// A set of [`Sign`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs(u64);

impl Signs {
    /// Adds one.
    pub fn add(&mut self, sign: Sign) {
        self.0 |= 1 << sign as u64;
    }

    /// Takes one out.
    pub fn remove(&mut self, sign: Sign) {
        self.0 &= !(1 << sign as u64);
    }

    /// Whether it holds one.
    #[must_use]
    pub fn has(self, sign: Sign) -> bool {
        self.0 & (1 << sign as u64) != 0
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}
