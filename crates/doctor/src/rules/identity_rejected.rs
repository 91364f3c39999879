//! `identity-rejected`: the proxy reaches the control plane, and one of the two does not accept the
//! other's identity: a certificate, or the token that stands for the pod.
//!
//! # Sources
//! istio/istio issues 26225, 32742, 34547, 36683, 42323, 45000, 55029, 57889; RULES.md D2, B5.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::control_plane::{Trouble, target};
use sunup_evidence::line::Sign;

use crate::judging::fault::{Judgements, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{Change, Remedy};
use crate::judging::rule::Rule;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct IdentityRejected;

static META: Meta = Meta {
    id: "identity-rejected",
    title: "The control plane and the proxy do not accept each other's identity",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::ProxyLog]],
    helps: &[Need::PodObject, Need::PodEvents, Need::Workload],
    hears: &[],
    signs: &[Sign::ControlPlane],
    explains: &[
        "app-before-proxy",
        "hold-timed-out",
        "proxy-restarted-by-startup-probe",
        "start-gate-expired",
    ],
    doc: page!("identity_rejected", "doc.md"),
    fires: page!("identity_rejected", "fires.txtar"),
    quiet: page!("identity_rejected", "quiet.txtar"),
};

impl Rule for IdentityRejected {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some(unready) = proxy::unready(case) else { return };
        let Some((cause, lines)) = proxy::control_plane(case, &unready) else { return };
        if !cause.is_identity() {
            return;
        }
        let sure = unready.lasting || lines.len() > 2;
        let verdict = if sure { Verdict::Confirmed } else { Verdict::Likely };
        let (id, what, why) = words(cause);
        let to = lines.iter().rev().find_map(|l| target(&l.text));
        let to = to.map_or(String::new(), |t| format!(" ({t})"));
        let summary =
            format!("istio-proxy and the control plane{to} do not trust each other: {what}");
        let point = "identity refused";
        let mut fault = proxy::fault(&META, case, verdict, summary, lines.iter().copied(), point);
        fault.cause = Some(id);
        fault.evidence.extend(unready.waits.last().map(|(_, s)| item(s)));
        let said = format!("The proxy's log says so {}.", proxy::since(&lines));
        let fault = fault.because(said).because(why).because(
            "The proxy gets neither certificate nor configuration and does not become ready.",
        );
        out.faults.push(fault.offer(remedies(case, cause)));
    }
}

fn words(cause: Trouble) -> (&'static str, &'static str, &'static str) {
    match cause {
        Trouble::TokenRejected => (
            "token-rejected",
            "the pod's token is refused",
            "The control plane has the API server review the pod's token, and the answer was no: \
             another issuer or audience, another trust domain or cluster than the control plane \
             knows, an expired token, or clocks that differ.",
        ),
        Trouble::TokenUnreadable => (
            "token-unreadable",
            "the pod's token can't be read",
            "The token's file is not readable for the proxy's user (uid 1337). Where the kubelet \
             does not set its group by itself (Kubernetes before 1.19), the pod needs fsGroup 1337.",
        ),
        Trouble::Expired => (
            "certificate-expired",
            "a certificate is expired or not yet valid",
            "A certificate of the control plane is out of its time, or the node's clock is wrong.",
        ),
        Trouble::WrongName => (
            "wrong-name",
            "the control plane's certificate is for other names",
            "The address in use is not among the names of istiod's certificate: a revision, an \
             external control plane or a gateway before it under a name of its own.",
        ),
        _ => (
            "unknown-authority",
            "the control plane's certificate is signed by a root that the pod does not have",
            "The root in the namespace's ConfigMap istio-ca-root-cert is not the one that signed \
             istiod's certificate: the mesh was installed anew or its root replaced, or two control \
             planes write the same ConfigMap. It heals within minutes where istiod is just slow to \
             write it.",
        ),
    }
}

fn remedies(case: &Case<'_>, cause: Trouble) -> Vec<Remedy> {
    let ns = case.namespace_word();
    match cause {
        Trouble::TokenUnreadable => file_group(case),
        Trouble::TokenRejected => vec![Remedy::advice(
            "check-token-review",
            "compare what the token says with what the control plane expects",
            "kubectl -n istio-system logs deployment/istiod | grep -i authenticat; kubectl get --raw \
             /.well-known/openid-configuration"
                .to_owned(),
        )],
        Trouble::Expired => vec![Remedy::advice(
            "renew-control-plane-certificate",
            "see when the root and istiod's certificate end, and restart istiod",
            "kubectl -n istio-system get secret cacerts istio-ca-secret -o yaml; kubectl -n \
             istio-system rollout restart deployment/istiod"
                .to_owned(),
        )],
        Trouble::WrongName => vec![Remedy::advice(
            "check-discovery-address",
            "compare the discovery address with the names in istiod's certificate",
            format!("kubectl -n {ns} get pods -o yaml | grep -i -A2 discoveryAddress"),
        )],
        _ => vec![Remedy::advice(
            "renew-root-certificate",
            "let istiod write the namespace's root certificate anew, then restart the workload",
            format!(
                "kubectl -n istio-system rollout restart deployment/istiod; kubectl -n {ns} get \
                 configmap istio-ca-root-cert -o yaml"
            ),
        )],
    }
}

/// The group that may read the token, where the pod has none yet.
fn file_group(case: &Case<'_>) -> Vec<Remedy> {
    let template = case.template();
    let set = template.as_ref().and_then(|t| t.spec.security_context.fs_group);
    let title = "let the proxy's group read the pod's volumes (fsGroup 1337)";
    let id = i64::from(container::PROXY_UID);
    if set.is_some_and(|group| group != id) {
        let what = "kubectl explain pod.spec.securityContext.fsGroup".to_owned();
        let title = "the pod's fsGroup keeps the proxy from its token: 1337 has to be it";
        return vec![Remedy::advice("token-fs-group", title, what)];
    }
    let change = Change::PodSecurity { field: "fsGroup", value: id };
    vec![Remedy::new("token-fs-group", title, vec![change])]
}
