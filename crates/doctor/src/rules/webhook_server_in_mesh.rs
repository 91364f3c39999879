//! `webhook-server-in-mesh`: the server of an admission webhook has a sidecar that wants mutual TLS, which the API
//! server does not speak: no call of that webhook gets through.
//!
//! A failed call alone has many reasons, and so has a handshake that ends early (a TCP probe does that): both
//! together, of the same server, or a proxy in front of it, are what tells.
//!
//! # Sources
//! kubeflow/spark-operator issue 3090; istio/istio issues 29566, 39290, 34543; knative net-istio issue 150; Go
//! `net/http` (`http: TLS handshake error from`).

use sunup_api::report::{Severity, Verdict};
use sunup_api::shell;
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::object::IntOrString;
use sunup_evidence::shape::{Shape, Sidecar, is_mesh_container};
use sunup_evidence::snapshot::{PodFacts, Snapshot};
use sunup_evidence::subject;

use crate::judging::fault::{Fault, Judgements, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::judging::texts::Said;
use crate::judging::workload::Work;
use crate::knowledge::webhook_call::{self, Complaint};

/// The rule.
pub(crate) struct WebhookServerInMesh;

static META: Meta = Meta {
    id: "webhook-server-in-mesh",
    title: "A webhook's server has a sidecar, and the API server cannot call it",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::AppLog, Need::Workload]],
    helps: &[Need::PodObject, Need::Services],
    hears: &[webhook_call::FAILED],
    signs: &[Sign::WebhookCall],
    explains: &[],
    doc: page!("webhook_server_in_mesh", "doc.md"),
    fires: page!("webhook_server_in_mesh", "fires.txtar"),
    quiet: page!("webhook_server_in_mesh", "quiet.txtar"),
};

impl Rule for WebhookServerInMesh {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let said: Vec<&Said<'_>> = case.said(&META).collect();
        judge(case.snapshot, &said, out);
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let said: Vec<&Said<'_>> = work.said(&META).collect();
        judge(work.snapshot, &said, out);
    }
}

fn judge(snapshot: &Snapshot, said: &[&Said<'_>], out: &mut Judgements) {
    let told = said.iter().filter_map(|s| Some((*s, webhook_call::of_others(s.text)?)));
    let mut told: Vec<(&Said<'_>, Complaint<'_>)> = told.collect();
    told.dedup_by(|(_, a), (_, b)| a.service == b.service && a.webhook == b.webhook);
    for (said, complaint) in told {
        if let Some((server, verdict)) = server(snapshot, &complaint) {
            out.faults.push(fault(snapshot, server, verdict, said, &complaint));
        }
    }
}

/// The pod that answers behind the webhook's Service, where its proxy is what stands in the way.
fn server<'a>(
    snapshot: &'a Snapshot,
    complaint: &Complaint<'_>,
) -> Option<(&'a PodFacts, Verdict)> {
    let (service, namespace) = complaint.service;
    let mut pods = snapshot.pods.iter().filter(|pod| pod.namespace.as_deref() == Some(namespace));
    let mut selector = snapshot.services_named(Some(namespace), service).map(|s| &s.spec.selector);
    let selector = selector.next().filter(|s| !s.is_empty());
    let behind = |pod: &&PodFacts| match (selector, pod.object()) {
        (Some(all), Some(object)) => {
            all.iter().all(|(key, value)| object.metadata.labels.get(key) == Some(value))
        }
        // Without the Service: it bears the workload's name, with `-svc`, `-service` … behind it.
        _ => {
            let workload = subject::of(pod, snapshot).name;
            service.starts_with(workload.as_str()) || workload.starts_with(service)
        }
    };
    let meshed = |pod: &PodFacts| {
        let shape = Shape::of(pod);
        shape.proxy_seen || shape.sidecar == Sidecar::Classic || shape.sidecar == Sidecar::Native
    };
    let found = pods.clone().find(|pod| behind(pod) && handshakes(pod).next().is_some());
    if let Some(pod) = found {
        return Some((pod, Verdict::Confirmed));
    }
    // Without the server's log: a proxy's certificate bears no names, a server's own does.
    let sure = complaint.nameless || selector.is_some();
    pods.find(|pod| sure && behind(pod) && meshed(pod)).map(|pod| (pod, Verdict::Likely))
}

/// Handshakes that ended early and came by way of the pod's own proxy.
fn handshakes(pod: &PodFacts) -> impl Iterator<Item = (&str, &Sample)> {
    let logs = pod.logs.iter().filter(|(name, _)| !is_mesh_container(name));
    logs.flat_map(|(name, log)| {
        let lines = log.symptoms.get(&Sign::HandshakeByProxy).into_iter();
        lines.flat_map(|marks| marks.iter()).map(move |sample| (name.as_str(), sample))
    })
}

fn fault(
    snapshot: &Snapshot,
    server: &PodFacts,
    verdict: Verdict,
    said: &Said<'_>,
    complaint: &Complaint<'_>,
) -> Fault {
    let (service, namespace) = complaint.service;
    let webhook = complaint.webhook;
    let subject = at(&subject::of(server, snapshot), "");
    let summary = format!(
        "the server of webhook {webhook} has a sidecar, and the API server, which has none, cannot call it"
    );
    let mut fault = Fault::new(&META, verdict, subject, summary);
    fault.evidence.push(said.item());
    fault.points.extend(said.points("the webhook could not be called"));
    fault.evidence.extend(handshakes(server).take(1).map(|(_, sample)| item(sample)));
    let port = port(snapshot, complaint);
    let title = "let the webhook's port past the proxy";
    let remedy = match port {
        Some(port) => {
            let value = AnnotationValue::Item(port.to_string());
            let change = Change::Annotation {
                key: "traffic.sidecar.istio.io/excludeInboundPorts".into(),
                value,
            };
            let live = server.object().map(|p| &p.metadata.annotations);
            Remedy::new("exclude-webhook-port", title, vec![change])
                .unsafe_because("whatever else calls that port leaves the mesh too")
                .with_live(live)
        }
        None => Remedy::advice(
            "exclude-webhook-port",
            title,
            format!(
                "kubectl -n {} get service {} -o jsonpath='{{.spec.ports[*].targetPort}}'; \
                 annotation of the pod template: traffic.sidecar.istio.io/excludeInboundPorts: \"PORT\"",
                shell::name(namespace),
                shell::name(service)
            ),
        ),
    };
    fault
        .because(
            "The API server opens TLS of its own to the webhook and trusts its caBundle; it is no member \
             of the mesh and has no certificate for mutual TLS. Where the mesh, or the namespace, is \
             STRICT, the sidecar takes that for what it is not and ends the connection, or shows the \
             mesh's certificate, which bears no DNS names.",
        )
        .because(
            "Everything looks well from within: the pod is ready and its certificate valid. A handshake \
             from 127.0.0.6 came by way of the pod's own proxy.",
        )
        .offer([
            remedy,
            Remedy::advice(
                "no-sidecar",
                "leave the server out of the mesh: the label sidecar.istio.io/inject: \"false\"",
                "spec.template.metadata.labels: {sidecar.istio.io/inject: \"false\"}".to_owned(),
            ),
        ])
}

/// The server's own port behind the Service.
fn port(snapshot: &Snapshot, complaint: &Complaint<'_>) -> Option<u32> {
    let (service, namespace) = complaint.service;
    let service = snapshot.services_named(Some(namespace), service).next()?;
    let port = service.spec.ports.iter().find(|p| u32::from(complaint.port) == p.port)?;
    match &port.target_port {
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::Name(_)) => None,
        None => Some(port.port),
    }
}
