//! `control-plane-unreachable`: the proxy gets no configuration, because it cannot reach istiod.
//!
//! The proxy's own log says what stands in the way; while nothing of the kind is there, a proxy
//! that waits is a proxy that waits.
//!
//! # Sources
//! istio/istio issues 13939, 22302, 23283, 25205, 31717, 38871, 43841; RULES.md D1.

use sunup_api::container;
use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_evidence::control_plane::{Trouble, target};
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::readiness::NotReady;

use crate::judging::fault::{Judgements, Open, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::knowledge::proxy::{self, Unready};

/// The rule.
pub(crate) struct ControlPlaneUnreachable;

static META: Meta = Meta {
    id: "control-plane-unreachable",
    title: "The proxy cannot reach its control plane and gets no configuration",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::ProxyLog]],
    helps: &[Need::PodObject, Need::PodEvents],
    hears: &[],
    signs: &[Sign::ControlPlane, Sign::ControlPlaneReached],
    explains: &[
        "app-before-proxy",
        "hold-timed-out",
        "proxy-restarted-by-startup-probe",
        "start-gate-expired",
    ],
    doc: page!("control_plane_unreachable", "doc.md"),
    fires: page!("control_plane_unreachable", "fires.txtar"),
    quiet: page!("control_plane_unreachable", "quiet.txtar"),
};

impl Rule for ControlPlaneUnreachable {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn passes(&self) -> bool {
        true
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some(unready) = proxy::unready(case) else { return log_missing(case, out) };
        let named = proxy::control_plane(case, &unready);
        match named {
            Some((cause, lines)) if cause.is_connection() || cause == Trouble::Closed => {
                // One reset connection is how istiod's restarts and rotations look.
                if cause == Trouble::Closed && !(unready.lasting && lines.len() > 1) {
                    return;
                }
                told(case, &unready, cause, &lines, out);
            }
            Some(_) => {}
            None => untold(case, &unready, out),
        }
    }
}

fn told(
    case: &Case<'_>,
    unready: &Unready<'_>,
    cause: Trouble,
    lines: &[&Sample],
    out: &mut Judgements,
) {
    let sure = unready.lasting && lines.len() > 1 && cause != Trouble::Closed;
    let verdict = if sure { Verdict::Confirmed } else { Verdict::Likely };
    let to = lines.iter().rev().find_map(|l| target(&l.text)).unwrap_or("istiod:15012");
    let (id, how, why) = words(cause);
    let summary = format!("istio-proxy gets no configuration: the control plane ({to}) {how}");
    let what = "control plane not reached";
    let mut fault = proxy::fault(&META, case, verdict, summary, lines.iter().copied(), what);
    fault.cause = Some(id);
    fault.evidence.extend(unready.waits.last().map(|(_, s)| item(s)));
    let said = format!("The proxy's log says so {}.", proxy::since(lines));
    fault = fault.because(said).because(why);
    if let Some(pods) = control_plane_pods(case) {
        fault = fault.because(pods);
    }
    for (why, item) in kept_in(case, cause) {
        fault = fault.because(why);
        fault.evidence.push(item);
    }
    if cause == Trouble::Dns
        && let Some(policy) = odd_dns(case)
    {
        fault = fault.because(policy);
    }
    fault = fault.because(
        "Nothing in the workload's manifest mends this: without configuration the proxy does not \
         become ready, whatever the application waits for.",
    );
    out.faults.push(fault.offer(remedies(cause)));
}

fn words(cause: Trouble) -> (&'static str, &'static str, &'static str) {
    match cause {
        Trouble::Dns => (
            "dns",
            "has a name that does not resolve",
            "The name of the control plane's Service cannot be resolved from the pod: the \
             cluster's DNS is not reached, or the Service is not there.",
        ),
        Trouble::Refused => (
            "refused",
            "refuses the connection",
            "The address answers and nothing listens on it: istiod is down, is still starting, or \
             its Service has no pod behind it.",
        ),
        Trouble::NoRoute => (
            "no-route",
            "cannot be routed to",
            "There is no way from the pod's node to that address: the node's network, or a \
             NetworkPolicy that rejects.",
        ),
        Trouble::Closed => (
            "closed",
            "ends every connection",
            "Connections come about and are ended again: istiod restarts over and over, or \
             something between it and the pod cuts them.",
        ),
        _ => (
            "timeout",
            "does not answer",
            "Nothing comes back: something on the way drops the packets. A NetworkPolicy of the \
             pod's or of istiod's namespace, or a firewall, that does not let TCP 15012 through.",
        ),
    }
}

fn remedies(cause: Trouble) -> Vec<Remedy> {
    let look = "kubectl -n istio-system get pods,service,endpoints -l app=istiod -o wide";
    let check = Remedy::advice(
        "check-control-plane",
        "see whether istiod is ready and has endpoints",
        look.to_owned(),
    );
    let path = Remedy::advice(
        "open-control-plane-port",
        "let the pods reach TCP 15012 of istiod (and UDP and TCP 53 of the cluster's DNS)",
        "kubectl get networkpolicy -A; kubectl -n istio-system get networkpolicy -o yaml"
            .to_owned(),
    );
    let dns = Remedy::advice(
        "check-cluster-dns",
        "see whether the name resolves at all in the cluster",
        "kubectl run dns-check --rm -it --restart=Never --image=busybox -- nslookup \
         istiod.istio-system.svc; kubectl -n kube-system get pods -l k8s-app=kube-dns"
            .to_owned(),
    );
    match cause {
        Trouble::Dns => vec![dns, check],
        Trouble::Timeout | Trouble::NoRoute => vec![path, check],
        _ => vec![check, path],
    }
}

