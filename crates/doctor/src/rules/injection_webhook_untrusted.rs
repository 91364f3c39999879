//! `injection-webhook-untrusted`: the CA bundle in the webhook configuration is not the one that
//! signed the control plane's certificate, or the certificate has expired.
//!
//! # Sources
//! istio/istio issues 16363, 6186, 7409, 36687; RULES.md A2.

use sunup_api::report::Severity;
use sunup_api::shell;
use sunup_evidence::line::Sign;

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::workload::Work;
use crate::knowledge::webhook_call::{self, Call, Failure, Told};

/// The rule.
pub(crate) struct InjectionWebhookUntrusted;

static META: Meta = Meta {
    id: "injection-webhook-untrusted",
    title: "The API server does not trust the injection webhook's certificate",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::Workload, Need::AppLog]],
    helps: &[],
    hears: &[webhook_call::FAILED],
    signs: &[Sign::WebhookCall],
    explains: &[],
    doc: page!("injection_webhook_untrusted", "doc.md"),
    fires: page!("injection_webhook_untrusted", "fires.txtar"),
    quiet: page!("injection_webhook_untrusted", "quiet.txtar"),
};

const MINE: &[Failure] = &[Failure::Untrusted];

impl Rule for InjectionWebhookUntrusted {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        webhook_call::judge_pod(&META, case, MINE, tell, out);
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        webhook_call::judge_work(&META, work, MINE, tell, out);
    }
}

fn tell(calls: &[Call<'_>]) -> Told {
    let (service, namespace) = webhook_call::control_plane(calls);
    let (service_word, namespace_word) = (shell::name(service), shell::name(namespace));
    let webhook = calls[0].webhook;
    Told {
        summary: format!("the API server does not trust the certificate of {webhook}"),
        cause: None,
        why: vec![
            "The connection stood and the certificate was refused: the `caBundle` of the \
             MutatingWebhookConfiguration and the root that signed istiod's certificate differ, or \
             the certificate is not valid for that name or that time."
                .to_owned(),
            "istiod writes the bundle itself; a GitOps tool or Helm that puts back its own value, \
             or a configuration left over from a removed revision, keeps it wrong."
                .to_owned(),
        ],
        remedies: vec![
            Remedy::advice(
                "compare-ca-bundle",
                "compare the bundle with the root in use",
                format!(
                    "kubectl get mutatingwebhookconfigurations -o json | jq -r '.items[].webhooks[] | select(.name | endswith(\"sidecar-injector.istio.io\")) | .clientConfig.caBundle' | sort -u | while read b; do echo \"$b\" | base64 -d | openssl x509 -noout -fingerprint -enddate; done; kubectl -n {namespace_word} get configmap istio-ca-root-cert -o jsonpath='{{.data.root-cert\\.pem}}' | openssl x509 -noout -fingerprint -enddate"
                ),
            ),
            Remedy::advice(
                "restart-control-plane",
                "let istiod write the bundle anew, and keep other tools from overwriting it",
                format!("kubectl -n {namespace_word} rollout restart deployment {service_word}"),
            ),
        ],
    }
}
