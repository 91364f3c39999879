//! `native-sidecar-stripped`: another webhook took `restartPolicy` off the native sidecar, which makes it an
//! ordinary init container that never ends.
//!
//! # Sources
//! istio/istio issue 49221; Azure/azure-workload-identity issue 1312; kubernetes/kops issue 16802; RULES.md A7.

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::{annotation, container};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::mesh::{Version, Versions};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::judging::texts::Said;
use crate::judging::workload::Work;

/// The rule.
pub(crate) struct NativeSidecarStripped;

static META: Meta = Meta {
    id: "native-sidecar-stripped",
    title: "Another webhook strips `restartPolicy` off the native sidecar",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::Workload, Need::PodObject]],
    helps: &[Need::Workload],
    hears: &["without restartpolicy=always"],
    signs: &[],
    explains: &[],
    doc: page!("native_sidecar_stripped", "doc.md"),
    fires: page!("native_sidecar_stripped", "fires.txtar"),
    quiet: page!("native_sidecar_stripped", "quiet.txtar"),
};

const REFUSED: &str =
    "a webhook stripped restartPolicy off the native sidecar, and the API server refuses the pod";
const STUCK: &str =
    "istio-proxy runs as an ordinary init container that never ends: the pod stays in Init";

impl Rule for NativeSidecarStripped {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        if let Some(heard) = case.heard(&META, is_it) {
            let fault = heard.fault(&META, Verdict::Confirmed, REFUSED, "the pod was refused");
            out.faults.push(explained(fault, case.versions));
        } else if let Some(shown) = stripped(case) {
            let subject = at(&case.subject, container::PROXY);
            let mut fault = Fault::new(&META, Verdict::Confirmed, subject, STUCK);
            fault.evidence.push(shown);
            out.faults.push(explained(fault, case.versions));
        }
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        if let Some(heard) = work.heard(&META, is_it) {
            let fault = heard.fault(&META, Verdict::Confirmed, REFUSED, "the pod was refused");
            out.faults.push(explained(fault, work.versions()));
        }
    }
}

/// Fields that only a native sidecar may have, on an init container that lost what made it one.
fn is_it(said: &Said<'_>) -> bool {
    said.has("may not be set for init containers without restartpolicy=always")
}

/// istio-proxy among the init containers, running, without the restart policy.
fn stripped(case: &Case<'_>) -> Option<EvidenceItem> {
    let (pod, manifest) = case.facts.pod.as_ref()?;
    let proxy = pod.spec.init_containers.iter().find(|c| c.name == container::PROXY)?;
    let running = pod.status.container(container::PROXY)?.state.running.is_some();
    (running && !proxy.is_native_sidecar()).then(|| EvidenceItem {
        source: manifest.place.to_string(),
        at: None,
        text: "spec.initContainers: istio-proxy without restartPolicy: Always, and it runs"
            .to_owned(),
    })
}

fn explained(fault: Fault, versions: Versions) -> Fault {
    let text = AnnotationValue::Text("false".to_owned());
    let change = Change::Annotation { key: annotation::NATIVE_SIDECAR.into(), value: text };
    let classic =
        Remedy::new("classic-sidecar", "run istio-proxy as a classic sidecar", vec![change]);
    let classic = if versions.istio.is_some_and(|v| v < Version(1, 24)) {
        None
    } else {
        Some(
            classic.unsafe_because("init containers then run without the mesh, from Istio 1.24 on"),
        )
    };
    fault
        .because(
            "A webhook built against a Kubernetes API before 1.28 reads the pod, does not know \
             restartPolicy on init containers, and writes the pod back without it. Known ones: \
             azure-workload-identity, the AWS pod identity webhook, old Datadog, vault-k8s up to \
             1.3.0 with agent-init-first.",
        )
        .offer([Remedy::advice(
            "upgrade-webhook",
            "find the webhook that rewrites pods, and upgrade it",
            "kubectl get mutatingwebhookconfigurations -o custom-columns=NAME:.metadata.name,SERVICE:.webhooks[*].clientConfig.service.name"
                .to_owned(),
        )])
        .offer(classic)
}
