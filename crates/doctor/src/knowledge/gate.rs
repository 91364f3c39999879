//! Who lets early connections wait for the proxy: Sunup's own capture, or Sunup's agent on the node,
//! which says by its status, its log, its metrics and its event on the pod what it does about which.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sunup_api::report::EvidenceItem;
use sunup_api::{container, node};
use sunup_evidence::log::Sample;
use sunup_evidence::node_gate::{GateMode, NodeGate};
use sunup_evidence::snapshot::EventRun;
use sunup_evidence::time::show;

use crate::judging::fault::{Fault, Open};
use crate::judging::pod::Case;
use crate::judging::subject::at;
use crate::knowledge::proxy;

/// Says what the agent does about a pod whose connections were refused, where an agent says it.
pub(crate) fn tell(case: &Case<'_>, fault: &mut Fault, refused: Option<Timestamp>) {
    let gates: Vec<&NodeGate> = case.snapshot.node_gates_of(case.facts).collect();
    // Told of a pod late, it begins with the gate: the last word counts.
    let latest = gates.iter().rev().find_map(|gate| Some((*gate, gate.gets.as_ref()?)));
    let Some((gate, (mode, why))) = latest else {
        fault.explanation.extend(counted(case));
        return;
    };
    let armed = gates.iter().filter(|gate| gate.gets.is_some()).filter_map(|gate| gate.at).min();
    fault.explanation.push(in_words(*mode, why));
    fault.explanation.extend(all_the_same(*mode, armed, refused));
    fault.evidence.push(item(gate, &format!("{}: {why}", word(*mode))));
}

fn item(gate: &NodeGate, said: &str) -> EvidenceItem {
    EvidenceItem {
        source: gate.place.to_string(),
        at: gate.at.map(show),
        text: format!("pod {}/{}: {said}", gate.namespace, gate.pod),
    }
}

fn word(mode: GateMode) -> &'static str {
    match mode {
        GateMode::StandIn => node::STAND_IN,
        GateMode::Gate => node::GATE,
        GateMode::Nothing => node::NOTHING,
    }
}

fn in_words(mode: GateMode, why: &str) -> String {
    let gives = match mode {
        GateMode::StandIn => "has a stand-in for this pod's proxy, in which early connections wait",
        GateMode::Gate => {
            "gives this pod the gate, which drops early refusals, so that the kernel tries again \
             after a second"
        }
        GateMode::Nothing => "does nothing for this pod",
    };
    format!("Sunup's agent on its node {gives}: {why}.")
}

/// Why it was refused on a node with the agent.
fn all_the_same(
    mode: GateMode,
    armed: Option<Timestamp>,
    refused: Option<Timestamp>,
) -> Option<String> {
    if mode == GateMode::Nothing {
        return Some("Its early connections are refused as on a node without an agent.".to_owned());
    }
    let until = match mode {
        GateMode::StandIn => "or when no proxy had come by its deadline",
        _ => "or after its deadline",
    };
    Some(match (armed, refused) {
        (Some(armed), Some(refused)) if refused < armed => format!(
            "It has done so since {}, after the refusal: the pod was there before the agent was told \
             of it. A pod that starts now is not refused.",
            show(armed)
        ),
        _ => format!(
            "A connection is refused there all the same before the agent is told of the pod, while no \
             agent runs, {until}: a pod that ran before the agent is covered from its proxy's next \
             start on."
        ),
    })
}

/// By metrics alone it is not known which pod gets what.
fn counted(case: &Case<'_>) -> Option<String> {
    let mut counts: BTreeMap<(GateMode, &str), u64> = BTreeMap::new();
    for count in case.snapshot.gate_counts.iter().filter(|count| count.pods > 0) {
        *counts.entry((count.mode, &count.reason)).or_default() += count.pods;
    }
    let all: Vec<String> = counts
        .iter()
        .map(|((mode, reason), pods)| format!("{} for {pods} ({reason})", word(*mode)))
        .collect();
    (!all.is_empty()).then(|| {
        format!(
            "By its metrics Sunup's agent on a node has {}; which of them this pod is, `sunup node \
             status` says.",
            all.join(", ")
        )
    })
}

