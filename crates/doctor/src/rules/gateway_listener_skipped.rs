//! `gateway-listener-skipped`: istiod leaves a privileged port out, because the proxy says that it
//! is unprivileged. Nobody complains: the gateway is ready, and nothing listens on the port.
//!
//! # Sources
//! istio/istio `pilot/pkg/networking/core/gateway.go` and `listener.go`, issue 49905; RULES.md G2.

use std::collections::BTreeMap;

use sunup_api::container;
use sunup_api::report::{EvidenceItem, Severity, Subject, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::rejected;
use sunup_evidence::shape::is_gateway;
use sunup_evidence::snapshot::PodFacts;
use sunup_evidence::subject;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::home;
use crate::judging::mesh::{Mesh, Version};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag, same_workload};
use crate::judging::workload::Work;
use crate::knowledge::low_ports::{self, Unserved};
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct GatewayListenerSkipped;

static META: Meta = Meta {
    id: "gateway-listener-skipped",
    title: "The control plane leaves out a privileged port of an unprivileged proxy",
    stage: Stage::Gateway,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::ControlPlaneLog, Need::Workload]],
    helps: &[Need::PodObject, Need::Workload, Need::Services, Need::Gateways, Need::Nodes],
    hears: &[],
    signs: &[Sign::PortSkipped],
    explains: &[],
    doc: page!("gateway_listener_skipped", "doc.md"),
    fires: page!("gateway_listener_skipped", "fires.txtar"),
    quiet: page!("gateway_listener_skipped", "quiet.txtar"),
};

const UNPRIVILEGED: &str = "ISTIO_META_UNPRIVILEGED_POD";
const SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";

impl Rule for GatewayListenerSkipped {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        for name in ["discovery", "istiod", ""] {
            let Some(log) = case.facts.log(name) else { continue };
            let mut by_subject: BTreeMap<Subject, Vec<(u16, &Sample)>> = BTreeMap::new();
            for sample in proxy::lines(log, Sign::PortSkipped) {
                // A sidecar that skips a Service's port serves everything else: no fault by itself.
                if !sample.text.contains("gateway port") {
                    continue;
                }
                if let Some((port, pod, namespace)) = skipped(&sample.text) {
                    let subject = whose(case, pod, namespace);
                    by_subject.entry(subject).or_default().push((port, sample));
                }
            }
            for (subject, lines) in by_subject {
                out.faults.push(observed(case, subject, &lines));
            }
        }
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let known = |f: &Fault| same_workload(&f.subject, &work.subject);
        let template = &workload.template;
        let proxy = template.spec.containers.iter().find(|c| c.name == container::PROXY);
        let says = proxy.and_then(|c| c.env(UNPRIVILEGED)).is_some_and(|v| v == "true");
        if !says || !is_gateway(template) || out.faults.iter().any(known) {
            return;
        }
        let low = low_ports::numbers(work.snapshot, (workload, manifest));
        if low.is_empty() {
            return;
        }
        let listed = low.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let mut subject = work.subject.clone();
        subject.container = Some(container::PROXY.to_owned());
        let summary = format!(
            "the gateway calls itself unprivileged, so the control plane leaves out its port {listed}"
        );
        let mut fault = Fault::new(&META, Verdict::Possible, subject, summary).because(WHY);
        fault.severity = Severity::Warning;
        fault.evidence.push(EvidenceItem {
            source: manifest.place.to_string(),
            at: None,
            text: format!(
                "{} {}: env {UNPRIVILEGED}=\"true\"",
                workload.kind, workload.metadata.name
            ),
        });
        out.faults.push(fault.offer(remedies(Some(template), work.mesh, &listed)));
    }
}

const WHY: &str = "With ISTIO_META_UNPRIVILEGED_POD=true a proxy tells the control plane that it may \
                   not bind ports below 1024, and the control plane sends no such listener. The proxy \
                   has nothing to complain of and is ready; connections to the port are refused.";

