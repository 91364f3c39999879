//! May this pod have a stand-in, on which ports, as which user; else why not.
//!
//! A stand-in before a proxy that doesn't share its port makes the proxy's own bind fail, which is
//! worse than the fault: only what is known to be safe gets one. The gate alone is harmless
//! everywhere, as it drops refusals of connections that were redirected and nothing else.

use sunup_api::{annotation, container, node};

use crate::mesh::{self, Mesh, Sharing};
use crate::pod::{Container, Pod};
use crate::version::{self, Age, Known, Version};

/// The first kernel that moves a closing listener's queue (`net.ipv4.tcp_migrate_req`).
pub const KERNEL: Version = Version::new(5, 14);

/// What an agent does about a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Stand-in, with the gate behind it.
    StandIn,
    /// The gate alone.
    Gate,
    /// Nothing.
    Nothing,
}

impl Mode {
    /// The word in metrics, logs and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::StandIn => node::STAND_IN,
            Self::Gate => node::GATE,
            Self::Nothing => node::NOTHING,
        }
    }
}

/// Why a pod gets what it gets. Words are permanent: metrics and JSON have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The proxy is known to share its port, and by what.
    ProxyShares(String),
    /// The pod's annotation vouches for it.
    AskedForStandIn,
    /// The pod's annotation asks for the gate alone.
    AskedForGate,
    /// The API server has not told of this pod yet.
    PodUnknown,
    /// A user namespace of its own: the proxy's user is another to the kernel than the pod says.
    UserNamespace,
    /// Packets are handed to a transparent socket, which a stand-in isn't.
    Tproxy,
    /// The kernel can't hand a queue over.
    KernelTooOld(String),
    /// This mesh's proxy doesn't share its ports.
    ProxyNotSharing(&'static str),
    /// The proxy is older than sharing is, and by what that is known.
    ProxyTooOld(String),
    /// Nothing states the version of this image.
    ProxyVersionUnknown(String),
    /// The pod doesn't say as whom its proxy runs.
    ProxyUserUnknown,
    /// The node's own network.
    HostNetwork,
    /// Windows.
    Windows,
    /// No proxy of a mesh.
    NoMesh,
    /// The proxy captures nothing: a gateway, or `interceptionMode: NONE`.
    NotCaptured,
    /// Sunup's own capture brings its gate.
    OwnGate,
    /// The pod's annotation says so.
    TurnedOff,
    /// The pod has ended.
    Ended,
}

impl Reason {
    /// The word in metrics and JSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::ProxyShares(_) => "proxy-shares-port",
            Self::AskedForStandIn => "asked-for-stand-in",
            Self::AskedForGate => "asked-for-gate",
            Self::PodUnknown => "pod-unknown",
            Self::UserNamespace => "user-namespace",
            Self::Tproxy => "tproxy",
            Self::KernelTooOld(_) => "kernel-too-old",
            Self::ProxyNotSharing(_) => "proxy-not-sharing",
            Self::ProxyTooOld(_) => "proxy-too-old",
            Self::ProxyVersionUnknown(_) => "proxy-version-unknown",
            Self::ProxyUserUnknown => "proxy-user-unknown",
            Self::HostNetwork => "host-network",
            Self::Windows => "windows",
            Self::NoMesh => "no-mesh",
            Self::NotCaptured => "not-captured",
            Self::OwnGate => "own-gate",
            Self::TurnedOff => "turned-off",
            Self::Ended => "ended",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = annotation::NODE_GATE;
        match self {
            Self::ProxyShares(by) => write!(f, "the proxy shares its port ({by})"),
            Self::AskedForStandIn => write!(f, "the annotation {key} vouches for the proxy"),
            Self::AskedForGate => write!(f, "the annotation {key} asks for the gate alone"),
            Self::PodUnknown => f.write_str("the API server has not told of this pod yet"),
            Self::UserNamespace => f.write_str("hostUsers: false: its user is another one here"),
            Self::Tproxy => f.write_str("TPROXY: packets are handed to a transparent socket"),
            Self::KernelTooOld(is) => {
                write!(f, "kernel {is}: handing connections over needs {KERNEL}")
            }
            Self::ProxyNotSharing(mesh) => write!(f, "{mesh}'s proxy doesn't share its port"),
            Self::ProxyTooOld(by) => write!(f, "the proxy is too old to share its port ({by})"),
            Self::ProxyVersionUnknown(image) => write!(
                f,
                "nothing states the version of {image}: vouch for it by --assert-reuseport, or by \
                 the annotation {key}: stand-in"
            ),
            Self::ProxyUserUnknown => f.write_str("the pod doesn't say as whom its proxy runs"),
            Self::HostNetwork => f.write_str("hostNetwork"),
            Self::Windows => f.write_str("Windows"),
            Self::NoMesh => f.write_str("no proxy of a known mesh"),
            Self::NotCaptured => f.write_str("its proxy captures nothing"),
            Self::OwnGate => f.write_str("Sunup's capture brings its own gate"),
            Self::TurnedOff => write!(f, "the annotation {key} turns it off"),
            Self::Ended => f.write_str("the pod has ended"),
        }
    }
}

/// What an agent knows of its node and its settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// `uname -r`.
    pub kernel: String,
    /// What is known of proxies' versions.
    pub known: Known,
    /// Inbound connections too. Default off: a fast refusal lets callers fail over.
    pub inbound: bool,
}

/// A port that gets a stand-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Whether capture leads inbound connections to it.
    pub inbound: bool,
}

