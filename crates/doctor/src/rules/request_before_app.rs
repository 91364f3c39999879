//! `request-before-app`: the pod is called before its application listens, because nothing says when
//! it is ready.
//!
//! # Sources
//! istio/istio issues 37809, 46431, 48267; RULES.md E7.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::access;
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::object::{Container, PodSpec};
use sunup_evidence::shape::is_mesh_container;
use sunup_evidence::time::show;
use sunup_evidence::window::earliest_start;

use crate::judging::fault::{Judgements, Open};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct RequestBeforeApp;

static META: Meta = Meta {
    id: "request-before-app",
    title: "Requests reach the pod before its application listens",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::ProxyLog], &[Need::PodObject]],
    helps: &[Need::Workload],
    hears: &[],
    signs: &[Sign::ConnectFailed],
    explains: &[],
    doc: page!("request_before_app", "doc.md"),
    fires: page!("request_before_app", "fires.txtar"),
    quiet: page!("request_before_app", "quiet.txtar"),
};

/// A request this long after the start is not early any more.
const EARLY: SignedDuration = SignedDuration::from_mins(3);
/// Failures that go on for longer have another reason: a wrong port, or loopback only.
const LONG: SignedDuration = SignedDuration::from_mins(5);

impl Rule for RequestBeforeApp {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some(log) = proxy::log(case) else { return };
        let lines: Vec<&Sample> =
            proxy::lines(log, Sign::ConnectFailed).filter(|s| is_refused_inside(&s.text)).collect();
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
        let ports: BTreeSet<u16> =
            lines.iter().filter_map(|s| access::read(&s.text)?.port()).collect();
        let Some(pod) = case.pod() else {
            return out.unknown.push(object_missing(case));
        };
        let Some(port) = ports.iter().next().copied() else { return };
        let Some(app) = owner(&pod.spec, port) else { return };
        if app.readiness_probe.is_some() {
            return;
        }
        let status = case.status(&app.name);
        let start = status.and_then(|s| {
            let running = s.state.running.as_ref().and_then(|r| r.started_at.as_deref());
            sunup_evidence::time::parse(running).or_else(|| earliest_start(s))
        });
        let (Some(start), Some(begin), Some(end)) = (start, first.at, last.at) else { return };
        if begin > start + EARLY || end > start + LONG || end < start {
            return;
        }
        let name = &app.name;
        let summary = format!(
            "requests reached {name} on port {port} before it listened: it has no readiness probe"
        );
        let what = "request refused: the application does not listen yet";
        let mut fault = proxy::fault(&META, case, Verdict::Confirmed, summary, lines, what)
            .because(format!(
                "{name} was started at {}; its own proxy was refused on port {port} until {}. Callers \
                 see 503 with the flag UF and \"delayed connect error: 111\".",
                show(start),
                show(end)
            ))
            .because(
                "Without a readiness probe a container counts as ready as soon as it runs, so \
                 Services send it requests at once.",
            );
        fault.subject = at(&case.subject, name);
        fault.evidence.push(proxy::field(case, format!("container {name}: no readinessProbe")));
        let title = format!("let {name} be ready only when port {port} accepts connections");
        let change = Change::ReadinessProbe { container: name.clone(), port };
        out.faults.push(fault.offer([Remedy::new("readiness-probe", title, vec![change])]));
    }
}

/// Whether the proxy was refused by its own application.
fn is_refused_inside(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let refused =
        ["delayed_connect_error:_111", "delayed connect error: 111", "connection_refused"]
            .iter()
            .any(|w| lower.contains(w));
    let Some(access) = access::read(text) else { return false };
    // Old formats give no details: the flags of an inbound connection that failed say as much.
    access.is_inbound() && (refused || access.has("UF") && !lower.contains("delayed_connect_error"))
}

/// The container that declares the port; the only one of the application where none does.
fn owner(spec: &PodSpec, port: u16) -> Option<&Container> {
    let natives = spec.init_containers.iter().filter(|c| c.is_native_sidecar());
    let all: Vec<&Container> = natives
        .chain(&spec.containers)
        .filter(|c| !is_mesh_container(&c.name) && c.name != container::PROXY)
        .collect();
    let declares = |c: &&&Container| c.ports.iter().any(|p| p.container_port == u32::from(port));
    let declared = all.iter().find(declares).copied();
    declared.or_else(|| (all.len() == 1).then(|| all[0]))
}

fn object_missing(case: &Case<'_>) -> Open {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    Open {
        rule: META.id,
        subject: at(&case.subject, ""),
        missing: vec![
            "whether the application has a readiness probe, and when it was started: the pod object"
                .to_owned(),
        ],
        get_it_with: Some(format!("kubectl {ns}get pod {pod} -o json")),
    }
}
