//! `injection-webhook-no-endpoints`: the control plane is down, or the revision that the namespace
//! asks for is gone while its webhook configuration is still there.
//!
//! # Sources
//! Istio, "Sidecar Injection Problems"; istio/istio issue 33237; RULES.md A3.

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
pub(crate) struct InjectionWebhookNoEndpoints;

static META: Meta = Meta {
    id: "injection-webhook-no-endpoints",
    title: "The injection webhook's Service has no pods behind it, or is gone",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::Workload, Need::AppLog]],
    helps: &[],
    hears: &[webhook_call::FAILED],
    signs: &[Sign::WebhookCall],
    explains: &[],
    doc: page!("injection_webhook_no_endpoints", "doc.md"),
    fires: page!("injection_webhook_no_endpoints", "fires.txtar"),
    quiet: page!("injection_webhook_no_endpoints", "quiet.txtar"),
};

const MINE: &[Failure] = &[Failure::NobodyThere];

impl Rule for InjectionWebhookNoEndpoints {
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
        summary: format!("nobody is behind Service {namespace}/{service}, which {webhook} calls"),
        cause: None,
        why: vec![
            "The API server found no ready pod of the control plane: it is scaled down or does not \
             become ready, or that revision was removed while its webhook configuration and the \
             namespaces' labels stayed."
                .to_owned(),
        ],
        remedies: vec![
            Remedy::advice(
                "start-control-plane",
                "see why the control plane is not ready, and bring it back",
                format!(
                    "kubectl -n {namespace_word} get deployments,pods -l app=istiod; kubectl -n {namespace_word} rollout restart deployment {service_word}"
                ),
            ),
            Remedy::advice(
                "use-live-revision",
                "if the revision is gone: label the namespace for a live one, then delete the \
                 orphaned webhook configuration",
                "kubectl get mutatingwebhookconfigurations -l app=sidecar-injector -L istio.io/rev; kubectl label namespace NAMESPACE istio.io/rev=REVISION --overwrite; kubectl delete mutatingwebhookconfiguration NAME".to_owned(),
            ),
        ],
    }
}
