//! The start gate: a connection made before the proxy listens waits instead of failing.
//!
//! A capture port without a listener answers a SYN with RST (sequence number zero), a datagram
//! with ICMP "port unreachable". Dropping that answer makes the sender try again; only that of a
//! connection that was redirected is dropped. So that a proxy
//! that never comes still becomes an error, the first refusal puts the port into two sets:
//! `hold`, whose element times out at the deadline, and `seen`. In `hold`: drop. In `seen` only:
//! let it through. A SYN-ACK from the port (a listener is there) removes it from both, which
//! arms the gate for the next outage. All of it happens in the kernel: once istio-init has
//! exited, nobody in the pod could.

use std::time::Duration;

use super::data::{
    Base, Chain, DynamicKey, Expr, Family, Hook, Ports, Proto, Routing, Rule, Ruleset, Set,
    SetContent, Table,
};
use crate::fixed::DNS_PORT;
use crate::plan::Plan;
use crate::settings::Mode;

/// Sets and counters of the gate, by which `check` reads its state.
pub const HOLD: &str = "gate_hold";
/// Ports that were held at some time since their last listener.
pub const SEEN: &str = "gate_seen";
/// As [`HOLD`], for datagrams to the DNS port.
pub const HOLD_DNS: &str = "gate_hold_dns";
/// As [`SEEN`], for datagrams to the DNS port.
pub const SEEN_DNS: &str = "gate_seen_dns";
/// Counts refusals that were dropped.
pub const COUNT_HELD: &str = "gate_held";
/// Counts refusals let through after the deadline.
pub const COUNT_EXPIRED: &str = "gate_expired";

const FILTER: Base = Base { kind: "filter", hook: Hook::Output, priority: 0, classic: "filter" };
const SPORT: DynamicKey = DynamicKey::TcpSport;
const OIF: DynamicKey = DynamicKey::OifName;

impl Ruleset {
    /// The gate alone, for both families, for a pod whose capture somebody else sets. Goes into
    /// [`NODE_TABLE`](super::NODE_TABLE). A deadline of zero means never.
    #[must_use]
    pub fn gate_alone(ports: &[u16], dns: bool, deadline: Duration) -> Self {
        let table = |family| {
            let (counters, sets, chains) = Default::default();
            let mut table = Table { family, counters, sets, chains };
            fill(&mut table, ports, dns, deadline);
            table
        };
        let tables = [Family::Ip, Family::Ip6].map(table).to_vec();
        Ruleset { tables, routing: Routing::default() }
    }
}

/// Adds the gate to a table, where the plan asks for one.
pub(super) fn add(table: &mut Table, plan: &Plan) {
    let s = plan.settings();
    let dns = s.start_gate.outbound && plan.dns().is_on();
    fill(table, &ports(plan), dns, s.start_gate.deadline);
}

fn fill(table: &mut Table, ports: &[u16], dns: bool, deadline: Duration) {
    if ports.is_empty() {
        return;
    }
    let deadline = (!deadline.is_zero()).then_some(deadline);
    table.counters.extend([COUNT_HELD, COUNT_EXPIRED]);
    let mut sets = vec![(HOLD, SPORT, deadline.is_some()), (SEEN, SPORT, false)];
    if dns {
        sets.extend([(HOLD_DNS, OIF, deadline.is_some()), (SEEN_DNS, OIF, false)]);
    }
    table.sets.extend(
        sets.into_iter().map(|(name, key, timeouts)| Set {
            name,
            content: SetContent::Dynamic { key, timeouts },
        }),
    );
    let chain = |name, rules| Chain { name, base: None, rules };
    table.chains.push(chain("gate_refusal", hold(SPORT, HOLD, SEEN, deadline)));
    table.chains.push(chain("gate", gate()));
    let mut entry: Vec<Rule> = ports
        .iter()
        .map(|port| {
            let from = Expr::Sport(Proto::Tcp, Ports::Is(*port));
            Rule::new("gate", [from, Expr::Goto("gate")])
        })
        .collect();
    if dns {
        table.chains.push(chain("gate_refusal_dns", hold(OIF, HOLD_DNS, SEEN_DNS, deadline)));
        let refusal = [Expr::Oif("lo".into()), Expr::UdpRefusal(DNS_PORT)];
        let [lo, refused] = refusal;
        entry.push(Rule::new("gate-dns", [lo, refused, Expr::Goto("gate_refusal_dns")]));
        let answer = Expr::Sport(Proto::Udp, Ports::Is(DNS_PORT));
        let rearm = [
            answer,
            Expr::KeyIn(OIF, SEEN_DNS),
            Expr::DeleteKey(OIF, HOLD_DNS),
            Expr::DeleteKey(OIF, SEEN_DNS),
        ];
        entry.push(Rule::new("gate-rearm", rearm));
    }
    table.chains.push(Chain { name: "gate_output", base: Some(FILTER), rules: entry });
}

/// The TCP ports that are held.
pub(super) fn ports(plan: &Plan) -> Vec<u16> {
    let s = plan.settings();
    let mut out = Vec::new();
    if s.start_gate.outbound {
        out.push(s.proxy_port);
        if plan.dns().is_on() {
            out.push(DNS_PORT);
        }
    }
    // In TPROXY mode packets without a listener are dropped anyway.
    if s.start_gate.inbound && s.mode == Mode::Redirect {
        out.push(s.inbound_capture_port);
    }
    out
}

fn gate() -> Vec<Rule> {
    vec![
        Rule::new(
            "gate-rearm",
            [
                Expr::TcpSynAck,
                Expr::DeleteKey(SPORT, HOLD),
                Expr::DeleteKey(SPORT, SEEN),
                Expr::Return,
            ],
        ),
        // A stranger who dials the port itself is refused at once.
        Rule::new(
            "gate-refusal",
            [Expr::CtRedirected, Expr::TcpRefusal, Expr::Goto("gate_refusal")],
        ),
    ]
}

fn hold(
    key: DynamicKey,
    hold: &'static str,
    seen: &'static str,
    deadline: Option<Duration>,
) -> Vec<Rule> {
    let held = || Expr::Counter(COUNT_HELD);
    let remember = Expr::AddKey(key, seen, None);
    let Some(deadline) = deadline else {
        let first = Expr::AddKey(key, hold, None);
        return vec![Rule::new("gate-held", [first, remember, held(), Expr::Drop])];
    };
    vec![
        Rule::new("gate-held", [Expr::KeyIn(key, hold), held(), Expr::Drop]),
        Rule::new(
            "gate-expired",
            [Expr::KeyIn(key, seen), Expr::Counter(COUNT_EXPIRED), Expr::Return],
        ),
        Rule::new(
            "gate-first",
            [Expr::AddKey(key, hold, Some(deadline)), remember, held(), Expr::Drop],
        ),
    ]
}
