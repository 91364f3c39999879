//! The model: what happens to one packet, by which rule, and why, in a user's words.
//!
//! It follows the order in which Istio's rules ask their questions, and is compared with the
//! kernel by the tests of `sunup-sys`. It must not look at the ruleset: two independent
//! readings of the plan are what makes the comparison worth anything.

use std::net::IpAddr;

use crate::fixed::{DNS_PORT, TPROXY_OUTBOUND_MARK};
use crate::plan::{DnsCapture, Identity, Plan, inbound_passthrough, interface_matches};
use crate::settings::{Include, Mode, OwnerGroups, PortRange};

/// Where a packet is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Sent by a process of the pod.
    Outbound,
    /// Arriving at an interface of the pod.
    Inbound,
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Anything else.
    Other,
}

/// The first packet of a connection. `None` is "not known": the likely case is assumed, and the
/// assumption is part of the [`Decision`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Where it is seen.
    pub direction: Direction,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Source address.
    pub source: Option<IpAddr>,
    /// Destination address.
    pub destination: IpAddr,
    /// Destination port.
    pub port: Option<u16>,
    /// Outgoing or incoming interface. The pod's own addresses are reached over `lo` too.
    pub interface: Option<String>,
    /// User of the sending process (outbound).
    pub uid: Option<u32>,
    /// Primary group of the sending process (outbound).
    pub gid: Option<u32>,
    /// Mark of the sending socket (outbound) or of the packet (inbound).
    pub mark: Option<u32>,
}

impl Packet {
    /// An outbound TCP connection of an ordinary process.
    #[must_use]
    pub fn outbound(destination: IpAddr, port: Option<u16>) -> Self {
        Self {
            direction: Direction::Outbound,
            protocol: Protocol::Tcp,
            source: None,
            destination,
            port,
            interface: None,
            uid: None,
            gid: None,
            mark: None,
        }
    }

    /// An inbound TCP connection from outside the pod.
    #[must_use]
    pub fn inbound(destination: IpAddr, port: Option<u16>) -> Self {
        Self { direction: Direction::Inbound, ..Self::outbound(destination, port) }
    }

    fn on_lo(&self) -> bool {
        match &self.interface {
            Some(name) => name == "lo",
            None => self.destination.is_loopback(),
        }
    }

    fn port_in(&self, ranges: &[PortRange]) -> Option<PortRange> {
        let port = self.port?;
        ranges.iter().copied().find(|range| range.contains(port))
    }
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// To the proxy, at this port.
    Captured {
        /// Port of the proxy.
        port: u16,
    },
    /// Where it was sent, past the proxy.
    Direct,
    /// Nowhere.
    Dropped,
}

/// What happens to a packet, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Where it goes.
    pub verdict: Verdict,
    /// Stable id of the rule that decided.
    pub rule: &'static str,
    /// The reason in words, one sentence.
    pub why: String,
    /// What was assumed for want of knowledge.
    pub assumed: Vec<String>,
}

impl Decision {
    /// Whether the proxy gets the packet.
    #[must_use]
    pub fn is_captured(&self) -> bool {
        matches!(self.verdict, Verdict::Captured { .. })
    }
}

