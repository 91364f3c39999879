//! `start-gate-expired`: Sunup's start gate held the application's connections until its deadline,
//! and no proxy had come by then.
//!
//! Behind the gate no connection is refused while it holds: one that is refused in the proxy's
//! window was made, or waited, past the deadline. Where the gate is the node's agent, it says so
//! itself, by an event on the pod.
//!
//! # Sources
//! `sunup-capture`, `ruleset/gate.rs`.

use jiff::{SignedDuration, Timestamp};
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::log::Sample;
use sunup_evidence::shape::is_mesh_container;
use sunup_evidence::time::Known;
use sunup_evidence::timeline::Point;
use sunup_evidence::window::earliest_start;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::{Case, Route};
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::knowledge::gate::{self, Expired};
use crate::knowledge::proxy;
use crate::knowledge::refusals::{self, Explained};

/// The rule.
pub(crate) struct StartGateExpired;

static META: Meta = Meta {
    id: "start-gate-expired",
    title: "Sunup's start gate gave up: no proxy listened before its deadline",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::AppLog, Need::PodEvents]],
    helps: &[Need::PodObject, Need::ProxyLog],
    hears: &[],
    signs: &[],
    explains: &["app-before-proxy"],
    doc: page!("start_gate_expired", "doc.md"),
    fires: page!("start_gate_expired", "fires.txtar"),
    quiet: page!("start_gate_expired", "quiet.txtar"),
};

/// Status times are cut to the second, and a SYN is sent again a second later.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

impl Rule for StartGateExpired {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn passes(&self) -> bool {
        true
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        if let Some(expired) = gate::expired(case) {
            return out.faults.push(at_the_node(case, expired));
        }
        let Some(deadline) = gate::own_deadline(case) else { return };
        for name in case.applications() {
            let Some(log) = case.facts.log(name).filter(|_| !is_mesh_container(name)) else {
                continue;
            };
            let sorted = refusals::sort(case, name, log);
            let lines: Vec<&Sample> = sorted
                .iter()
                .filter(|s| matches!(s.explained, Explained::Window(_)))
                .filter(|s| !matches!(s.route, Route::Direct(_)) && refusals::is_strong(s.burst))
                .flat_map(|s| &s.burst.samples)
                .collect();
            let first = lines.iter().filter_map(|s| s.at).min();
            let start = first_start(case, name);
            let (Some(first), Some(start)) = (first, start) else { continue };
            if first + SLACK >= start + deadline {
                out.faults.push(fault(case, name, &lines, (start, first), deadline));
            }
        }
    }
}

/// When a container was first started. Its status knows the last two starts only; events know of
/// all.
fn first_start(case: &Case<'_>, name: &str) -> Option<Timestamp> {
    let status = case.status(name).and_then(earliest_start);
    let events = case.facts.events_of(name).filter(|run| run.event.reason == "Started");
    let told = events.flat_map(|run| &run.occurrences).filter_map(|o| o.first);
    status.into_iter().chain(told).min()
}

fn fault(
    case: &Case<'_>,
    name: &str,
    lines: &[&Sample],
    (start, first): (Timestamp, Timestamp),
    deadline: SignedDuration,
) -> Fault {
    let seconds = deadline.as_secs();
    let summary = format!(
        "{name} was refused after the start gate's {seconds} s: no proxy listened until then"
    );
    let waited = first.duration_since(start).as_secs();
    let what = "refused: the start gate had given up";
    let mut fault =
        proxy::fault(&META, case, Verdict::Confirmed, summary, lines.iter().copied(), what);
    fault.subject = at(&case.subject, name);
    fault
        .because(format!(
            "The application was started {waited} s before the first refusal. Until its deadline of \
             {seconds} s the gate lets early connections wait; after it the kernel answers that \
             nobody listens, so that a proxy that never comes becomes an error."
        ))
        .because(
            "What has to be mended is the proxy that does not come: its log says what it waits for. \
             A longer deadline only makes the application wait longer.",
        )
        .offer([
            read_proxy_log(case),
            Remedy::advice(
                "start-gate-deadline",
                "let the gate hold longer, where the proxy does come in the end",
                "sunup capture --help   # --start-gate-deadline, an argument of istio-init".to_owned(),
            ),
        ])
}

fn read_proxy_log(case: &Case<'_>) -> Remedy {
    Remedy::advice(
        "read-proxy-log",
        "read what the proxy waits for, and hand it over too",
        proxy::get_log(case, false),
    )
}

/// The agent of the pod's node gave up.
fn at_the_node(case: &Case<'_>, expired: Expired) -> Fault {
    let Expired { port, connections, evidence, first } = expired;
    let summary = format!(
        "no proxy listened on port {port} before the node agent's deadline: {connections} \
         connection(s) that waited for it were reset"
    );
    let none: [&Sample; 0] = [];
    let mut fault = proxy::fault(&META, case, Verdict::Confirmed, summary, none, "");
    if let (Some(first), Some(item)) = (first, evidence.first()) {
        let known = Known::second(first, &item.source);
        fault.points.push(Point::new(known, "what waited for the proxy was reset"));
    }
    fault.evidence.extend(evidence);
    let mut fault = fault
        .because(
            "Sunup's agent on the node lets early connections wait for the proxy, up to a deadline: a \
             proxy that never comes has to become an error. From then on refusals are let through.",
        )
        .because(
            "What has to be mended is the proxy that does not come: its log says what it waits for. \
             A longer deadline only makes the application wait longer.",
        );
    gate::tell(case, &mut fault, None);
    fault.offer([
        read_proxy_log(case),
        Remedy::advice(
            "start-gate-deadline",
            "let connections wait longer, where the proxy does come in the end",
            "helm upgrade sunup-node charts/sunup -n sunup-node --reuse-values --set node.deadline=120s"
                .to_owned(),
        ),
    ])
}
