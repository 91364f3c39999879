//! `ambient-probe-blocked`: a pod of an ambient mesh, whose kubelet's probes are answered by nobody: they come from a
//! link-local address that a NetworkPolicy or the node's network plugin drops.
//!
//! # Sources
//! Istio, "Ambient and Kubernetes NetworkPolicy"; istio/istio issues 53105, 52765, 52208, 58531.

use std::net::IpAddr;

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_evidence::object::{Manifest, NetworkPolicy};
use sunup_evidence::shape::Sidecar;

use crate::judging::fault::{Fault, Judgements, Open};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::recognised::Heard;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};

/// The rule.
pub(crate) struct AmbientProbeBlocked;

static META: Meta = Meta {
    id: "ambient-probe-blocked",
    title: "The kubelet's probes of an ambient pod are dropped on their way",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject],
    hears: &["probe failed"],
    signs: &[],
    explains: &[],
    doc: page!("ambient_probe_blocked", "doc.md"),
    fires: page!("ambient_probe_blocked", "fires.txtar"),
    quiet: page!("ambient_probe_blocked", "quiet.txtar"),
};

/// What the kubelet's probes of captured pods come from.
const PROBES: [u8; 4] = [169, 254, 7, 127];

const TIMEOUTS: &[&str] = &["context deadline exceeded", "i/o timeout", "client.timeout"];

impl Rule for AmbientProbeBlocked {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        if !case.shape.ambient || case.shape.sidecar != Sidecar::None {
            return;
        }
        let Some(heard) = case.heard(&META, |_| true) else { return };
        // One probe that came through, be it refused, shows that the way is open.
        let through = heard.said.iter().any(|s| !s.has_any(TIMEOUTS));
        let answered = heard.said.iter().filter_map(|s| s.container).any(|name| {
            let status = case.status(name);
            status.is_some_and(|s| s.ready)
        });
        if through || answered {
            return;
        }
        let (blocking, letting) = policies(case);
        // A SYN is answered by the kernel: an application that is slow takes the connection.
        let dropped = heard.said.iter().any(|s| s.has("dial tcp") && s.has("i/o timeout"));
        if !blocking.is_empty() && letting == 0 {
            out.faults.push(by_policy(case, &heard, &blocking));
        } else if dropped {
            out.faults.push(by_network(case, &heard));
        } else if blocking.is_empty() && letting == 0 {
            out.unknown.push(policies_missing(case));
        }
    }
}

/// The policies about what comes into the pod, and how many of them let the probes in: they add up.
fn policies<'a>(case: &Case<'a>) -> (Vec<(&'a NetworkPolicy, &'a Manifest)>, usize) {
    let Some(pod) = case.pod() else { return (Vec::new(), 0) };
    let all = case.snapshot.policies.iter().filter(|(policy, _)| {
        policy.metadata.namespace.as_deref() == case.subject.namespace.as_deref()
            && policy.ingress.is_some()
            && policy.selects(&pod.metadata.labels)
    });
    let all: Vec<_> = all.map(|(policy, manifest)| (&**policy, manifest)).collect();
    let letting = all.iter().filter(|(p, _)| p.lets_in(IpAddr::from(PROBES))).count();
    (all, letting)
}

fn name<'s>(heard: &Heard<'s, '_>) -> &'s str {
    heard.said.iter().find_map(|s| s.container).unwrap_or_default()
}

fn by_policy(
    case: &Case<'_>,
    heard: &Heard<'_, '_>,
    blocking: &[(&NetworkPolicy, &Manifest)],
) -> Fault {
    let names: Vec<&str> = blocking.iter().map(|(p, _)| p.metadata.name.as_str()).collect();
    let names = names.join(", ");
    let summary =
        format!("NetworkPolicy {names} drops the kubelet's probes, which come from 169.254.7.127");
    let mut fault = heard.fault(&META, Verdict::Confirmed, summary, "probe not answered");
    fault.cause = Some("network-policy");
    fault.subject = at(&case.subject, name(heard));
    fault.evidence.extend(blocking.iter().map(|(policy, manifest)| EvidenceItem {
        source: manifest.place.to_string(),
        at: None,
        text: format!("NetworkPolicy {}: lets 169.254.7.127 in by no rule", policy.metadata.name),
    }));
    let ns = case.namespace_word();
    because(fault).offer([Remedy::advice(
        "allow-probe-address",
        "let the probes' address in (a policy of its own: policies add up)",
        format!(
            "kubectl -n {ns} apply -f - <<< '{{\"apiVersion\": \"networking.k8s.io/v1\", \"kind\": \
             \"NetworkPolicy\", \"metadata\": {{\"name\": \"allow-ambient-probes\"}}, \"spec\": \
             {{\"podSelector\": {{}}, \"policyTypes\": [\"Ingress\"], \"ingress\": [{{\"from\": \
             [{{\"ipBlock\": {{\"cidr\": \"169.254.7.127/32\"}}}}]}}]}}}}'"
        ),
    )])
}

fn by_network(case: &Case<'_>, heard: &Heard<'_, '_>) -> Fault {
    let summary =
        "the kubelet's probes of an ambient pod, which come from 169.254.7.127, get no answer";
    let mut fault = heard.fault(&META, Verdict::Likely, summary, "probe not answered");
    fault.cause = Some("node-network");
    fault.subject = at(&case.subject, name(heard));
    because(fault)
        .because(
            "No NetworkPolicy that was handed over selects the pod. Plugins that work in eBPF see the \
             packets before the address is written in, or translate it once more.",
        )
        .offer([
            Remedy::advice(
                "plugin-knows-probes",
                "Calico in eBPF mode: 3.29 or later; Cilium: bpf.masquerade=false, and with policies a \
                 CiliumClusterwideNetworkPolicy that lets 169.254.7.127/32 in",
                "kubectl -n kube-system get configmap cilium-config -o yaml | grep -i masquerade"
                    .to_owned(),
            ),
            Remedy::advice(
                "see-policies",
                "see whether a policy selects the pod",
                format!("kubectl {}get networkpolicies -o yaml", namespace_flag(&case.subject)),
            ),
        ])
}

fn because(fault: Fault) -> Fault {
    fault.because(
        "The redirect of an ambient pod would lead the kubelet's probes into the tunnel, so istio-cni \
         gives them the source address 169.254.7.127 (fd16:9254:7127:1337:ffff:ffff:ffff:ffff), by which \
         the pod lets them pass. What lets the node's own address in does not know this one.",
    )
}

fn policies_missing(case: &Case<'_>) -> Open {
    let ns = namespace_flag(&case.subject);
    Open {
        rule: META.id,
        subject: at(&case.subject, ""),
        missing: vec!["whether a NetworkPolicy keeps the kubelet's probes out".to_owned()],
        get_it_with: Some(format!("kubectl {ns}get networkpolicies -o yaml")),
    }
}
