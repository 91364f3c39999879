//! `network-attachment-missing`: multus is told to run istio-cni for the pod, and the namespace has no
//! NetworkAttachmentDefinition of that name.
//!
//! # Sources
//! kubeflow/manifests issue 2580; k8snetworkplumbingwg/multus-cni `pkg/k8sclient` (`cannot find a
//! network-attachment-definition`); Istio, "OpenShift" (additional requirements of namespaces).

use sunup_api::report::{Severity, Verdict};
use sunup_api::shell;

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;

/// The rule.
pub(crate) struct NetworkAttachmentMissing;

static META: Meta = Meta {
    id: "network-attachment-missing",
    title: "The namespace lacks the NetworkAttachmentDefinition by which multus runs istio-cni",
    stage: Stage::Sandbox,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject],
    hears: &[MARK],
    signs: &[],
    explains: &[],
    doc: page!("network_attachment_missing", "doc.md"),
    fires: page!("network_attachment_missing", "fires.txtar"),
    quiet: page!("network_attachment_missing", "quiet.txtar"),
};

const MARK: &str = "cannot find a network-attachment-definition";

impl Rule for NetworkAttachmentMissing {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        // What was said before a container of the pod was started has healed.
        if case.came_up() {
            return;
        }
        let Some(heard) = case.heard(&META, |s| attachment(s.text).is_some()) else { return };
        let Some(name) = heard.said.iter().find_map(|s| attachment(s.text)) else { return };
        let namespace = heard.namespace();
        let summary = format!(
            "namespace {namespace} has no NetworkAttachmentDefinition {name}, so the pod gets no network"
        );
        let definition = format!(
            "{{\"apiVersion\": \"k8s.cni.cncf.io/v1\", \"kind\": \"NetworkAttachmentDefinition\", \
             \"metadata\": {{\"name\": {}}}}}",
            serde_json::Value::from(name)
        );
        let fault = heard.fault(&META, Verdict::Confirmed, summary, "no such attachment").because(
            "Where multus calls the CNI plugins, as on OpenShift, the injector asks for istio-cni with \
             the annotation k8s.v1.cni.cncf.io/networks. multus looks the name up in the pod's own \
             namespace; an empty definition is enough, its configuration is on the node.",
        );
        out.faults.push(fault.offer([
            Remedy::advice(
                "add-network-attachment",
                format!("create the definition in namespace {namespace}"),
                format!(
                    "kubectl -n {} apply -f - <<< {}",
                    heard.namespace_word(),
                    shell::word(&definition)
                ),
            ),
            Remedy::advice(
                "default-attachment",
                "let the mesh use one definition for all namespaces: the platform profile of \
                 releases that name it default/istio-cni",
                "istioctl install --set values.global.platform=openshift".to_owned(),
            ),
        ]));
    }
}

/// The name of the definition that is missing, where it is istio-cni's: operators put a version
/// before it (`v2-5-istio-cni`).
fn attachment(text: &str) -> Option<&str> {
    let at = text.to_ascii_lowercase().find(MARK)? + MARK.len();
    let (name, _) = text[at..].trim_start().strip_prefix('(')?.split_once(')')?;
    name.ends_with("istio-cni").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::attachment;

    #[test]
    fn only_istio_cnis_definition_counts() {
        let own = "GetNetworkDelegates: failed getting the delegate: getKubernetesDelegate: cannot find a network-attachment-definition (istio-cni) in namespace (kubeflow): network-attachment-definitions.k8s.cni.cncf.io \"istio-cni\" not found";
        assert_eq!(attachment(own), Some("istio-cni"));
        let other =
            "cannot find a network-attachment-definition (macvlan-conf) in namespace (shop)";
        assert_eq!(attachment(other), None);
        assert_eq!(attachment("cannot find a network-attachment-definition"), None);
    }
}