type Ruling = (Verdict, &'static str, String);

fn direct(rule: &'static str, why: impl Into<String>) -> Ruling {
    (Verdict::Direct, rule, why.into())
}

fn captured(port: u16, rule: &'static str, why: impl Into<String>) -> Ruling {
    (Verdict::Captured { port }, rule, why.into())
}

impl Plan {
    /// Whether an outbound TCP connection of the pod is captured. An unknown uid is taken for
    /// an ordinary one, not the proxy's.
    #[must_use]
    pub fn outbound(&self, address: IpAddr, port: Option<u16>, uid: Option<u32>) -> Decision {
        self.decide(&Packet { uid, ..Packet::outbound(address, port) })
    }

    /// Whether an inbound TCP connection from outside the pod is captured.
    #[must_use]
    pub fn inbound(&self, address: IpAddr, port: Option<u16>) -> Decision {
        self.decide(&Packet::inbound(address, port))
    }

    /// What happens to the first packet of a connection once capture is in force.
    #[must_use]
    pub fn decide(&self, packet: &Packet) -> Decision {
        let (verdict, rule, why) =
            self.not_at_all(packet).unwrap_or_else(|| match packet.direction {
                Direction::Outbound => self.outbound_rules(packet),
                Direction::Inbound => self.inbound_rules(packet),
            });
        Decision { verdict, rule, why, assumed: self.assumptions(packet, rule) }
    }

    fn not_at_all(&self, packet: &Packet) -> Option<Ruling> {
        if !self.is_active() {
            let why = "interceptionMode NONE: no traffic of this pod is captured";
            return Some(direct("interception-none", why));
        }
        if packet.destination.is_ipv6() && !self.settings().enable_ipv6 {
            let why = format!(
                "{} is IPv6, which isn't captured here: the pod's first address is IPv4",
                packet.destination
            );
            return Some(direct("ipv6-not-captured", why));
        }
        if packet.destination.is_multicast() && packet.protocol == Protocol::Tcp {
            let why =
                format!("{} is multicast: there are no TCP connections to it", packet.destination);
            return Some(direct("multicast", why));
        }
        let name = packet.interface.as_deref()?;
        let pattern =
            self.settings().exclude_interfaces.iter().find(|p| interface_matches(p, name))?;
        let why = format!("interface {name} is excluded (excludeInterfaces: {pattern})");
        Some(direct("interface-excluded", why))
    }

    fn outbound_rules(&self, packet: &Packet) -> Ruling {
        let s = self.settings();
        let to = shown(packet);
        let ported = packet.protocol != Protocol::Other;
        if let Some(range) = packet.port_in(&s.outbound_ports_exclude).filter(|_| ported) {
            return self.then_tproxy(
                packet,
                direct(
                    "outbound-port-excluded",
                    format!(
                        "port {range} is excluded from outbound capture (excludeOutboundPorts)"
                    ),
                ),
            );
        }
        if packet.on_lo() && packet.source.is_some_and(inbound_passthrough) {
            return self.then_tproxy(packet, direct(
                "proxy-to-application",
                "it comes from the proxy's inbound side (127.0.0.6 or ::6) and is meant for the \
                 application",
            ));
        }
        if let Some(ruling) = self.proxys_own(packet) {
            return self.then_tproxy(packet, ruling);
        }
        if let Some(ruling) = self.by_group(packet) {
            return self.then_tproxy(packet, ruling);
        }
        if let Some(ruling) = self.by_dns(packet) {
            return ruling;
        }
        let loopback = self.loopback_of(packet.destination);
        let ruling = if loopback.contains(&packet.destination) {
            direct(
                "loopback",
                format!("{to} is loopback: Istio's outbound rules never redirect {loopback}"),
            )
        } else if let Some(range) =
            s.outbound_ranges_exclude.iter().find(|range| range.contains(&packet.destination))
        {
            let why = format!(
                "{to} lies in {range}, excluded from outbound capture (excludeOutboundIPRanges)"
            );
            direct("outbound-range-excluded", why)
        } else if packet.protocol != Protocol::Tcp {
            direct("not-tcp", "only TCP is captured (and DNS, where DNS capture is on)")
        } else if let Some(range) = packet.port_in(&s.outbound_ports_include) {
            let why =
                format!("port {range} is captured whatever the address (includeOutboundPorts)");
            captured(s.proxy_port, "outbound-port-included", why)
        } else {
            self.by_range(packet.destination, &to)
        };
        self.then_tproxy(packet, ruling)
    }

    fn by_range(&self, destination: IpAddr, to: &str) -> Ruling {
        let s = self.settings();
        match &s.outbound_ranges_include {
            Include::All => captured(
                s.proxy_port,
                "outbound",
                format!(
                    "{to} is outbound TCP: it is redirected to the proxy's port {}",
                    s.proxy_port
                ),
            ),
            Include::Only(ranges) => match ranges.iter().find(|r| r.contains(&destination)) {
                Some(range) => captured(
                    s.proxy_port,
                    "outbound-range-included",
                    format!("{to} lies in {range}, captured by includeOutboundIPRanges"),
                ),
                None if ranges.is_empty() => direct(
                    "outbound-range-not-included",
                    "no outbound address range is captured (includeOutboundIPRanges is empty)",
                ),
                None => direct(
                    "outbound-range-not-included",
                    format!("{to} lies in none of the captured ranges (includeOutboundIPRanges)"),
                ),
            },
        }
    }

    /// Rules about the proxy's own traffic and about loopback, asked per identity in order.
    fn proxys_own(&self, packet: &Packet) -> Option<Ruling> {
        let s = self.settings();
        let on_lo = packet.on_lo();
        let tcp = packet.protocol == Protocol::Tcp;
        let to_dns = packet.port == Some(53);
        for identity in self.identities() {
            let is_proxy = carries(packet, *identity);
            // The rule for groups lacks the exception for port 53: Istio's own asymmetry.
            let spared = packet.port == Some(s.inbound_tunnel_port)
                || (self.dns().is_on() && to_dns && !matches!(identity, Identity::Gid(_)));
            let own_loopback = self.loopback_of(packet.destination).contains(&packet.destination);
            if is_proxy && on_lo && tcp && !spared && !own_loopback {
                let why = format!(
                    "the proxy ({identity}) calls the pod's own address {}: handed to its inbound \
                     side",
                    packet.destination
                );
                return Some(captured(s.inbound_capture_port, "proxy-to-self", why));
            }
            let loopback_rule =
                !self.loopback_included() && on_lo && (!self.dns().is_on() || (tcp && !to_dns));
            if loopback_rule && !is_proxy {
                let why = format!(
                    "{} is loopback: what a process of the pod sends over lo is never redirected",
                    shown(packet)
                );
                return Some(direct("loopback", why));
            }
            if is_proxy {
                let why =
                    format!("the sender is the proxy ({identity}): its own traffic is left alone");
                return Some(direct("proxy-itself", why));
            }
        }
        None
    }

    fn by_group(&self, packet: &Packet) -> Option<Ruling> {
        let named = |groups: &[crate::settings::Group]| {
            groups.iter().find(|g| g.gid.is_some() && g.gid == packet.gid).map(|g| g.name.clone())
        };
        match &self.settings().owner_groups {
            OwnerGroups::AllExcept(groups) => {
                let name = named(groups)?;
                let why = format!("traffic of group {name} is excluded (owner groups exclude)");
                Some(direct("owner-group-excluded", why))
            }
            OwnerGroups::Only(groups) if named(groups).is_some() => None,
            OwnerGroups::Only(_) => {
                let why = "only traffic of certain owner groups is captured, and the sender's group \
                           is none of them";
                Some(direct("owner-group-not-included", why))
            }
        }
    }

    fn by_dns(&self, packet: &Packet) -> Option<Ruling> {
        if packet.port != Some(53) || packet.protocol == Protocol::Other {
            return None;
        }
        match self.dns() {
            DnsCapture::Off => return None,
            DnsCapture::Servers(servers) if !servers.contains(&packet.destination) => return None,
            _ => {}
        }
        let why = format!("DNS to {} goes to the proxy's port {DNS_PORT}", packet.destination);
        Some(captured(DNS_PORT, "dns", why))
    }

    /// Over `lo`, what goes direct on the way out still passes the inbound rules of TPROXY.
    fn then_tproxy(&self, packet: &Packet, ruling: Ruling) -> Ruling {
        let s = self.settings();
        if s.mode != Mode::Tproxy || ruling.0 != Verdict::Direct || !packet.on_lo() {
            return ruling;
        }
        let marked = packet.mark.unwrap_or(0);
        let own_loopback = self.loopback_of(packet.destination).contains(&packet.destination);
        let is_proxy = self.identities().iter().any(|id| carries(packet, *id));
        let remarked = is_proxy && !own_loopback && marked != s.tproxy_mark;
        let arriving = Packet {
            direction: Direction::Inbound,
            interface: Some("lo".into()),
            mark: Some(if remarked { TPROXY_OUTBOUND_MARK } else { marked }),
            ..packet.clone()
        };
        match self.tproxy_rules(&arriving) {
            Some(inbound) if matches!(inbound.0, Verdict::Captured { .. }) => inbound,
            _ => ruling,
        }
    }

    fn inbound_rules(&self, packet: &Packet) -> Ruling {
        let s = self.settings();
        if s.mode == Mode::Tproxy
            && let Some(ruling @ (Verdict::Captured { .. }, ..)) = self.tproxy_rules(packet)
        {
            return ruling;
        }
        let name = packet.interface.as_deref().unwrap_or_default();
        if s.reroute_virtual_interfaces.iter().any(|p| interface_matches(p, name)) {
            let tcp = packet.protocol == Protocol::Tcp;
            let to = shown(packet);
            let by_range = self.by_range(packet.destination, &to);
            if tcp && matches!(by_range.0, Verdict::Captured { .. }) {
                let why =
                    format!("what arrives from {name} is a VM's outbound traffic: {}", by_range.2);
                return captured(s.proxy_port, "virtual-interface", why);
            }
            let why = format!(
                "what arrives from {name} is a VM's outbound traffic, and this isn't captured"
            );
            return direct("virtual-interface", why);
        }
        if packet.protocol != Protocol::Tcp {
            return direct("not-tcp", "only TCP is captured inbound");
        }
        if packet.on_lo() {
            let why = "it came over lo: outbound rules have decided already";
            return direct("loopback-inbound", why);
        }
        if s.mode == Mode::Tproxy {
            return self.tproxy_rules(packet).unwrap_or_else(|| not_inbound(packet));
        }
        if packet.port == Some(s.inbound_tunnel_port) {
            let why = format!(
                "port {} is the mesh's tunnel port: never redirected",
                s.inbound_tunnel_port
            );
            return direct("tunnel-port", why);
        }
        self.by_inbound_port(packet)
    }

    fn by_inbound_port(&self, packet: &Packet) -> Ruling {
        let s = self.settings();
        match &s.inbound_ports_include {
            Include::All => match packet.port_in(&s.inbound_ports_exclude) {
                Some(range) => direct(
                    "inbound-port-excluded",
                    format!("port {range} is excluded from inbound capture (excludeInboundPorts)"),
                ),
                None => captured(
                    s.inbound_capture_port,
                    "inbound",
                    format!("inbound TCP goes to the proxy's port {}", s.inbound_capture_port),
                ),
            },
            Include::Only(ranges) => match packet.port_in(ranges) {
                Some(range) => captured(
                    s.inbound_capture_port,
                    "inbound-port-included",
                    format!("port {range} is captured inbound (includeInboundPorts)"),
                ),
                None => not_inbound(packet),
            },
        }
    }

    /// The mangle rules; `None` where they have nothing to say.
    fn tproxy_rules(&self, packet: &Packet) -> Option<Ruling> {
        let s = self.settings();
        if packet.protocol != Protocol::Tcp || s.inbound_ports_include.is_empty() {
            return None;
        }
        let mark = packet.mark.unwrap_or(0);
        if mark == s.tproxy_mark {
            let why = format!(
                "the packet carries mark {mark}: the proxy's own connection to the application"
            );
            return Some(direct("proxy-to-application", why));
        }
        if packet.on_lo() {
            if packet.source.is_some_and(inbound_passthrough) {
                let why = "it comes from the proxy's inbound side (127.0.0.6 or ::6)";
                return Some(direct("proxy-to-application", why));
            }
            if mark != TPROXY_OUTBOUND_MARK {
                return Some(direct("loopback-inbound", "it came over lo and not from the proxy"));
            }
        }
        let ruling = self.by_inbound_port(packet);
        let own_loopback = self.loopback_of(packet.destination).contains(&packet.destination);
        if own_loopback && ruling.0 != Verdict::Direct {
            return Some(direct("loopback-inbound", "loopback is never handed to the proxy"));
        }
        Some(ruling)
    }

    /// Only the assumptions that could have changed the outcome.
    fn assumptions(&self, packet: &Packet, rule: &'static str) -> Vec<String> {
        let s = self.settings();
        let mut out = Vec::new();
        let never = ["interception-none", "ipv6-not-captured", "multicast", "interface-excluded"];
        if never.contains(&rule) {
            return out;
        }
        if packet.direction == Direction::Outbound {
            let anonymous = packet.uid.is_none() && packet.gid.is_none() && packet.mark.is_none();
            if anonymous && rule != "loopback" {
                out.push("the sender is an ordinary process, not the proxy".to_owned());
            }
            let by_group = match &s.owner_groups {
                OwnerGroups::AllExcept(groups) => !groups.is_empty(),
                OwnerGroups::Only(_) => true,
            };
            if by_group && packet.gid.is_none() && rule != "loopback" {
                out.push("the sender's group is none of the listed ones".to_owned());
            }
            if *self.dns() == DnsCapture::UnknownServers && rule == "dns" {
                out.push(format!("{} is one of the pod's resolvers", packet.destination));
            }
        }
        let ports_matter = match packet.direction {
            Direction::Outbound => {
                !s.outbound_ports_exclude.is_empty() || !s.outbound_ports_include.is_empty()
            }
            Direction::Inbound => true,
        };
        if packet.port.is_none() && ports_matter {
            out.push("the port is none of the listed ones".to_owned());
        }
        out
    }
}

fn not_inbound(packet: &Packet) -> Ruling {
    let port = packet.port.map_or("this port".to_owned(), |port| format!("port {port}"));
    let why = format!("{port} is not captured inbound (includeInboundPorts)");
    direct("inbound-port-not-included", why)
}

fn carries(packet: &Packet, identity: Identity) -> bool {
    match identity {
        Identity::Uid(id) => packet.uid == Some(id),
        Identity::Gid(id) => packet.gid == Some(id),
        Identity::Mark(mark) => packet.mark == Some(mark),
    }
}

fn shown(packet: &Packet) -> String {
    match packet.port {
        Some(port) => std::net::SocketAddr::new(packet.destination, port).to_string(),
        None => packet.destination.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Host, Injection, Settings};

    fn plan(args: &[&str]) -> Plan {
        Plan::new(Settings::from_args(args, &[], &Host::default()).unwrap())
    }

    fn rule(plan: &Plan, to: &str, port: u16, uid: Option<u32>) -> &'static str {
        plan.outbound(to.parse().unwrap(), Some(port), uid).rule
    }

    #[test]
    fn a_default_mesh_captures_outbound_tcp() {
        let plan = Plan::new(Settings::mesh_default());
        let decision = plan.outbound("10.0.0.5".parse().unwrap(), Some(6379), None);
        assert_eq!(decision.verdict, Verdict::Captured { port: 15001 });
        assert_eq!(decision.rule, "outbound");
        assert_eq!(decision.assumed.len(), 1);
        assert_eq!(rule(&plan, "127.0.0.1", 5432, None), "loopback");
        assert_eq!(rule(&plan, "127.9.9.9", 5432, None), "loopback");
        assert_eq!(rule(&plan, "10.0.0.5", 6379, Some(1337)), "proxy-itself");
        assert_eq!(rule(&plan, "fd00::5", 6379, None), "ipv6-not-captured");
        assert_eq!(
            plan.inbound("10.0.0.7".parse().unwrap(), Some(8080)).verdict,
            Verdict::Captured { port: 15006 }
        );
        assert_eq!(
            plan.inbound("10.0.0.7".parse().unwrap(), Some(15021)).rule,
            "inbound-port-excluded"
        );
        assert_eq!(plan.inbound("10.0.0.7".parse().unwrap(), Some(15008)).rule, "tunnel-port");
    }

    #[test]
    fn exclusions_come_with_their_reason() {
        let plan = plan(&["-i", "*", "-x", "10.0.9.0/24", "-o", "3306", "-b", "*"]);
        let vault = plan.outbound("10.0.9.9".parse().unwrap(), Some(8200), None);
        assert_eq!((vault.verdict, vault.rule), (Verdict::Direct, "outbound-range-excluded"));
        assert!(vault.why.contains("10.0.9.0/24"), "{}", vault.why);
        assert_eq!(rule(&plan, "10.0.0.5", 3306, None), "outbound-port-excluded");
        assert_eq!(rule(&plan, "10.0.0.5", 3307, None), "outbound");
    }

    #[test]
    fn excluded_ranges_win_over_included_ports_and_ranges() {
        let plan = plan(&["-i", "10.0.0.0/8", "-x", "10.1.0.0/16", "-q", "443"]);
        assert_eq!(rule(&plan, "10.1.2.3", 443, None), "outbound-range-excluded");
        assert_eq!(rule(&plan, "192.0.2.1", 443, None), "outbound-port-included");
        assert_eq!(rule(&plan, "10.2.2.3", 80, None), "outbound-range-included");
        assert_eq!(rule(&plan, "192.0.2.1", 80, None), "outbound-range-not-included");
    }

    #[test]
    fn loopback_is_captured_only_when_named() {
        let plan = plan(&["-i", "127.1.2.3/32"]);
        assert_eq!(rule(&plan, "127.1.2.3", 80, None), "outbound-range-included");
        assert_eq!(rule(&plan, "127.0.0.1", 80, None), "loopback");
    }

    #[test]
    fn the_proxy_calling_its_own_pod_reaches_its_inbound_side() {
        let plan = plan(&["-i", "*", "-b", "*"]);
        let packet = Packet {
            interface: Some("lo".into()),
            uid: Some(1337),
            ..Packet::outbound("10.0.0.7".parse().unwrap(), Some(8080))
        };
        assert_eq!(plan.decide(&packet).verdict, Verdict::Captured { port: 15006 });
        let to_app = Packet { source: Some("127.0.0.6".parse().unwrap()), ..packet.clone() };
        assert_eq!(plan.decide(&to_app).rule, "proxy-to-application");
        let tunnel = Packet { port: Some(15008), ..packet };
        assert_eq!(plan.decide(&tunnel).rule, "proxy-itself");
    }

    #[test]
    fn dns_of_unknown_resolvers_is_an_assumption() {
        let plan = plan(&["-i", "*", "--redirect-dns"]);
        let query = Packet {
            protocol: Protocol::Udp,
            ..Packet::outbound("10.0.0.10".parse().unwrap(), Some(53))
        };
        let decision = plan.decide(&query);
        assert_eq!(decision.verdict, Verdict::Captured { port: 15053 });
        assert!(decision.assumed.iter().any(|a| a.contains("resolvers")), "{decision:?}");
    }

    #[test]
    fn no_capture_without_interception() {
        let injection =
            Injection::from_annotations([("sidecar.istio.io/interceptionMode", "NONE")]);
        let plan = Plan::new(injection.settings().unwrap());
        assert_eq!(rule(&plan, "10.0.0.5", 80, None), "interception-none");
    }
}
