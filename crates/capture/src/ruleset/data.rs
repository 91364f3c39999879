//! Tables, sets, chains and rules as data.
//!
//! Must not know from which plan they come.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::settings::PortRange;

/// Name of the table, in each family; nothing outside it is ever touched.
pub const TABLE: &str = "sunup_capture";
/// Name of the table of a gate alone, which a node agent sets: another's than the pod's own.
pub const NODE_TABLE: &str = "sunup_node";

/// Where an ICMP error quotes the protocol and the destination port of the refused packet, in
/// bytes from its own start: header of 8, then the quoted IP header (20, or 40 for IPv6).
pub const QUOTED_V4: [u32; 2] = [8 + 9, 8 + 20 + 2];
/// The same for ICMPv6.
pub const QUOTED_V6: [u32; 2] = [8 + 6, 8 + 40 + 2];

/// Address family of a table: separate tables, since `inet` would capture IPv6 unasked and nat
/// in it needs Linux 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl Family {
    /// Whether an address is of this family.
    #[must_use]
    pub fn has(self, address: IpAddr) -> bool {
        (self == Self::Ip) == address.is_ipv4()
    }

    /// nft's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        }
    }
}

/// One family's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its family.
    pub family: Family,
    /// Named counters.
    pub counters: Vec<&'static str>,
    /// Sets, each before its users.
    pub sets: Vec<Set>,
    /// Chains; jumps only lead to earlier ones.
    pub chains: Vec<Chain>,
}

/// A named set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// Its elements.
    pub content: SetContent,
}

/// What a set holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetContent {
    /// Address ranges, as written (they may overlap).
    Addresses(Vec<IpNet>),
    /// Port ranges.
    Ports(Vec<PortRange>),
    /// Filled by rules, keyed by port or interface; elements may carry a timeout.
    Dynamic {
        /// What the key is.
        key: DynamicKey,
        /// Whether elements can time out.
        timeouts: bool,
    },
}

/// Key of a dynamic set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DynamicKey {
    /// Source port of a TCP segment.
    TcpSport,
    /// Name of the outgoing interface.
    OifName,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where it is hooked in; `None` for one that is jumped to.
    pub base: Option<Base>,
    /// Rules in order.
    pub rules: Vec<Rule>,
}

/// Hook of a base chain; its policy is accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// `nat`, `filter` or `route`.
    pub kind: &'static str,
    /// Whether it sees what is sent (`output`) or what arrives (`prerouting`).
    pub hook: Hook,
    /// Priority, as the classic tables have it.
    pub priority: i32,
    /// The classic table it stands for, for iptables.
    pub classic: &'static str,
}

/// A netfilter hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Arriving packets, before routing.
    Prerouting,
    /// Packets sent by the pod's own processes.
    Output,
}

/// One rule; its id is what [`crate::Decision::rule`] and the comment in the kernel say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Stable id.
    pub id: &'static str,
    /// Matches, then statements.
    pub exprs: Vec<Expr>,
}

impl Rule {
    pub(super) fn new(id: &'static str, exprs: impl Into<Vec<Expr>>) -> Rule {
        Rule { id, exprs: exprs.into() }
    }
}

/// Transport protocol in a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Proto {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Ports in a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// This one.
    Is(u16),
    /// Any but these (few).
    IsNot(Vec<u16>),
    /// Those of a set.
    In(&'static str),
}

/// One match or statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Incoming interface; a trailing `+` is any ending.
    Iif(String),
    /// Outgoing interface.
    Oif(String),
    /// Transport protocol.
    L4(Proto),
    /// Destination port.
    Dport(Proto, Ports),
    /// Source port.
    Sport(Proto, Ports),
    /// Source address in a range.
    Saddr(IpNet),
    /// Destination address in a range, or outside it.
    Daddr {
        /// The range.
        net: IpNet,
        /// Outside instead.
        not: bool,
    },
    /// Destination address in a set.
    DaddrIn(&'static str),
    /// User of the socket.
    Uid(u32),
    /// Primary group of the socket.
    Gid(u32),
    /// Packet mark is, or isn't.
    Mark {
        /// The mark.
        value: u32,
        /// Isn't.
        not: bool,
    },
    /// Connection mark.
    CtMark(u32),
    /// Connection state invalid.
    CtInvalid,
    /// Connection state established or related.
    CtKnown,
    /// The connection was redirected: its destination is another than it asked for.
    CtRedirected,
    /// The second step of a handshake: a listener is there.
    TcpSynAck,
    /// The refusal of a first segment: RST whose sequence number is zero.
    TcpRefusal,
    /// The refusal of a datagram that was sent to this UDP port.
    UdpRefusal(u16),
    /// The key of the packet is in a dynamic set.
    KeyIn(DynamicKey, &'static str),
    /// Add the key, with a timeout.
    AddKey(DynamicKey, &'static str, Option<Duration>),
    /// Remove the key.
    DeleteKey(DynamicKey, &'static str),
    /// Count by a named counter.
    Counter(&'static str),
    /// Set the packet mark.
    SetMark(u32),
    /// Copy the packet mark to the connection.
    SaveMark,
    /// Copy the connection's mark to the packet.
    RestoreMark,
    /// Connection tracking zone.
    Zone(u16),
    /// Destination becomes this port of the pod itself.
    Redirect(u16),
    /// To the transparent listener on this port, with a mark; a rule that drops must follow.
    Tproxy {
        /// Port of the listener.
        port: u16,
        /// Mark for routing to it.
        mark: u32,
    },
    /// Let pass this hook.
    Accept,
    /// Drop.
    Drop,
    /// Back to the calling chain.
    Return,
    /// Into another chain and back.
    Jump(&'static str),
    /// Into another chain.
    Goto(&'static str),
}

/// What must be set beside the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Routing {
    /// Mark and table of TPROXY mode: `ip rule fwmark MARK lookup TABLE`, and a local default
    /// route on `lo` in that table.
    pub tproxy: Option<(u32, u32)>,
    /// The same for IPv6, and the address `::6` on `lo`.
    pub ipv6: bool,
}

/// A plan as rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// Tables, one per family in use.
    pub tables: Vec<Table>,
    /// What must be set beside them.
    pub routing: Routing,
}

/// A plan that can't become rules on this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesetError {
    /// A group name without a number.
    #[error(
        "ISTIO_OUTBOUND_OWNER_GROUPS or …_EXCLUDE: group \"{0}\" is not in this host's /etc/group: \
         write its number"
    )]
    UnknownGroup(String),
    /// DNS capture without resolvers.
    #[error("--redirect-dns: the pod's resolvers are unknown: no /etc/resolv.conf could be read")]
    UnknownResolvers,
}

impl Ruleset {
    /// The TCP ports whose refusals the start gate holds.
    #[must_use]
    pub fn gate_ports(&self) -> Vec<u16> {
        let Some(table) = self.tables.first() else { return Vec::new() };
        let entries = table.chains.iter().flat_map(|chain| &chain.rules);
        let ports =
            entries.filter(|rule| rule.id == "gate").filter_map(|rule| match rule.exprs[0] {
                Expr::Sport(Proto::Tcp, Ports::Is(port)) => Some(port),
                _ => None,
            });
        ports.collect()
    }

    /// A digest over everything that is applied: equal digests, equal rules.
    #[must_use]
    pub fn digest(&self) -> u64 {
        // FNV-1a: short, stable over releases of the compiler, and nobody attacks it here.
        format!("{self:?}").bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}