/// Why connections were reset: no proxy came in the agent's time. With the port and how many.
pub(crate) struct Expired {
    pub(crate) port: u16,
    pub(crate) connections: u64,
    pub(crate) evidence: Vec<EvidenceItem>,
    pub(crate) first: Option<Timestamp>,
}

/// Connections that the agent reset for want of a proxy, by its event, its log, or its status.
pub(crate) fn expired(case: &Case<'_>) -> Option<Expired> {
    let events: Vec<(&EventRun, (u16, u64))> = case
        .facts
        .events
        .iter()
        .filter(|run| run.event.reason == node::EXPIRED || run.event.reason.is_empty())
        .filter_map(|run| match node::Said::read(&run.event.message)? {
            node::Said::Expired { port, connections } => Some((run, (port, connections))),
            node::Said::Gets { .. } => None,
        })
        .collect();
    if let Some((run, (port, _))) = events.first() {
        return Some(Expired {
            port: *port,
            connections: events.iter().map(|(_, (_, connections))| connections).sum(),
            evidence: events.iter().map(|(run, _)| proxy::event(run)).collect(),
            first: run.event.first,
        });
    }
    let gates = case.snapshot.node_gates_of(case.facts);
    let told: Vec<(&NodeGate, (u16, u64))> =
        gates.filter_map(|gate| Some((gate, gate.expired?))).collect();
    let (first, (port, _)) = told.first()?;
    let shown = |(gate, (port, connections)): &(&NodeGate, (u16, u64))| {
        let said = node::Said::Expired { port: *port, connections: *connections };
        item(gate, &said.to_string())
    };
    Some(Expired {
        port: *port,
        // A status and a log tell of the same connections.
        connections: told.iter().map(|(_, (_, connections))| *connections).max().unwrap_or(0),
        evidence: told.iter().map(shown).collect(),
        first: first.at,
    })
}

/// The gate's deadline, where the pod's capture is Sunup's and the gate is on.
pub(crate) fn own_deadline(case: &Case<'_>) -> Option<SignedDuration> {
    let spec = &case.pod()?.spec;
    let mesh = spec.init_containers.iter();
    let mut capture = mesh.filter(|c| c.name == container::INIT || c.name == container::VALIDATION);
    let sunups = capture.any(|c| {
        let path = c.image.split('@').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        name == "sunup"
            || name.starts_with("sunup:")
            || c.args.iter().any(|a| a.contains("start-gate"))
    });
    let gate = case.capture.plan.settings().start_gate;
    let deadline = SignedDuration::try_from(gate.deadline).ok()?;
    (sunups && gate.outbound && !deadline.is_zero()).then_some(deadline)
}

/// Who lets this pod's early connections wait instead of being refused at once, if anybody.
pub(crate) fn holder(case: &Case<'_>) -> Option<&'static str> {
    let mut gates = case.snapshot.node_gates_of(case.facts).filter_map(|gate| gate.gets.as_ref());
    match gates.next_back() {
        Some((GateMode::StandIn | GateMode::Gate, _)) => Some("Sunup's agent on its node"),
        Some((GateMode::Nothing, _)) => None,
        None if expired(case).is_some() => Some("Sunup's agent on its node"),
        None => own_deadline(case).map(|_| "Sunup's start gate"),
    }
}

/// A connection timed out while the proxy was not ready, which may be because it was made to wait.
pub(crate) fn timed_out(
    rule: &'static str,
    case: &Case<'_>,
    name: &str,
    line: &Sample,
    holder: &str,
) -> Open {
    let missing = format!(
        "whether {name} timed out ({}) for want of its proxy, for which {holder} lets it wait, or of \
         the destination, which a log of it behind the proxy's start would show",
        line.place
    );
    let known = proxy::log(case).is_some();
    let get_it_with = (!known).then(|| proxy::get_log(case, false));
    Open { rule, subject: at(&case.subject, name), missing: vec![missing], get_it_with }
}
