//! `webhook-order-fragile`: Vault's injector is called after Istio's by the alphabet of their configurations'
//! names, so its init container lands behind the redirect.
//!
//! # Sources
//! Kubernetes, "Dynamic Admission Control"; istio/istio issues 38354, 43074, 54562; hashicorp/vault-helm
//! `injector-mutating-webhook.yaml`; RULES.md 1.2, C6.

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::{annotation, container};
use sunup_evidence::object::{Map, WebhookConfiguration};

use crate::judging::fault::{Fault, Judgements, Open};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::same_workload;
use crate::judging::workload::Work;
use crate::knowledge::injection;

/// The rule.
pub(crate) struct WebhookOrderFragile;

static META: Meta = Meta {
    id: "webhook-order-fragile",
    title: "Vault's injector runs after Istio's, by the names of their webhook configurations",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::Workload], &[Need::Webhooks]],
    helps: &[Need::Namespaces, Need::MeshConfig],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("webhook_order_fragile", "doc.md"),
    fires: page!("webhook_order_fragile", "fires.txtar"),
    quiet: page!("webhook_order_fragile", "quiet.txtar"),
};

impl Rule for WebhookOrderFragile {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, _)) = work.manifest else { return };
        let annotations = &workload.template.metadata.annotations;
        if !wants_an_init_container(annotations)
            || injection::by_manifest(work).is_none()
            || uses_cni(work)
            || runs(work)
        {
            return;
        }
        let (vault, istio) =
            (find(work, "vault.hashicorp.com"), find(work, "sidecar-injector.istio.io"));
        let (Some(vault), Some(istio)) = (vault, istio) else {
            out.unknown.push(Open {
                rule: META.id,
                subject: work.subject.clone(),
                missing: vec!["in which order Vault's and Istio's webhooks are called".to_owned()],
                get_it_with: Some("kubectl get mutatingwebhookconfigurations -o json".to_owned()),
            });
            return;
        };
        let again = istio.reinvocation.iter().any(|r| r.as_deref() == Some("IfNeeded"));
        if vault.metadata.name > istio.metadata.name && !again {
            out.faults.push(fault(work, vault, istio));
        }
    }
}

/// Vault's agent as an init container that nothing keeps from standing behind the redirect.
fn wants_an_init_container(annotations: &Map) -> bool {
    let is = |key: &str, value: &str| annotations.get(key).is_some_and(|v| v == value);
    let proxy = container::PROXY_UID.to_string();
    is(annotation::VAULT_INJECT, "true")
        && !is(annotation::VAULT_INIT_FIRST, "true")
        && !is("vault.hashicorp.com/agent-pre-populate", "false")
        && !is(annotation::VAULT_RUN_AS_USER, &proxy)
        && !is(annotation::NATIVE_SIDECAR, "true")
        && !annotations.contains_key(annotation::EXCLUDE_OUTBOUND_RANGES)
        && !annotations.contains_key(annotation::EXCLUDE_OUTBOUND_PORTS)
}

/// Under CNI the order does not matter: the redirect is there before any container.
fn uses_cni(work: &Work<'_>) -> bool {
    let on = |path: &str| {
        work.mesh.values.pointer(path).and_then(serde_json::Value::as_bool) == Some(true)
    };
    on("/pilot/cni/enabled") || on("/istio_cni/enabled")
}

/// Whether pods of it were handed over: their own order tells, and another rule reads it.
fn runs(work: &Work<'_>) -> bool {
    let snapshot = work.snapshot;
    snapshot.pods.iter().filter(|p| p.pod.is_some()).any(|p| {
        let subject = sunup_evidence::subject::of(p, snapshot);
        same_workload(&subject, &work.subject)
    })
}

fn find<'a>(work: &Work<'a>, webhook: &str) -> Option<&'a WebhookConfiguration> {
    work.snapshot.webhooks.iter().find(|c| c.webhooks.iter().any(|w| w.ends_with(webhook)))
}

fn fault(work: &Work<'_>, vault: &WebhookConfiguration, istio: &WebhookConfiguration) -> Fault {
    let summary =
        "Vault's init container will be put behind istio-init, where it can reach nothing";
    let mut fault = Fault::new(&META, Verdict::Possible, work.subject.clone(), summary);
    let (first, second) = (&istio.metadata.name, &vault.metadata.name);
    fault.evidence.push(EvidenceItem {
        source: "MutatingWebhookConfigurations".to_owned(),
        at: None,
        text: format!("{first} is called before {second}"),
    });
    let text = AnnotationValue::Text("true".to_owned());
    let change = Change::Annotation { key: annotation::VAULT_INIT_FIRST.into(), value: text };
    let title = "run Vault's init container before the redirect is set up";
    fault
        .because(format!(
            "Kubernetes calls mutating webhooks in the order of their configurations' names. {second} \
             comes after {first}, so Vault appends its init container behind istio-init. Assumed: a \
             classic sidecar and no istio-cni."
        ))
        .offer([
            Remedy::new("agent-init-first", title, vec![change])
                .unsafe_because("not under istio-cni, nor with native sidecars"),
            Remedy::advice(
                "rename-vault-release",
                "install Vault's injector under a release name that sorts before istio-sidecar-injector",
                "helm install hashi-vault hashicorp/vault -n vault".to_owned(),
            ),
        ])
}
