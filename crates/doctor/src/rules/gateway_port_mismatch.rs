//! `gateway-port-mismatch`: a Gateway asks for a port that no Service in front of the gateway leads
//! to.
//!
//! The gateway listens, is ready, and nobody reaches it there from outside.
//!
//! # Sources
//! istio/istio `pkg/config/analysis/analyzers/gateway` (IST0162); RULES.md G3.

use sunup_api::container;
use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::shell;
use sunup_evidence::object::{Gateway, Manifest, Service};
use sunup_evidence::shape::is_gateway;

use crate::judging::fault::{Fault, Judgements, Open};
use crate::judging::home;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::workload::Work;
use crate::knowledge::low_ports::{self, leads_to, selects};

/// The rule.
pub(crate) struct GatewayPortMismatch;

static META: Meta = Meta {
    id: "gateway-port-mismatch",
    title: "A Gateway asks for a port that no Service leads to",
    stage: Stage::Gateway,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::Gateways], &[Need::Services]],
    helps: &[Need::Workload],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("gateway_port_mismatch", "doc.md"),
    fires: page!("gateway_port_mismatch", "fires.txtar"),
    quiet: page!("gateway_port_mismatch", "quiet.txtar"),
};

impl Rule for GatewayPortMismatch {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let template = &workload.template;
        if !is_gateway(template) || template.spec.host_network {
            return;
        }
        let labels = &template.metadata.labels;
        let twins = home::twins(work.snapshot, workload, manifest);
        let gateways = low_ports::asking(work.snapshot, (workload, manifest));
        if gateways.iter().all(|(g, _)| g.ports.is_empty()) {
            return;
        }
        let namespace = work.subject.namespace.as_deref();
        let near = |s: &Service| {
            let ns = s.metadata.namespace.as_deref();
            ns.is_none() || namespace.is_none() || ns == namespace
        };
        let candidates: Vec<(&(Box<Service>, Manifest), &Manifest)> = work
            .snapshot
            .services
            .iter()
            .filter(|(s, _)| near(s) && selects(&s.spec.selector, labels))
            .map(|one| (one, &one.1))
            .collect();
        // Where none is sure to be its own, it is as if there were none.
        let services = home::joined(&candidates, manifest, &twins).unwrap_or_default();
        if services.is_empty() {
            return out.unknown.push(service_missing(work));
        }
        for (gateway, manifest) in gateways {
            let lost: Vec<u32> = gateway
                .ports
                .iter()
                .copied()
                // Whichever Service leads there, in whichever folder, there is one.
                .filter(|port| !candidates.iter().any(|((s, _), _)| leads_to(s, *port, template)))
                .collect();
            if !lost.is_empty() {
                out.faults.push(fault(work, gateway, manifest, &lost, &services));
            }
        }
    }
}

fn fault(
    work: &Work<'_>,
    gateway: &Gateway,
    manifest: &Manifest,
    lost: &[u32],
    services: &[&(Box<Service>, Manifest)],
) -> Fault {
    let ports = |all: &[u32]| all.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let names: Vec<&str> = services.iter().map(|(s, _)| s.metadata.name.as_str()).collect();
    let name = &gateway.metadata.name;
    let summary = format!(
        "Gateway {name} asks for port {}, which Service {} does not have",
        ports(lost),
        names.join(", ")
    );
    let subject = at(&work.subject, container::PROXY);
    let mut fault = Fault::new(&META, Verdict::Possible, subject, summary);
    let item = |manifest: &Manifest, text: String| EvidenceItem {
        source: manifest.place.to_string(),
        at: None,
        text,
    };
    fault
        .evidence
        .push(item(manifest, format!("Gateway {name}: servers on {}", ports(&gateway.ports))));
    for (service, manifest) in services {
        let has: Vec<u32> = service.spec.ports.iter().map(|p| p.port).collect();
        let text = format!("Service {}: ports {}", service.metadata.name, ports(&has));
        fault.evidence.push(item(manifest, text));
    }
    let ns = namespace_flag(&work.subject);
    let port = lost[0];
    let patch = format!(
        "[{{\"op\":\"add\",\"path\":\"/spec/ports/-\",\"value\":{{\"name\":\"port-{port}\",\"port\":{port},\"targetPort\":{port}}}}}]"
    );
    fault
        .because(
            "The control plane finds a server's port among the ports of the Service, and takes the \
             pod's port from there. A port that no Service has is bound as it stands: the gateway is \
             ready, its own pods answer, and nothing from outside gets there.",
        )
        .offer([Remedy::advice(
            "add-service-port",
            "give the Service that port, or the Gateway one of the Service's",
            format!("kubectl {ns}patch service {} --type json -p '{patch}'", shell::name(names[0])),
        )])
}

fn service_missing(work: &Work<'_>) -> Open {
    let ns = namespace_flag(&work.subject);
    Open {
        rule: META.id,
        subject: at(&work.subject, container::PROXY),
        missing: vec!["the Service in front of the gateway".to_owned()],
        get_it_with: Some(format!("kubectl {ns}get service -o yaml")),
    }
}
