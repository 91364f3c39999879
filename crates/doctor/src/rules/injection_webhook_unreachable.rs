//! `injection-webhook-unreachable`: the API server cannot reach the injection webhook; with the
//! failure policy `Fail` no pod is made.
//!
//! Nothing in time means a blocked path (a firewall before port 15017); a refusal means that the
//! path is open and nothing listens.
//!
//! # Sources
//! istio/istio issues 43593, 36955, 20890, 30139, 36702, 16434; RULES.md A1.

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
pub(crate) struct InjectionWebhookUnreachable;

static META: Meta = Meta {
    id: "injection-webhook-unreachable",
    title: "The API server cannot reach the injection webhook, so no pod is made",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::Workload, Need::AppLog]],
    helps: &[],
    hears: &[webhook_call::FAILED],
    signs: &[Sign::WebhookCall],
    explains: &[],
    doc: page!("injection_webhook_unreachable", "doc.md"),
    fires: page!("injection_webhook_unreachable", "fires.txtar"),
    quiet: page!("injection_webhook_unreachable", "quiet.txtar"),
};

const MINE: &[Failure] = &[Failure::TimedOut, Failure::Refused, Failure::NotAllowed];

impl Rule for InjectionWebhookUnreachable {
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
    let refused = calls.iter().all(|c| c.failure == Failure::Refused);
    let webhook = calls[0].webhook;
    let look = format!(
        "kubectl -n {namespace_word} get pods -l app=istiod -o wide; kubectl -n {namespace_word} get service,endpoints {service_word}"
    );
    let (cause, how, why, remedies) = if calls.iter().any(|c| c.failure == Failure::NotAllowed) {
        (
            "address-not-allowed",
            "may not be called at its pods' addresses",
            "The cloud's control plane calls addresses of its own network only. The pods have others: \
             another network plugin with an overlay, or a range added later. istiod may be well; no \
             firewall's rule changes it.",
            own_network(&look),
        )
    } else if refused {
        (
            "not-listening",
            "refuses the connection",
            "The call reached the control plane's node or pod and was refused or cut: the path is \
             open, but nothing listens on port 15017, or it is being restarted.",
            vec![Remedy::advice(
                "restart-control-plane",
                "see why istiod does not listen, and restart it",
                format!(
                    "{look}; kubectl -n {namespace_word} rollout restart deployment {service_word}"
                ),
            )],
        )
    } else {
        (
            "no-answer",
            "does not answer",
            "Nothing came back in time. Where istiod itself is ready, the path from the control \
             plane to the nodes is blocked: the API server talks to the pods' port 15017, which \
             private clusters' firewalls do not open by themselves.",
            open_path(&look),
        )
    };
    Told {
        summary: format!("the injection webhook {webhook} {how}, so no pod can be made"),
        cause: Some(cause),
        why: vec![
            why.to_owned(),
            "The webhook's failure policy is Fail, so the API server refuses \
             every pod that it should inject."
                .to_owned(),
        ],
        remedies,
    }
}

fn own_network(look: &str) -> Vec<Remedy> {
    vec![
        Remedy::advice(
            "control-plane-host-network",
            "give istiod's pods the node's address, which the control plane can call (values of the \
             istiod chart), with ports that are free there",
            format!(
                "{look}; kubectl -n istio-system patch deployment istiod --type merge -p \
                 '{{\"spec\": {{\"template\": {{\"spec\": {{\"hostNetwork\": true, \"dnsPolicy\": \
                 \"ClusterFirstWithHostNet\"}}}}}}}}'"
            ),
        ),
        Remedy::advice(
            "routable-pod-network",
            "give the pods addresses of the cluster's own network, as the cloud's plugin does",
            "kubectl get pods -A -o wide -l app=istiod; kubectl get nodes -o wide".to_owned(),
        ),
    ]
}

fn open_path(look: &str) -> Vec<Remedy> {
    vec![
        Remedy::advice(
            "check-control-plane",
            "see whether istiod is ready: if it is not, that is the fault",
            look.to_owned(),
        ),
        Remedy::advice(
            "open-webhook-port",
            "let the control plane reach TCP 15017 on the nodes (GKE shown; on EKS a rule of the \
             nodes' security group; where the control plane cannot route to pods, istiod needs \
             hostNetwork)",
            "gcloud compute firewall-rules list --filter='name~gke-.*-master'; gcloud compute \
             firewall-rules update RULE --allow tcp:10250,tcp:443,tcp:15017"
                .to_owned(),
        ),
    ]
}
