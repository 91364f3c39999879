//! `root-certificate-missing`: the namespace has no `istio-ca-root-cert` ConfigMap, so the proxy's volume
//! cannot be mounted.
//!
//! # Sources
//! istio/istio issues 43824, 22463, 29659, 52988, 56594, 41389; RULES.md B5.

use sunup_api::report::{Severity, Verdict};

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;

/// The rule.
pub(crate) struct RootCertificateMissing;

static META: Meta = Meta {
    id: "root-certificate-missing",
    title: "The namespace lacks the mesh's root certificate (`istio-ca-root-cert`)",
    stage: Stage::Sandbox,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject],
    hears: &["istio-ca-root-cert"],
    signs: &[],
    explains: &[],
    doc: page!("root_certificate_missing", "doc.md"),
    fires: page!("root_certificate_missing", "fires.txtar"),
    quiet: page!("root_certificate_missing", "quiet.txtar"),
};

impl Rule for RootCertificateMissing {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        // What was said before a container of the pod was started has healed.
        if case.came_up() {
            return;
        }
        let Some(heard) = case.heard(&META, |s| s.has("istio-ca-root-cert") && s.has("not found"))
        else {
            return;
        };
        let fault = heard.fault(
            &META,
            Verdict::Confirmed,
            format!(
                "the ConfigMap istio-ca-root-cert is missing in {}, so the pod cannot mount it",
                heard.namespace()
            ),
            "istio-ca-root-cert not found",
        );
        let fault = fault
            .because("istiod writes that ConfigMap into every namespace that it watches. It is missing where the \
                 namespace is outside `discoverySelectors`, where several revisions with different \
                 selectors share one leader, or where an external control plane is not named on the \
                 namespace.");
        out.faults.push(fault.offer([Remedy::advice(
            "write-root-certificate",
            "make the namespace one that istiod watches, then restart istiod of that revision",
            format!("kubectl -n istio-system get configmap istio -o jsonpath='{{.data.mesh}}' | grep -A8 discoverySelectors; kubectl get namespace {} --show-labels; kubectl -n istio-system rollout restart deployment istiod", heard.namespace_word()),
        )]));
    }
}
