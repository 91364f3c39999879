//! `proxy-exits-before-app`: the pod is being ended, the proxy has gone, and the application, which
//! still has something to do, is refused.
//!
//! # Sources
//! istio/istio `pkg/envoy/agent.go`, issues 7136, 36631, 38494, 47718; RULES.md F4.

use serde_json::json;
use sunup_api::annotation;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::log::Sample;
use sunup_evidence::shape::{Sidecar, is_mesh_container};
use sunup_evidence::time::show;

use crate::fix::remedies;
use crate::judging::fault::{Fault, Judgements, item};
use crate::judging::mesh::inner_yaml;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::{Case, Route};
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::knowledge::proxy;
use crate::knowledge::refusals::{self, Explained};

/// The rule.
pub(crate) struct ProxyExitsBeforeApp;

static META: Meta = Meta {
    id: "proxy-exits-before-app",
    title: "When the pod is ended, the proxy goes before the application has finished",
    stage: Stage::End,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::AppLog]],
    helps: &[
        Need::ProxyLog,
        Need::PodObject,
        Need::PodEvents,
        Need::Workload,
        Need::Nodes,
        Need::MeshConfig,
    ],
    hears: &[],
    signs: &[sunup_evidence::line::Sign::Draining],
    explains: &[],
    doc: page!("proxy_exits_before_app", "doc.md"),
    fires: page!("proxy_exits_before_app", "fires.txtar"),
    quiet: page!("proxy_exits_before_app", "quiet.txtar"),
};

const DRAIN: &str = "terminationDrainDuration";

impl Rule for ProxyExitsBeforeApp {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        if case.shape.gateway || case.shape.sidecar == Sidecar::Native {
            return;
        }
        for name in case.applications().into_iter().filter(|n| !is_mesh_container(n)) {
            let Some(log) = case.facts.log(name) else { continue };
            let sorted = refusals::sort(case, name, log);
            let late = sorted.iter().filter(|s| s.explained == Explained::ProxyGone);
            let late = late
                .filter(|s| !matches!(s.route, Route::Direct(_)) && refusals::is_strong(s.burst));
            let lines: Vec<&Sample> = late.flat_map(|s| &s.burst.samples).collect();
            if !lines.is_empty() {
                out.faults.push(fault(case, name, &lines));
            }
        }
    }
}

fn fault(case: &Case<'_>, name: &str, lines: &[&Sample]) -> Fault {
    let gone = proxy::last_end(case);
    let summary =
        format!("{name} was refused while the pod was ended: istio-proxy had gone before it");
    let what = "refused: the proxy has gone";
    let mut fault =
        proxy::fault(&META, case, Verdict::Confirmed, summary, lines.iter().copied(), what);
    fault.subject = at(&case.subject, name);
    if let Some(gone) = gone {
        fault.evidence.push(item(gone));
        fault = fault.because(format!(
            "istio-proxy ended in order at {}; the application was refused from {} on.",
            gone.at.map(show).unwrap_or_default(),
            lines[0].at.map(show).unwrap_or_default()
        ));
    }
    fault
        .because(
            "All containers get SIGTERM at once. The proxy drains for 5 s unless told otherwise and \
             ends, however much the application still has to do; the redirect stays, so its \
             connections are refused from then on.",
        )
        .offer(remedies(case))
}

fn remedies(case: &Case<'_>) -> Vec<Remedy> {
    let template = case.template();
    let live = case.pod().map(|p| &p.metadata.annotations);
    let native = remedies::native(case.versions, template.as_ref());
    let grace =
        template.as_ref().and_then(|t| t.spec.termination_grace_period_seconds).unwrap_or(30);
    let drain = format!("{}s", (grace - 5).max(10));
    let set = template
        .as_ref()
        .and_then(|t| t.metadata.annotations.get(annotation::PROXY_CONFIG))
        .and_then(|text| inner_yaml(text).get(DRAIN).cloned());
    let mut found: Vec<Remedy> = Vec::new();
    if set.is_none() {
        let change = Change::Annotation {
            key: annotation::PROXY_CONFIG.into(),
            value: AnnotationValue::Field(DRAIN, json!(drain)),
        };
        let title = format!(
            "let the proxy go on for {drain} after SIGTERM (the pod's grace period is {grace} s)"
        );
        found.push(Remedy::new("drain-longer", title, vec![change]));
    }
    found.extend(native);
    found.push(Remedy::advice(
        "exit-on-zero-connections",
        "let the proxy wait until no connection is left",
        "proxyMetadata: {EXIT_ON_ZERO_ACTIVE_CONNECTIONS: \"true\", MINIMUM_DRAIN_DURATION: 5s}   # \
         in proxy.istio.io/config"
            .to_owned(),
    ));
    found.into_iter().map(|r| r.with_live(live)).collect()
}