/// What the inputs say of istiod itself.
fn control_plane_pods(case: &Case<'_>) -> Option<String> {
    let pods = case.snapshot.pods.iter().filter_map(|p| p.object());
    let istiod: Vec<_> =
        pods.filter(|p| p.spec.containers.iter().any(|c| c.name == "discovery")).collect();
    let down: Vec<&str> = istiod
        .iter()
        .filter(|p| p.status.container("discovery").is_none_or(|s| !s.ready))
        .map(|p| p.metadata.name.as_str())
        .collect();
    (!istiod.is_empty()).then(|| match down.as_slice() {
        [] => "istiod's own pods are ready by their status: it is the way to them.".to_owned(),
        down => format!("Of istiod's own pods {} is not ready.", down.join(", ")),
    })
}

/// istiod's port for configuration and certificates.
const XDS: u32 = 15012;
/// The port of the cluster's DNS.
const DNS: u32 = 53;

/// NetworkPolicies of the pod's namespace that keep in what the trouble is about. Several add up to
/// what each of them lets out, so they count only where none lets it.
fn kept_in(case: &Case<'_>, cause: Trouble) -> Vec<(String, EvidenceItem)> {
    let port = match cause {
        Trouble::Timeout | Trouble::NoRoute => XDS,
        Trouble::Dns => DNS,
        _ => return Vec::new(),
    };
    let Some(pod) = case.pod() else { return Vec::new() };
    let of_pod = case.snapshot.policies.iter().filter(|(policy, _)| {
        policy.metadata.namespace.as_deref() == case.subject.namespace.as_deref()
            && policy.egress.is_some()
            && policy.selects(&pod.metadata.labels)
    });
    let all: Vec<_> = of_pod.collect();
    if !all.iter().all(|(policy, _)| policy.keeps_in(port)) {
        return Vec::new();
    }
    let told = all.into_iter().map(|(policy, manifest)| {
        let name = &policy.metadata.name;
        let why = format!(
            "NetworkPolicy {name} selects the pod and lets port {port} out to nobody: that is what \
             stands in the way, as far as the inputs show."
        );
        let text = format!("NetworkPolicy {name}: no egress rule for port {port}");
        (why, EvidenceItem { source: manifest.place.to_string(), at: None, text })
    });
    told.collect()
}

/// A DNS policy by which cluster names do not resolve.
fn odd_dns(case: &Case<'_>) -> Option<String> {
    let spec = &case.pod()?.spec;
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let lost = policy == "Default" || policy == "ClusterFirst" && spec.host_network;
    lost.then(|| {
        format!(
            "The pod's dnsPolicy is {policy}{}: names of the cluster do not resolve with it.",
            if spec.host_network { " in the node's network" } else { "" }
        )
    })
}

/// It waits for configuration and names nothing that is in the way.
fn untold(case: &Case<'_>, unready: &Unready<'_>, out: &mut Judgements) {
    let nothing = |why: &NotReady| {
        matches!(why, NotReady::NothingReceived | NotReady::PartlyReceived | NotReady::Initializing)
    };
    let waits = unready.waits.last().filter(|(why, _)| nothing(why));
    let Some((why, last)) = waits.filter(|_| unready.waited) else { return };
    let reached = proxy::lines(unready.log, Sign::ControlPlaneReached).next().is_some();
    if reached || *why != NotReady::NothingReceived {
        out.unknown.push(Open {
            rule: META.id,
            subject: at(&case.subject, container::PROXY),
            missing: vec![
                "why the control plane, which was reached, sends no complete configuration: \
                 istiod's log"
                    .to_owned(),
            ],
            get_it_with: Some("kubectl -n istio-system logs deployment/istiod --timestamps".into()),
        });
        return;
    }
    let summary = "istio-proxy gets no configuration from the control plane".to_owned();
    let first = unready.waits.iter().map(|(_, s)| *s);
    let all: Vec<&Sample> = first.collect();
    let what = "waiting for the control plane";
    let fault = proxy::fault(&META, case, Verdict::Likely, summary, all.iter().copied(), what)
        .because(format!("The proxy says so {}, and nothing of why.", proxy::since(&all)))
        .because(format!(
            "Its last word is at {}: no cluster and no listener was received.",
            last.at.map(sunup_evidence::time::show).unwrap_or_default()
        ));
    out.faults.push(fault.offer(remedies(Trouble::Other)));
}

/// The proxy stays unready, and its log was not handed over.
fn log_missing(case: &Case<'_>, out: &mut Judgements) {
    let running = proxy::status(case).is_some_and(|s| !s.ready && s.state.running.is_some());
    if proxy::log(case).is_some() || !running || proxy::failed_probes(case) < 5 {
        return;
    }
    out.unknown.push(Open {
        rule: META.id,
        subject: at(&case.subject, container::PROXY),
        missing: vec!["why istio-proxy does not become ready: its log".to_owned()],
        get_it_with: Some(proxy::get_log(case, false)),
    });
}
