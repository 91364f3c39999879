//! The normalised plan: what settings come to once their special cases are worked out.
//!
//! Both readers of a plan, the model ([`Plan::decide`]) and the ruleset, start from here, so
//! that a special case is decided in one place.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::settings::{DnsServers, Include, Mode, Settings};

/// By what the proxy's own connections are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Effective user of the socket's owner.
    Uid(u32),
    /// Primary group of the socket's owner.
    Gid(u32),
    /// Mark of the socket.
    Mark(u32),
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uid(id) => write!(f, "uid {id}"),
            Self::Gid(id) => write!(f, "gid {id}"),
            Self::Mark(mark) => write!(f, "socket mark {mark}"),
        }
    }
}

/// Which DNS queries go to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsCapture {
    /// None.
    Off,
    /// Everything to port 53.
    All,
    /// Port 53 of these servers.
    Servers(Vec<IpAddr>),
    /// Port 53 of the pod's resolvers, which nobody has told us.
    UnknownServers,
}

impl DnsCapture {
    /// Whether DNS is captured at all; Istio's rules for other traffic differ by this alone,
    /// not by address family.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::Off
    }
}

/// A pod's capture, normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    settings: Settings,
    identities: Vec<Identity>,
    dns: DnsCapture,
    loopback_included: bool,
}

impl Plan {
    /// Works the special cases out.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let identities = match settings.proxy_mark {
            Some(mark) => vec![Identity::Mark(mark)],
            None => {
                let uids = settings.proxy_uids.iter().copied().map(Identity::Uid);
                uids.chain(settings.proxy_gids.iter().copied().map(Identity::Gid)).collect()
            }
        };
        let dns = match &settings.dns_servers {
            _ if !settings.redirect_dns => DnsCapture::Off,
            _ if settings.capture_all_dns => DnsCapture::All,
            DnsServers::Unknown => DnsCapture::UnknownServers,
            DnsServers::Known(servers) if servers.is_empty() => DnsCapture::Off,
            DnsServers::Known(servers) => DnsCapture::Servers(servers.clone()),
        };
        // Istio looks at the address as written: 127.0.0.0/8 counts, 0.0.0.0/0 doesn't.
        let loopback_included = matches!(&settings.outbound_ranges_include,
            Include::Only(ranges) if ranges.iter().any(|range| range.addr().is_loopback()));
        Self { settings, identities, dns, loopback_included }
    }

    /// The settings behind the plan.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// By what the proxy is known, in the order the rules ask.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// Which DNS queries go to the proxy.
    #[must_use]
    pub fn dns(&self) -> &DnsCapture {
        &self.dns
    }

    /// Whether a captured range begins with a loopback address: only then can an application's
    /// connection over the loopback interface be captured.
    #[must_use]
    pub fn loopback_included(&self) -> bool {
        self.loopback_included
    }

    /// Whether anything is captured at all.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.settings.mode != Mode::None
    }

    /// The loopback range of an address's family that counts as the application's own.
    #[must_use]
    pub fn loopback_of(&self, address: IpAddr) -> IpNet {
        match address {
            IpAddr::V4(_) => IpNet::V4(self.settings.host_ipv4_loopback.trunc()),
            IpAddr::V6(_) => IpNet::from(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)),
        }
    }

    /// Settings that are legal but don't do what they seem to say.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let s = &self.settings;
        let mut out = Vec::new();
        if s.redirect_dns && !self.dns.is_on() {
            out.push(
                "DNS capture is off after all: no server in /etc/resolv.conf, and not all DNS is \
                 asked for (--capture-all-dns)"
                    .to_owned(),
            );
        }
        if !s.inbound_ports_exclude.is_empty() && s.inbound_ports_include != Include::All {
            out.push(
                "excluded inbound ports have no effect: they count only when all inbound ports \
                 (\"*\") are captured"
                    .to_owned(),
            );
        }
        if s.mode == Mode::Tproxy && s.start_gate.inbound {
            out.push(
                "the inbound start gate is not needed in TPROXY mode: packets without a listener \
                 are dropped, never refused"
                    .to_owned(),
            );
        }
        out
    }
}

/// `127.0.0.6` and `::6`: the proxy's inbound side connects to the application from these.
pub(crate) fn inbound_passthrough(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets() == [127, 0, 0, 6],
        IpAddr::V6(v6) => v6.segments() == [0, 0, 0, 0, 0, 0, 0, 6],
    }
}

/// Whether an interface carries this name; a trailing `+` stands for any ending.
pub(crate) fn interface_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('+') {
        Some(stem) => name.starts_with(stem),
        None => pattern == name,
    }
}