/// Port, pod and namespace in `… skipping privileged gateway port 80 for node <id> as it is …`.
fn skipped(text: &str) -> Option<(u16, &str, &str)> {
    let (_, rest) = text.split_once(" port ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let port = rest[..digits].parse().ok()?;
    let (_, node) = rest.split_once("for node ")?;
    let (pod, namespace) = rejected::node(node)?;
    Some((port, pod, namespace))
}

fn whose(case: &Case<'_>, pod: &str, namespace: &str) -> Subject {
    let known = case.snapshot.pod_named(namespace, pod);
    let named = PodFacts {
        name: Some(pod.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..PodFacts::default()
    };
    at(&subject::of(known.unwrap_or(&named), case.snapshot), container::PROXY)
}

fn observed(case: &Case<'_>, subject: Subject, lines: &[(u16, &Sample)]) -> Fault {
    let mut ports: Vec<u16> = lines.iter().map(|(p, _)| *p).collect();
    ports.sort_unstable();
    ports.dedup();
    let listed = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let summary =
        format!("the gateway does not listen on port {listed}: the control plane leaves it out");
    let workload = home::manifests(&subject, case.snapshot, &case.home).ok().flatten();
    let mut fault = Fault::new(&META, Verdict::Confirmed, subject, summary).because(WHY);
    let template = workload.map(|(w, _)| &w.template);
    let namespace = fault.subject.namespace.clone();
    let lost = lines.iter().copied();
    let unserved = Unserved::of(case.snapshot, namespace.as_deref(), template, lost);
    for port in &ports {
        let port = *port;
        let of_port = lines.iter().filter(|(p, _)| *p == port).map(|(_, s)| *s);
        proxy::show_lines(&mut fault, of_port, &format!("port {port} left out"));
    }
    unserved.tell(&mut fault);
    let opening = remedies(template, case.mesh, &listed);
    let namespace = namespace_flag(&fault.subject);
    fault.offer(unserved.before(&ports, opening, &namespace))
}

fn remedies(
    template: Option<&sunup_evidence::object::PodTemplate>,
    mesh: &Mesh,
    listed: &str,
) -> Vec<Remedy> {
    let mut found = Vec::new();
    let host_network = template.is_some_and(|t| t.spec.host_network);
    let old = mesh.versions.kubelet.is_some_and(|v| v < Version(1, 22));
    let own = template.is_some_and(|t| {
        let proxy = t.spec.containers.iter().find(|c| c.name == container::PROXY);
        proxy.and_then(|c| c.env(UNPRIVILEGED)).is_some()
    });
    if !host_network && !old && own {
        found.push(Remedy::new(
            "gateway-privileged",
            "let the gateway's pod bind all ports, and say so to the control plane",
            vec![
                Change::PodSysctl { name: SYSCTL, value: "0" },
                Change::EnvRemoved {
                    container: container::PROXY.to_owned(),
                    name: UNPRIVILEGED.to_owned(),
                },
            ],
        ));
    }
    found.push(Remedy::advice(
        "gateway-target-port",
        format!("let the gateway listen on high ports instead of {listed}"),
        "set `targetPort` in the gateway's Service (80 → 8080, 443 → 8443); its own ports stay"
            .to_owned(),
    ));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_of_both_forms() {
        for line in [
            "warn\tbuildGatewayListeners: skipping privileged gateway port 80 for node edge-6c9d8f7b54-k2x4z.gateways as it is an unprivileged pod",
            "warn buildGatewayListeners: skipping privileged gateway port 80 for node router~10.0.0.4~edge-6c9d8f7b54-k2x4z.gateways~gateways.svc.cluster.local as it is an unprivileged pod",
        ] {
            assert_eq!(skipped(line), Some((80, "edge-6c9d8f7b54-k2x4z", "gateways")), "{line}");
        }
    }
}
