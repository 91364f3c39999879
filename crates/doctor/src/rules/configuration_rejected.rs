//! `configuration-rejected`: the control plane has sent configuration, and the proxy rejected it, so
//! it does not become ready.
//!
//! Three reasons are faults of their own and are left to their rules: a port that may not be bound,
//! one that is taken, an address family that is missing.
//!
//! # Sources
//! istio/istio issues 29234, 41773, 43095; RULES.md D3.

use std::collections::BTreeSet;

use sunup_api::report::{Severity, Subject, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::readiness::NotReady;
use sunup_evidence::rejected::{self, Reason, Rejection};
use sunup_evidence::snapshot::PodFacts;
use sunup_evidence::subject;

use crate::judging::fault::{Fault, Judgements, Open, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct ConfigurationRejected;

static META: Meta = Meta {
    id: "configuration-rejected",
    title: "The proxy rejects the configuration that it is sent, and does not become ready",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::ProxyLog, Need::ControlPlaneLog]],
    helps: &[Need::PodObject, Need::PodEvents, Need::ProxyLog, Need::ControlPlaneLog],
    hears: &[],
    signs: &[Sign::Rejected],
    explains: &[
        "app-before-proxy",
        "hold-timed-out",
        "proxy-restarted-by-startup-probe",
        "start-gate-expired",
    ],
    doc: page!("configuration_rejected", "doc.md"),
    fires: page!("configuration_rejected", "fires.txtar"),
    quiet: page!("configuration_rejected", "quiet.txtar"),
};

impl Rule for ConfigurationRejected {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        for name in ["discovery", "istiod"] {
            if let Some(log) = case.facts.log(name) {
                told_by_control_plane(case, log, out);
            }
        }
        let Some(unready) = proxy::unready(case) else { return };
        let all = proxy::rejections(case, unready.log);
        let own: Vec<_> = all.iter().filter(|(r, _)| r.reason == Reason::Other).collect();
        let waits = unready.waits.iter().rev().find(|(why, _)| *why == NotReady::Rejected);
        match (own.last(), waits) {
            (Some((rejection, _)), waits) => {
                // While listeners and clusters come, one of them may be rejected once.
                let shown = waits.is_some() || unready.lasting;
                let verdict = if shown { Verdict::Confirmed } else { Verdict::Likely };
                let lines = own.iter().map(|(_, s)| *s);
                let mut fault = told(case, verdict, rejection, &names(&own), lines);
                fault.evidence.extend(waits.map(|(_, s)| item(s)));
                out.faults.push(fault);
            }
            (None, Some((_, line))) if all.is_empty() && no_bind_error(unready.log) => {
                reason_missing(case, line, out);
            }
            _ => {}
        }
    }
}

fn no_bind_error(log: &sunup_evidence::log::ContainerLog) -> bool {
    log.bind_denied.is_empty() && proxy::lines(log, Sign::AddressInUse).next().is_none()
}

fn names(own: &[&(Rejection<'_>, &Sample)]) -> String {
    let named = own.iter().filter_map(|(r, _)| r.name);
    let names: BTreeSet<&str> = named.collect();
    names.into_iter().take(4).collect::<Vec<_>>().join(", ")
}

fn kind_in_words(kind: &str) -> &'static str {
    match kind {
        "Listener" => "listener",
        "Cluster" => "cluster",
        "RouteConfiguration" => "routes",
        "Secret" => "certificate",
        _ => "configuration",
    }
}

fn told<'s>(
    case: &Case<'_>,
    verdict: Verdict,
    rejection: &Rejection<'_>,
    names: &str,
    lines: impl Iterator<Item = &'s Sample>,
) -> Fault {
    let kind = kind_in_words(rejection.kind);
    let named = if names.is_empty() { String::new() } else { format!(" {names}") };
    let why = sunup_evidence::line::cut(rejection.why.trim(), 160);
    let summary = format!("istio-proxy rejects its {kind}{named}: {why}");
    let what = format!("{kind} rejected");
    let fault = proxy::fault(&META, case, verdict, summary, lines, &what);
    fault
        .because(
            "The control plane was reached and has sent configuration; the proxy does not accept \
             it, and without a first accepted set of listeners and clusters it does not become \
             ready. A proxy that runs already keeps what it had, so only new pods show it.",
        )
        .because(match rejection.kind {
            "Listener" | "Cluster" => {
                "What Istio makes by itself is rarely rejected: an EnvoyFilter, a WasmPlugin or a \
                 ServiceEntry that touches this piece is the first suspect, most of all after an \
                 upgrade of the proxy."
            }
            _ => "The text names what the proxy does not accept.",
        })
        .offer([Remedy::advice(
            "find-rejected-configuration",
            "see which resource makes it, and take that one back",
            "istioctl proxy-status; istioctl analyze -A; kubectl get \
             envoyfilter,wasmplugin,serviceentry,telemetry -A"
                .to_owned(),
        )])
}

/// The proxy says that something was rejected, and its log does not hold what.
fn reason_missing(case: &Case<'_>, line: &Sample, out: &mut Judgements) {
    out.unknown.push(Open {
        rule: META.id,
        subject: at(&case.subject, sunup_api::container::PROXY),
        missing: vec![format!(
            "which configuration was rejected, and why ({} only says that some was): istiod's log, \
             or the proxy's from its start",
            line.place
        )],
        get_it_with: Some(
            "kubectl -n istio-system logs deployment/istiod --timestamps | grep 'ACK ERROR'"
                .to_owned(),
        ),
    });
}

/// istiod names the proxy that rejected; whether that one got ready, only the pod can say.
fn told_by_control_plane(
    case: &Case<'_>,
    log: &sunup_evidence::log::ContainerLog,
    out: &mut Judgements,
) {
    let mut seen: BTreeSet<Subject> = BTreeSet::new();
    for sample in proxy::lines(log, Sign::Rejected) {
        let Some(rejection) = rejected::read(&sample.text) else { continue };
        let Some((pod, namespace)) = rejection.proxy else { continue };
        if rejection.reason != Reason::Other {
            continue;
        }
        let known = case.snapshot.pod_named(namespace, pod);
        let status = known.and_then(|p| p.object()?.status.container("istio-proxy"));
        if status.is_none_or(|s| s.ready) || known.is_some_and(|p| p.log("istio-proxy").is_some()) {
            continue;
        }
        let facts = PodFacts {
            name: Some(pod.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..PodFacts::default()
        };
        let known = known.unwrap_or(&facts);
        let subject = at(&subject::of(known, case.snapshot), "istio-proxy");
        if !seen.insert(subject.clone()) {
            continue;
        }
        let names = rejection.name.unwrap_or_default();
        let one = std::iter::once(sample);
        let mut fault = told(case, Verdict::Confirmed, &rejection, names, one);
        fault.subject = subject;
        fault.points.retain(|p| p.what.ends_with("rejected"));
        out.faults.push(fault);
    }
}