/// What a pod gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub mode: Mode,
    /// Why.
    pub reason: Reason,
    /// Name of the mesh, where there is one.
    pub mesh: Option<&'static str>,
    /// TCP ports whose refusals are dropped.
    pub gate_ports: Vec<u16>,
    /// Whether refused datagrams to the DNS port are dropped too.
    pub gate_dns: bool,
    /// Ports that get a stand-in.
    pub ports: Vec<Port>,
    /// As whom the proxy binds them.
    pub uid: Option<u32>,
    /// Stand-ins have to wait until istio-validation is over, which binds the ports itself, without
    /// sharing them.
    pub after_validation: bool,
}

impl Decision {
    fn nothing(reason: Reason) -> Self {
        Self {
            mode: Mode::Nothing,
            reason,
            mesh: None,
            gate_ports: Vec::new(),
            gate_dns: false,
            ports: Vec::new(),
            uid: None,
            after_validation: false,
        }
    }

    /// What a pod gets before the API server has told of it: the gate, on the ports that most
    /// meshes have.
    #[must_use]
    pub fn unknown_pod() -> Self {
        let mesh = &mesh::MESHES[0];
        let gate_ports = [mesh.outbound].into_iter().chain(mesh.dns).collect();
        let nothing = Self::nothing(Reason::PodUnknown);
        Self { mode: Mode::Gate, gate_ports, gate_dns: mesh.dns.is_some(), ..nothing }
    }
}

/// What a pod gets on this node, and why.
#[must_use]
pub fn decide(pod: &Pod, host: &Host) -> Decision {
    let (mesh, proxy) = match captured(pod) {
        Ok(captured) => captured,
        Err(reason) => return Decision::nothing(reason),
    };
    let init = pod.container(container::INIT);
    let port = |short, long, or| {
        let named = init.and_then(|init| init.option(short, long));
        named.and_then(|text| text.parse().ok()).unwrap_or(or)
    };
    let mut ports =
        vec![Port { number: port("-p", "--envoy-port", mesh.outbound), inbound: false }];
    if host.inbound {
        let number = port("-z", "--inbound-capture-port", mesh.inbound);
        ports.push(Port { number, inbound: true });
    }
    let user = proxy.security_context.run_as_user;
    let uid = user.or(pod.spec.security_context.run_as_user);
    let refused = unsafe_because(pod, proxy, mesh, uid, host);
    let (mode, reason) = match refused {
        Ok(reason) => (Mode::StandIn, reason),
        Err(reason) => (Mode::Gate, reason),
    };
    Decision {
        mode,
        reason,
        mesh: Some(mesh.name),
        gate_ports: ports.iter().map(|port| port.number).chain(mesh.dns).collect(),
        gate_dns: mesh.dns.is_some(),
        ports: if mode == Mode::StandIn { ports } else { Vec::new() },
        uid,
        after_validation: pod.container(container::VALIDATION).is_some(),
    }
}

/// The mesh that captures a pod's connections, and its proxy; else why nothing is to be done.
fn captured(pod: &Pod) -> Result<(&'static Mesh, &Container), Reason> {
    if pod.is_windows() {
        return Err(Reason::Windows);
    }
    if pod.spec.host_network {
        return Err(Reason::HostNetwork);
    }
    if pod.is_over() {
        return Err(Reason::Ended);
    }
    if pod.annotation(annotation::NODE_GATE) == Some("off") {
        return Err(Reason::TurnedOff);
    }
    let (mesh, proxy) = mesh::of(pod).ok_or(Reason::NoMesh)?;
    let own = |c: &Container| version::name_and_tag(&c.image).0 == "sunup";
    if own(proxy) || pod.container(container::INIT).is_some_and(own) {
        return Err(Reason::OwnGate);
    }
    let router = proxy.args.iter().any(|arg| arg == "router");
    if router || interception(pod, proxy) == Some("NONE") {
        return Err(Reason::NotCaptured);
    }
    Ok((mesh, proxy))
}

/// How Istio captures, where the pod says it.
fn interception<'p>(pod: &'p Pod, proxy: &'p Container) -> Option<&'p str> {
    let asked = pod.annotation(annotation::INTERCEPTION_MODE);
    let init = pod.container(container::INIT);
    let init = init.and_then(|init| init.option("-m", "--istio-inbound-interception-mode"));
    asked.or(init).or(proxy.variable("ISTIO_META_INTERCEPTION_MODE"))
}

/// `Ok` with what makes a stand-in safe, `Err` with what forbids it.
fn unsafe_because(
    pod: &Pod,
    proxy: &Container,
    mesh: &Mesh,
    uid: Option<u32>,
    host: &Host,
) -> Result<Reason, Reason> {
    if pod.spec.host_users == Some(false) {
        return Err(Reason::UserNamespace);
    }
    if interception(pod, proxy) == Some("TPROXY") {
        return Err(Reason::Tproxy);
    }
    if Version::parse(&host.kernel).is_none_or(|kernel| kernel < KERNEL) {
        return Err(Reason::KernelTooOld(host.kernel.clone()));
    }
    if mesh.sharing == Sharing::Never {
        return Err(Reason::ProxyNotSharing(mesh.name));
    }
    let asked = pod.annotation(annotation::NODE_GATE);
    if asked == Some("gate") {
        return Err(Reason::AskedForGate);
    }
    let reason = match version::age(pod, &proxy.image, &host.known) {
        Age::New(by) => Reason::ProxyShares(by),
        Age::Old(by) => return Err(Reason::ProxyTooOld(by)),
        Age::Unknown if asked == Some("stand-in") => Reason::AskedForStandIn,
        Age::Unknown => return Err(Reason::ProxyVersionUnknown(proxy.image.clone())),
    };
    if uid.is_none() {
        return Err(Reason::ProxyUserUnknown);
    }
    Ok(reason)
}

#[cfg(test)]
mod tests;
