//! Carrying a ruleset out in the calling thread's network namespace: apply, check, clean.

use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;
use sunup_capture::ruleset::{Family, Routing, TABLE};
use sunup_capture::{Plan, Ruleset};

use crate::netlink::{NetlinkError, Socket};
use crate::nft::{self, Existing};
use crate::route;

pub use crate::iptables::{Binary, IptablesError};
pub use crate::nft::{GateState, PortState, TableState};

/// How often a transaction is tried again when others change rules meanwhile.
const ATTEMPTS: u32 = 20;

/// What applying came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The rules are new.
    Created,
    /// Older rules of ours were replaced.
    Replaced,
    /// The very same rules were in force already: nothing was touched.
    Unchanged,
    /// Nothing is to be captured: rules of ours were removed if there were any.
    Nothing,
}

/// Capture could not be set, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// nf_tables can't be used here.
    #[error("{0}")]
    Unusable(Box<Unusable>),
    /// The kernel refused; the namespace is as it was.
    #[error("{0}; nothing was changed")]
    Refused(#[source] NetlinkError),
    /// The rules could not be read.
    #[error("{0}")]
    Unreadable(#[source] NetlinkError),
    /// Others changed rules all the time.
    #[error("somebody else keeps changing nftables rules here: gave up after {ATTEMPTS} attempts")]
    Contended,
    /// The iptables backend failed.
    #[error(transparent)]
    Iptables(#[from] IptablesError),
}

/// Why nf_tables can't be used, what was probed, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("nftables can't be used here: {why}\n  probed: {probed}\n  {advice}")]
pub struct Unusable {
    why: String,
    probed: String,
    advice: &'static str,
}

pub(crate) fn open() -> Result<Socket, CaptureError> {
    let mut socket =
        Socket::open(Some(NETFILTER)).map_err(|e| unusable(&e, "the netlink socket"))?;
    nft::generation(&mut socket)
        .map_err(|e| unusable(&e, "the netlink socket (works), the nf_tables subsystem"))?;
    Ok(socket)
}

fn unusable(error: &NetlinkError, probed: &str) -> CaptureError {
    let advice = match error.errno() {
        Some(Errno::PERM | Errno::ACCESS) => {
            "the container needs the capability NET_ADMIN (securityContext.capabilities.add), or \
             run in a user namespace that owns this network namespace"
        }
        _ => {
            "load the module nf_tables on the node (modprobe nf_tables), or use --backend iptables"
        }
    };
    CaptureError::Unusable(Box::new(Unusable {
        why: error.to_string(),
        probed: probed.to_owned(),
        advice,
    }))
}

/// Puts a ruleset in force: as one transaction, all or nothing. In force already: no change.
///
/// # Errors
/// See [`CaptureError`]; the namespace is then as it was.
pub fn apply(ruleset: &Ruleset) -> Result<Applied, CaptureError> {
    apply_as(TABLE, ruleset)
}

/// [`apply`], to tables of a name.
pub(crate) fn apply_as(table: &str, ruleset: &Ruleset) -> Result<Applied, CaptureError> {
    let mut socket = open()?;
    for _ in 0..ATTEMPTS {
        let generation = nft::generation(&mut socket).map_err(CaptureError::Unreadable)?;
        let old = nft::existing(&mut socket, table).map_err(CaptureError::Unreadable)?;
        let whole =
            in_force(&mut socket, table, ruleset, &old).map_err(CaptureError::Unreadable)?;
        let added = Added::make(ruleset.routing).map_err(CaptureError::Refused)?;
        if whole {
            return Ok(if old.is_empty() { Applied::Nothing } else { Applied::Unchanged });
        }
        let families: Vec<Family> = old.iter().map(|old| old.family).collect();
        match nft::replace(&mut socket, generation, table, &families, Some(ruleset)) {
            Ok(()) => {
                drop_stale(&old, ruleset.routing);
                return Ok(match (ruleset.tables.is_empty(), old.is_empty()) {
                    (true, _) => Applied::Nothing,
                    (false, true) => Applied::Created,
                    (false, false) => Applied::Replaced,
                });
            }
            Err(error) => {
                added.undo();
                if !matches!(error.errno(), Some(Errno::RESTART | Errno::EXIST)) {
                    return Err(refused(error));
                }
            }
        }
    }
    Err(CaptureError::Contended)
}

/// A refusal for want of privilege or of a kernel module says what to do about it.
fn refused(error: NetlinkError) -> CaptureError {
    match error.errno() {
        Some(
            Errno::PERM | Errno::ACCESS | Errno::NOENT | Errno::OPNOTSUPP | Errno::AFNOSUPPORT,
        ) => unusable(&error, "the netlink socket (works), nf_tables (works), this ruleset"),
        _ => CaptureError::Refused(error),
    }
}

fn in_force(
    socket: &mut Socket,
    table: &str,
    ruleset: &Ruleset,
    old: &[Existing],
) -> Result<bool, NetlinkError> {
    let same = old.len() == ruleset.tables.len()
        && old.iter().all(|t| t.note.as_ref().is_some_and(|n| n.digest == ruleset.digest()));
    if !same {
        return Ok(false);
    }
    let states = nft::compare(socket, table, ruleset)?;
    Ok(states.iter().all(|(_, state)| *state == TableState::Whole))
}

/// Routing of earlier settings that the new ones don't need.
fn drop_stale(old: &[Existing], now: Routing) {
    for before in old.iter().filter_map(|table| Some(table.note.as_ref()?.routing)) {
        if before.tproxy.is_some() && before.tproxy != now.tproxy {
            // Harmless where it fails: nothing carries the mark any more.
            let _ = remove_routing(before);
        }
    }
}

/// Routing that this run added, to be taken back should the rules be refused.
#[derive(Default)]
struct Added {
    rules: Vec<(bool, u32, u32)>,
    routes: Vec<(bool, u32)>,
}

impl Added {
    fn make(routing: Routing) -> Result<Self, NetlinkError> {
        let mut added = Self::default();
        match added.fill(routing) {
            Ok(()) => Ok(added),
            Err(error) => {
                added.undo();
                Err(error)
            }
        }
    }

    fn fill(&mut self, routing: Routing) -> Result<(), NetlinkError> {
        if routing.ipv6 {
            // The proxy's inbound side binds to it; without the prefix of 127.0.0.0/8, IPv6 needs
            // it spelled out.
            let six = std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6);
            route::add_address("lo", ipnet::IpNet::from(std::net::IpAddr::V6(six)))?;
        }
        let Some((mark, table)) = routing.tproxy else { return Ok(()) };
        for ipv6 in [false, true].into_iter().filter(|v6| !v6 || routing.ipv6) {
            if route::add_mark_rule(ipv6, mark, table)? {
                self.rules.push((ipv6, mark, table));
            }
            if route::add_local_route(ipv6, table)? {
                self.routes.push((ipv6, table));
            }
        }
        Ok(())
    }

    fn undo(self) {
        for (ipv6, mark, table) in self.rules {
            let _ = route::remove_mark_rule(ipv6, mark, table);
        }
        for (ipv6, table) in self.routes {
            let _ = route::remove_local_route(ipv6, table);
        }
    }
}

fn remove_routing(routing: Routing) -> Result<(), NetlinkError> {
    let Some((mark, table)) = routing.tproxy else { return Ok(()) };
    for ipv6 in [false, true].into_iter().filter(|v6| !v6 || routing.ipv6) {
        route::remove_mark_rule(ipv6, mark, table)?;
        route::remove_local_route(ipv6, table)?;
    }
    Ok(())
}

/// Removes our tables and the routing they came with, and nothing else; whether there was
/// anything to remove. The address `::6` stays: it may be in use.
///
/// # Errors
/// See [`CaptureError`].
pub fn clean() -> Result<bool, CaptureError> {
    clean_as(TABLE)
}

/// [`clean`], of tables of a name.
pub(crate) fn clean_as(table: &str) -> Result<bool, CaptureError> {
    let mut socket = open()?;
    for _ in 0..ATTEMPTS {
        let generation = nft::generation(&mut socket).map_err(CaptureError::Unreadable)?;
        let old = nft::existing(&mut socket, table).map_err(CaptureError::Unreadable)?;
        if old.is_empty() {
            return Ok(false);
        }
        let families: Vec<Family> = old.iter().map(|old| old.family).collect();
        match nft::replace(&mut socket, generation, table, &families, None) {
            Ok(()) => {
                for routing in old.iter().filter_map(|t| Some(t.note.as_ref()?.routing)) {
                    remove_routing(routing).map_err(CaptureError::Unreadable)?;
                }
                return Ok(true);
            }
            Err(error) if error.errno() == Some(Errno::RESTART) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Err(CaptureError::Contended)
}

/// Puts a plan in force through `iptables-restore`: atomic per table, not as a whole.
///
/// # Errors
/// See [`CaptureError`].
pub fn apply_iptables(plan: &Plan, binary: Binary) -> Result<(), CaptureError> {
    let routing = match Ruleset::new(plan) {
        Ok(ruleset) => ruleset.routing,
        // Names that only nftables needs resolved: iptables resolves them itself.
        Err(_) => Routing::default(),
    };
    let added = Added::make(routing).map_err(CaptureError::Refused)?;
    crate::iptables::apply(plan, binary).map_err(|error| {
        added.undo();
        error.into()
    })
}

/// Removes what [`apply_iptables`] made, but for the address `::6`; whether there was anything.
///
/// # Errors
/// See [`CaptureError`].
pub fn clean_iptables(routing: Routing, binary: Binary) -> Result<bool, CaptureError> {
    let found = crate::iptables::clean(binary)?;
    remove_routing(routing).map_err(CaptureError::Unreadable)?;
    Ok(found)
}

/// What is in force, against what should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Tables by family (`ip`, `ip6`).
    pub tables: Vec<(&'static str, TableState)>,
    /// What is missing beside the tables.
    pub routing: Vec<String>,
    /// The start gate, per family that has one.
    pub gate: Vec<GateState>,
}

impl Report {
    /// Whether capture is in force as the settings say.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.routing.is_empty() && self.tables.iter().all(|(_, s)| *s == TableState::Whole)
    }
}

/// Compares what is in force with a ruleset, and reads the gate. Without a ruleset: is there
/// any capture of ours, whatever its settings.
///
/// # Errors
/// See [`CaptureError`]: reading needs `NET_ADMIN` too.
pub fn check(ruleset: Option<&Ruleset>) -> Result<Report, CaptureError> {
    let mut socket = open()?;
    let found = nft::existing(&mut socket, TABLE).map_err(CaptureError::Unreadable)?;
    let states = match ruleset {
        Some(ruleset) => {
            nft::compare(&mut socket, TABLE, ruleset).map_err(CaptureError::Unreadable)?
        }
        None if found.is_empty() => vec![(Family::Ip, TableState::Missing)],
        None => found.iter().map(|table| (table.family, TableState::Whole)).collect(),
    };
    let mut gate = Vec::new();
    for table in &found {
        let ports = table.note.as_ref().map_or(Vec::new(), |note| note.gate_ports.clone());
        let state = nft::gate_state(&mut socket, TABLE, table.family, &ports);
        gate.extend(state.map_err(CaptureError::Unreadable)?);
    }
    let noted = found.iter().find_map(|table| Some(table.note.as_ref()?.routing));
    let wanted = ruleset.map(|ruleset| ruleset.routing).or(noted).unwrap_or_default();
    let routing = missing_routing(wanted).map_err(CaptureError::Unreadable)?;
    let tables = states.into_iter().map(|(family, state)| (family.word(), state)).collect();
    Ok(Report { tables, routing, gate })
}

fn missing_routing(wanted: Routing) -> Result<Vec<String>, NetlinkError> {
    let mut out = Vec::new();
    let Some((mark, table)) = wanted.tproxy else { return Ok(out) };
    for ipv6 in [false, true].into_iter().filter(|v6| !v6 || wanted.ipv6) {
        if !route::has_mark_rule(ipv6, mark, table)? {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            out.push(format!("the {family} rule that mark {mark} looks up table {table}"));
        }
    }
    Ok(out)
}
