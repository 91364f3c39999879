//! `probe-unknown-to-agent`: the kubelet's probe is led to the agent, and the agent was never told what to ask the
//! application: it answers 400.
//!
//! # Sources
//! istio/istio `pilot/cmd/pilot-agent/status/server.go` (`Prober does not exists url`), issues 36353, 12348.

use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::object::{Container, Probe};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct ProbeUnknownToAgent;

static META: Meta = Meta {
    id: "probe-unknown-to-agent",
    title: "The agent answers a rewritten probe with 400, as nobody told it of that probe",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::ProxyLog]],
    helps: &[Need::PodObject, Need::PodEvents],
    hears: &[],
    signs: &[Sign::ProbeUnknown],
    explains: &[],
    doc: page!("probe_unknown_to_agent", "doc.md"),
    fires: page!("probe_unknown_to_agent", "fires.txtar"),
    quiet: page!("probe_unknown_to_agent", "quiet.txtar"),
};

impl Rule for ProbeUnknownToAgent {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some(log) = proxy::log(case) else { return };
        let mut by_name: Vec<(&str, Vec<&Sample>)> = Vec::new();
        for sample in proxy::lines(log, Sign::ProbeUnknown) {
            let Some((name, _)) = asked(&sample.text) else { continue };
            match by_name.iter_mut().find(|(n, _)| *n == name) {
                Some((_, lines)) => lines.push(sample),
                None => by_name.push((name, vec![sample])),
            }
        }
        for (name, lines) in by_name {
            if let Some(verdict) = verdict(case, name, &lines) {
                out.faults.push(fault(case, name, verdict, &lines));
            }
        }
    }
}

/// Container and kind of probe of a path that the agent does not know.
fn asked(text: &str) -> Option<(&str, &str)> {
    let (_, path) = text.split_once("url /app-health/")?;
    let path = path.split_whitespace().next()?;
    path.split_once('/')
}

/// How sure it is that the kubelet asked; `None` where it was somebody else, or is over.
fn verdict(case: &Case<'_>, name: &str, lines: &[&Sample]) -> Option<Verdict> {
    let answered = case.facts.events_of(name).any(|r| {
        let m = &r.event.message;
        m.contains("probe failed") && m.contains("statuscode: 400")
    });
    if case.pod().is_none() {
        return Some(if answered { Verdict::Confirmed } else { Verdict::Likely });
    }
    let led = |c: &Container| {
        let paths = lines.iter().filter_map(|s| asked(&s.text));
        paths.into_iter().any(|(_, kind)| {
            let path = format!("/app-health/{name}/{kind}");
            probes(c)
                .any(|p| p.http_get.as_ref().and_then(|g| g.path.as_deref()) == Some(path.as_str()))
        })
    };
    // Anybody in the mesh can ask the agent's port for any path.
    if !case.container(name).is_some_and(led) {
        return None;
    }
    let status = case.status(name);
    let well = status.is_some_and(|s| s.ready && s.restart_count == 0);
    match (answered, well) {
        (true, _) => Some(Verdict::Confirmed),
        (false, true) => None,
        (false, false) => Some(Verdict::Likely),
    }
}

fn probes(container: &Container) -> impl Iterator<Item = &Probe> {
    let all = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
    all.into_iter().flatten()
}

fn fault(case: &Case<'_>, name: &str, verdict: Verdict, lines: &[&Sample]) -> Fault {
    let kinds: Vec<&str> = lines.iter().filter_map(|s| Some(asked(&s.text)?.1)).collect();
    let kind = kinds.first().copied().unwrap_or("readyz");
    let summary = format!(
        "the agent does not know the probe /app-health/{name}/{kind}, and answers the kubelet with 400"
    );
    let what = "probe unknown to the agent";
    let telling = lines.iter().copied();
    let mut fault = proxy::fault(&META, case, verdict, summary, telling, what);
    fault.subject = at(&case.subject, name);
    let failed = case.facts.events_of(name).filter(|r| r.event.message.contains("statuscode: 400"));
    fault.evidence.extend(failed.take(1).map(proxy::event));
    fault
        .because(
            "The injector leads each probe to the agent and tells the agent, in ISTIO_KUBE_APP_PROBERS, \
             what to ask the application. Here only the first was done: the container was added, or its \
             probe changed, by a webhook that ran after Istio's first pass, or by an injection that was \
             done by hand before; an injector that is called again rewrites the probe and keeps the \
             variable.",
        )
        .offer([
            Remedy::advice(
                "inject-last",
                "let the other webhook run first (names sort), so that the injector sees the container \
                 at its first pass",
                "kubectl get mutatingwebhookconfigurations -o custom-columns=NAME:.metadata.name,\
                 REINVOKE:.webhooks[*].reinvocationPolicy"
                    .to_owned(),
            ),
            Remedy::advice(
                "no-rewrite",
                "leave the probes of this pod as they are, with their port past the proxy",
                "annotations of the pod template: sidecar.istio.io/rewriteAppHTTPProbers: \"false\", \
                 traffic.sidecar.istio.io/excludeInboundPorts: \"PORT\""
                    .to_owned(),
            ),
        ])
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn only_a_probes_path_counts() {
        let text = "error\tProber does not exists url /app-health/otc-container/livez";
        assert_eq!(asked(text), Some(("otc-container", "livez")));
        assert_eq!(asked("error\tProber does not exists url /health/ready"), None);
        assert_eq!(asked("error\tProber does not exists url /"), None);
    }
}
