//! `proxy-restarted-by-startup-probe`: the kubelet killed a proxy that did not become ready in time.
//!
//! A symptom: what kept it from being ready is the fault, and takes this one under it where it is
//! known.
//!
//! # Sources
//! istio/istio `injection-template.yaml` since 1.20 (`failureThreshold: 600`, `periodSeconds: 1`);
//! kubelet `kuberuntime_manager.go` ("failed startup probe, will be restarted"); RULES.md D9.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::time::Known;
use sunup_evidence::timeline::Point;

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct ProxyRestartedByStartupProbe;

static META: Meta = Meta {
    id: "proxy-restarted-by-startup-probe",
    title: "The kubelet restarts the proxy, because it did not become ready in time",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject, Need::ProxyLog],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("proxy_restarted_by_startup_probe", "doc.md"),
    fires: page!("proxy_restarted_by_startup_probe", "fires.txtar"),
    quiet: page!("proxy_restarted_by_startup_probe", "quiet.txtar"),
};

impl Rule for ProxyRestartedByStartupProbe {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn passes(&self) -> bool {
        true
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let kills: Vec<_> = proxy::startup_kills(case).collect();
        if kills.is_empty() {
            return;
        }
        let times: u32 = kills.iter().flat_map(|r| &r.occurrences).map(|o| o.count).sum();
        let patience = patience(case);
        let often = if times > 1 { format!(" {times} times") } else { String::new() };
        let summary =
            format!("istio-proxy was restarted{often}: it did not become ready in {patience}");
        let nothing = std::iter::empty();
        let mut fault = proxy::fault(&META, case, Verdict::Confirmed, summary, nothing, "");
        for run in &kills {
            fault.evidence.push(proxy::event(run));
            fault.points.extend(run.instants().map(|(at, place)| {
                let source = place.map_or_else(|| "pod event".to_owned(), ToString::to_string);
                Point::new(Known::second(at, source), "startup probe failed: proxy killed")
            }));
        }
        fault = fault
            .because(
                "The startup probe asks the proxy's port 15021 whether it is ready. After the last \
                 allowed failure the kubelet kills the container and begins anew; before Istio 1.20 \
                 the same proxy would wait for ever.",
            )
            .because(
                "The restart is a symptom: what kept the proxy from its configuration is in the log \
                 of the instance that was killed.",
            );
        out.faults.push(fault.offer([Remedy::advice(
            "read-previous-log",
            "read what the killed proxy waited for, and hand it over too",
            proxy::get_log(case, true),
        )]));
    }
}

/// How long the probe waits, in words.
fn patience(case: &Case<'_>) -> String {
    let probe = case.container(container::PROXY).and_then(|c| c.startup_probe.as_ref());
    let seconds = probe.map_or(600, |p| {
        p.period_seconds.unwrap_or(10).saturating_mul(p.failure_threshold.unwrap_or(3))
    });
    match seconds {
        s if s % 60 == 0 => format!("{} minutes", s / 60),
        s => format!("{s} seconds"),
    }
}
