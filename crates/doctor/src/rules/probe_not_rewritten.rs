//! `probe-not-rewritten`: the kubelet's probes go to the application's port, where the proxy wants
//! mutual TLS, instead of to the agent.
//!
//! # Sources
//! Istio, "Health checking of Istio services"; istio/istio issues 25177, 26737, 36353, 53786;
//! RULES.md E8.

use sunup_api::report::{Severity, Verdict};
use sunup_api::{annotation, container};
use sunup_evidence::object::{Container, IntOrString, Probe};
use sunup_evidence::shape::{Sidecar, is_mesh_container};
use sunup_evidence::snapshot::EventRun;

use crate::judging::fault::{Fault, Judgements, Open};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::knowledge::{agent, proxy};

/// The rule.
pub(crate) struct ProbeNotRewritten;

static META: Meta = Meta {
    id: "probe-not-rewritten",
    title: "A probe is not led through the agent, and the proxy refuses it",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodEvents], &[Need::PodObject]],
    helps: &[Need::ProxyLog, Need::Workload, Need::MeshConfig],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("probe_not_rewritten", "doc.md"),
    fires: page!("probe_not_rewritten", "fires.txtar"),
    quiet: page!("probe_not_rewritten", "quiet.txtar"),
};

impl Rule for ProbeNotRewritten {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let cut = cut_probes(case);
        if cut.is_empty() || !case.shape.proxy_seen {
            return;
        }
        if case.pod().is_none() {
            return out.unknown.push(object_missing(case));
        }
        if case.shape.sidecar == Sidecar::None || case.shape.ambient || case.shape.gateway {
            return;
        }
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in &cut {
            let Some(container) = case.container(name).filter(|_| !seen.contains(name)) else {
                continue;
            };
            seen.push(name);
            let direct = direct(container, agent::port(case.template().as_ref(), case.mesh));
            let events: Vec<&EventRun> =
                cut.iter().filter(|(n, _)| n == name).map(|(_, e)| *e).collect();
            if !direct.is_empty() {
                out.faults.push(fault(case, container, &direct, &events));
            }
        }
    }
}

/// Failed probes of the application whose connection was taken and ended.
fn cut_probes<'a>(case: &Case<'a>) -> Vec<(&'a str, &'a EventRun)> {
    let ended = |m: &str| {
        let lower = m.to_ascii_lowercase();
        lower.contains("probe failed: get \"http")
            && (lower.contains("connection reset by peer")
                || lower.trim_end().ends_with(": eof")
                || lower.contains("server gave http response"))
            || lower.contains("probe failed: get http")
                && lower.contains("connection reset by peer")
    };
    let all = case.facts.events.iter().filter(|r| ended(&r.event.message));
    all.filter_map(|r| Some((r.event.container.as_deref()?, r)))
        .filter(|(name, _)| !is_mesh_container(name))
        .collect()
}

/// Probes that ask the application's own port by HTTP.
fn direct(container: &Container, agent: u16) -> Vec<(&'static str, String)> {
    let probes: [(&'static str, &Option<Probe>); 3] = [
        ("startupProbe", &container.startup_probe),
        ("readinessProbe", &container.readiness_probe),
        ("livenessProbe", &container.liveness_probe),
    ];
    let mut found = Vec::new();
    for (kind, probe) in probes {
        let Some(get) = probe.as_ref().and_then(|p| p.http_get.as_ref()) else { continue };
        let path = get.path.as_deref().unwrap_or("/");
        let agent = matches!(get.port, Some(IntOrString::Int(p)) if p == u32::from(agent));
        if agent || path.starts_with("/app-health/") {
            continue;
        }
        let to = match &get.port {
            Some(IntOrString::Int(p)) => p.to_string(),
            Some(IntOrString::Name(n)) => n.clone(),
            None => "its port".to_owned(),
        };
        found.push((kind, format!("{kind}: httpGet {path} on {to}")));
    }
    found
}

fn fault(
    case: &Case<'_>,
    container: &Container,
    direct: &[(&'static str, String)],
    events: &[&EventRun],
) -> Fault {
    let name = &container.name;
    let annotations = case.pod().map(|p| &p.metadata.annotations);
    let off =
        annotations.and_then(|a| a.get(annotation::REWRITE_PROBES)).is_some_and(|v| v == "false");
    let value = case.mesh.values.pointer("/sidecarInjectorWebhook/rewriteAppHTTPProbe");
    let off_in_mesh = value.and_then(serde_json::Value::as_bool) == Some(false);
    let times: u32 = events.iter().flat_map(|r| &r.occurrences).map(|o| o.count).sum();
    let sure = off || off_in_mesh || times > 2;
    let verdict = if sure { Verdict::Confirmed } else { Verdict::Likely };
    let kinds: Vec<&str> = direct.iter().map(|(kind, _)| *kind).collect();
    let summary = format!(
        "the kubelet's {} of {name} goes to the application's port, and the proxy ends the \
         connection",
        kinds.join(" and ")
    );
    let none = std::iter::empty();
    let mut fault = proxy::fault(&META, case, verdict, summary, none, "");
    fault.subject = at(&case.subject, name);
    fault.evidence = events.iter().map(|r| proxy::event(r)).collect();
    for (_, text) in direct {
        fault.evidence.push(proxy::field(case, format!("container {name}: {text}")));
    }
    fault = fault.because(
        "The kubelet is no member of the mesh and has no certificate. Istio's injector leads probes \
         to the agent (/app-health/…), which asks the application in the pod; this one \
         was left as it was, and inbound capture hands it to a proxy that wants mutual TLS.",
    );
    if off || off_in_mesh {
        fault.cause = Some("switched-off");
        fault = fault.because(format!(
            "The rewriting is switched off by {}.",
            if off { annotation::REWRITE_PROBES } else { "the mesh's values" }
        ));
        let text = AnnotationValue::Text("true".to_owned());
        let change = Change::Annotation { key: annotation::REWRITE_PROBES.into(), value: text };
        let title = "lead the probes through the agent";
        let remedy = Remedy::new("rewrite-probes", title, vec![change]).with_live(annotations);
        return fault.offer([remedy]);
    }
    fault.cause = Some("injected-later");
    fault
        .because(
            "Nothing switches the rewriting off, so this container was most likely added by a webhook \
             that ran after Istio's, which saw no probe to rewrite.",
        )
        .offer([
            Remedy::advice(
                "reinvoke-injector",
                "let Istio's webhook run again after the others",
                "istioctl install --set values.sidecarInjectorWebhook.reinvocationPolicy=IfNeeded"
                    .to_owned(),
            ),
            Remedy::advice(
                "exclude-probe-port",
                "let the probe's port past the proxy (whatever else calls it leaves the mesh too)",
                "traffic.sidecar.istio.io/excludeInboundPorts: \"PORT\"   # annotation of the pod \
                 template"
                    .to_owned(),
            ),
        ])
}

fn object_missing(case: &Case<'_>) -> Open {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    Open {
        rule: META.id,
        subject: at(&case.subject, container::PROXY),
        missing: vec!["whether the probes were rewritten: the pod object".to_owned()],
        get_it_with: Some(format!("kubectl {ns}get pod {pod} -o json")),
    }
}
