//! `init-capabilities-forbidden`: a policy refuses the capabilities (or the missing seccomp profile) that
//! injection puts into the pod.
//!
//! A policy that the application's own containers break is not the mesh's affair: a container of the mesh
//! must be named.
//!
//! # Sources
//! istio/istio issues 35894, 37150; Kubernetes, "Pod Security Standards"; RULES.md A4.

use sunup_api::report::{Severity, Verdict};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::recognised::Heard;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::texts::Said;
use crate::judging::workload::Work;

/// The rule.
pub(crate) struct InitCapabilitiesForbidden;

static META: Meta = Meta {
    id: "init-capabilities-forbidden",
    title: "A policy refuses the capabilities that the mesh's init container needs",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::Workload]],
    helps: &[],
    hears: &[
        "violates podsecurity",
        "denied the request",
        // A ValidatingAdmissionPolicy of the cluster's own.
        "denied request",
        "security context constraint",
        "pod security policy",
    ],
    signs: &[],
    explains: &[],
    doc: page!("init_capabilities_forbidden", "doc.md"),
    fires: page!("init_capabilities_forbidden", "fires.txtar"),
    quiet: page!("init_capabilities_forbidden", "quiet.txtar"),
};

impl Rule for InitCapabilitiesForbidden {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        out.faults.extend(case.heard(&META, is_it).map(|h| fault(&h)));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        out.faults.extend(work.heard(&META, is_it).map(|h| fault(&h)));
    }
}

/// Capabilities that istio-init asks for; some policies name none of them.
const CAPABILITIES: [&str; 3] = ["net_admin", "net_raw", "disallowed capabilit"];

fn is_it(said: &Said<'_>) -> bool {
    let refused = said.has_any(&[
        "violates podsecurity",
        "denied the request",
        "denied request",
        "unable to validate against any security context constraint",
        "unable to validate against any pod security policy",
    ]);
    let of_mesh = said.has_any(&["istio-init", "istio-proxy", "istio-validation"]);
    // Constraints name the capability and the container's place in the list, not its name.
    let by_place = said.has("initcontainers[") && said.has("unable to validate");
    refused && (of_mesh && asks(said) || by_place && said.has_any(&CAPABILITIES))
}

fn asks(said: &Said<'_>) -> bool {
    said.has_any(&CAPABILITIES) || said.has_any(&["seccompprofile", "runasnonroot", "runasuser"])
}

fn fault(heard: &Heard<'_, '_>) -> Fault {
    let capabilities = heard.said.iter().any(|s| s.has_any(&CAPABILITIES));
    let autopilot = heard.said.iter().any(|s| s.has("autogke"));
    let summary = if capabilities {
        "a policy refuses NET_ADMIN and NET_RAW, which istio-init needs, so no pod can be made"
    } else {
        "a policy refuses the security settings of the injected containers, so no pod can be made"
    };
    let mut fault =
        heard.fault(&META, Verdict::Confirmed, summary, "the pod was refused by a policy");
    fault.cause = Some(if capabilities { "capabilities" } else { "security-context" });
    let fault = fault.because(
        "istio-init sets up the redirect with iptables in the pod's network, which takes these \
         capabilities. With istio-cni the node does it, and the pod needs none.",
    );
    fault.offer(remedies(heard, capabilities, autopilot))
}

fn remedies(heard: &Heard<'_, '_>, capabilities: bool, autopilot: bool) -> Vec<Remedy> {
    let mut all = Vec::new();
    if capabilities && autopilot {
        all.push(Remedy::advice(
            "allow-net-admin",
            "let the Autopilot cluster allow NET_ADMIN, or use managed Cloud Service Mesh",
            "gcloud container clusters update CLUSTER --workload-policies=allow-net-admin"
                .to_owned(),
        ));
    } else if capabilities {
        all.push(Remedy::advice(
            "install-cni",
            "let istio-cni set up the redirect: pods then need no capability",
            "helm install istio-cni istio/cni -n istio-system; helm upgrade istiod istio/istiod -n \
             istio-system --reuse-values --set pilot.cni.enabled=true"
                .to_owned(),
        ));
    }
    if heard.said.iter().any(|s| s.has("seccompprofile")) {
        all.push(Remedy::advice(
            "proxy-seccomp-profile",
            "give the proxies a seccomp profile (Istio 1.28 and later)",
            "helm upgrade istiod istio/istiod -n istio-system --reuse-values --set \
             global.proxy.seccompProfile.type=RuntimeDefault"
                .to_owned(),
        ));
    }
    all.push(Remedy::advice(
        "privileged-namespace",
        "as a last resort exempt the namespace from the policy, for all that runs in it",
        format!(
            "kubectl label namespace {} pod-security.kubernetes.io/enforce=privileged --overwrite",
            heard.namespace_word()
        ),
    ));
    all
}
