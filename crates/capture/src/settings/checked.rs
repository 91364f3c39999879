//! Settings as they hold for one pod's capture.
//!
//! Must not know how anybody writes them.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

use crate::fixed::{INBOUND_PORT, OUTBOUND_PORT, PROXY_UID, TUNNEL_PORT};

/// How inbound connections reach the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// Destination rewritten to the proxy's port (the default).
    #[default]
    Redirect,
    /// Handed to the proxy's socket with addresses untouched.
    Tproxy,
    /// No capture at all: the injector adds no `istio-init` (`interceptionMode: NONE`).
    None,
}

/// Ports from `lo` to `hi`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PortRange {
    /// First port.
    pub lo: u16,
    /// Last port.
    pub hi: u16,
}

impl PortRange {
    /// Whether the port lies in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        self.lo <= port && port <= self.hi
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.lo == self.hi {
            write!(f, "{}", self.lo)
        } else {
            write!(f, "{}-{}", self.lo, self.hi)
        }
    }
}

/// Everything (`*`), or a list that may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Include<T> {
    /// `*`.
    All,
    /// Just these; empty means none.
    Only(Vec<T>),
}

impl<T> Default for Include<T> {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

impl<T> Include<T> {
    /// Whether nothing is included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(list) if list.is_empty())
    }
}

/// An owner group: a number, or a name with the number `/etc/group` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// As the user wrote it.
    pub name: String,
    /// `None` where the host's group file doesn't know the name.
    pub gid: Option<u32>,
}

/// Whose outbound traffic is captured, by primary group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OwnerGroups {
    /// Every group but these (`ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE`).
    AllExcept(Vec<Group>),
    /// These groups alone (`ISTIO_OUTBOUND_OWNER_GROUPS`).
    Only(Vec<Group>),
}

/// The resolvers whose port 53 is captured when not all DNS is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DnsServers {
    /// The pod's own resolv.conf was not handed over.
    Unknown,
    /// Servers, in the order of resolv.conf.
    Known(Vec<IpAddr>),
}

/// Hold early connections instead of letting them be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartGate {
    /// Hold outbound TCP and captured DNS while the proxy isn't listening. Default on.
    pub outbound: bool,
    /// The same for inbound connections. Default off: a fast refusal lets callers fail over.
    pub inbound: bool,
    /// How long after the first held connection refusals are let through; zero means never.
    #[serde(rename = "deadlineMs", serialize_with = "as_ms")]
    pub deadline: Duration,
}

fn as_ms<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

impl Default for StartGate {
    fn default() -> Self {
        Self { outbound: true, inbound: false, deadline: Duration::from_secs(60) }
    }
}

/// Checked settings of one pod's capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Port of the proxy for outbound connections (`-p`). Default 15001.
    pub proxy_port: u16,
    /// Port of the proxy for inbound connections (`-z`). Default 15006.
    pub inbound_capture_port: u16,
    /// Tunnel port that is never redirected (`-e`). Default 15008.
    pub inbound_tunnel_port: u16,
    /// Users whose connections are the proxy's own (`-u`). Default 1337.
    pub proxy_uids: Vec<u32>,
    /// Primary groups whose connections are the proxy's own (`-g`). Default: the uids.
    pub proxy_gids: Vec<u32>,
    /// Socket mark of the proxy's own connections; when set, it is used instead of uid and gid.
    pub proxy_mark: Option<u32>,
    /// Inbound mode (`-m`).
    pub mode: Mode,
    /// Packet mark of TPROXY mode (`-t`). Default 1337.
    pub tproxy_mark: u32,
    /// Routing table of TPROXY mode (`-r`). Default 133.
    pub tproxy_route_table: u32,
    /// Inbound ports captured (`-b`).
    pub inbound_ports_include: Include<PortRange>,
    /// Inbound ports left alone when all are captured (`-d`).
    pub inbound_ports_exclude: Vec<PortRange>,
    /// Outbound ports captured whatever the address (`-q`).
    pub outbound_ports_include: Vec<PortRange>,
    /// Outbound ports left alone (`-o`).
    pub outbound_ports_exclude: Vec<PortRange>,
    /// Outbound address ranges captured (`-i`).
    pub outbound_ranges_include: Include<IpNet>,
    /// Outbound address ranges left alone (`-x`).
    pub outbound_ranges_exclude: Vec<IpNet>,
    /// Interfaces whose incoming traffic is treated as outbound (`-k`).
    pub reroute_virtual_interfaces: Vec<String>,
    /// Interfaces that are not captured in either direction (`-c`).
    pub exclude_interfaces: Vec<String>,
    /// Owner groups filter.
    pub owner_groups: OwnerGroups,
    /// DNS capture (`--redirect-dns`).
    pub redirect_dns: bool,
    /// All of port 53, not just the pod's resolvers (`--capture-all-dns`).
    pub capture_all_dns: bool,
    /// The pod's resolvers.
    pub dns_servers: DnsServers,
    /// Drop packets that connection tracking calls invalid (`--drop-invalid`).
    pub drop_invalid: bool,
    /// Whether IPv6 is captured at all.
    pub enable_ipv6: bool,
    /// IPv4 addresses that count as the application's loopback. Default 127.0.0.1/32.
    pub host_ipv4_loopback: Ipv4Net,
    /// Hold early connections.
    pub start_gate: StartGate,
}

impl Default for Settings {
    /// What istio-init does without any argument: ports and uids set, nothing included.
    fn default() -> Self {
        Self {
            proxy_port: OUTBOUND_PORT,
            inbound_capture_port: INBOUND_PORT,
            inbound_tunnel_port: TUNNEL_PORT,
            proxy_uids: vec![PROXY_UID],
            proxy_gids: vec![PROXY_UID],
            proxy_mark: None,
            mode: Mode::Redirect,
            tproxy_mark: 1337,
            tproxy_route_table: 133,
            inbound_ports_include: Include::default(),
            inbound_ports_exclude: Vec::new(),
            outbound_ports_include: Vec::new(),
            outbound_ports_exclude: Vec::new(),
            outbound_ranges_include: Include::default(),
            outbound_ranges_exclude: Vec::new(),
            reroute_virtual_interfaces: Vec::new(),
            exclude_interfaces: Vec::new(),
            owner_groups: OwnerGroups::AllExcept(Vec::new()),
            redirect_dns: false,
            capture_all_dns: false,
            dns_servers: DnsServers::Unknown,
            drop_invalid: false,
            enable_ipv6: false,
            host_ipv4_loopback: LOOPBACK_V4,
            start_gate: StartGate::default(),
        }
    }
}

/// `ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR`'s default.
const LOOPBACK_V4: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 1), 32);
