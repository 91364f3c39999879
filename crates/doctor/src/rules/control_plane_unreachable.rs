//! `control-plane-unreachable`: the proxy gets no configuration, because it cannot reach istiod.
//!
//! The proxy's own log says what stands in the way; while nothing of the kind is there, a proxy
//! that waits is a proxy that waits.
//!
//! # Sources
//! istio/istio issues 13939, 22302, 23283, 25205, 31717, 38871, 43841; RULES.md D1.

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::shell;
use sunup_api::{annotation, container};
use sunup_evidence::control_plane::{Trouble, target};
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::readiness::NotReady;

use crate::judging::fault::{Fault, Judgements, Open, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::knowledge::control_plane::{self, Address, Setting};
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
    helps: &[Need::PodObject, Need::PodEvents, Need::Workload, Need::Services, Need::MeshConfig],
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
    // What the log names is what is looked up; an address that it does not name is nobody's guess.
    let target = lines.iter().rev().find_map(|l| target(&l.text));
    let asked = target.and_then(Address::parse);
    let to = target.map(|to| format!(" ({to})")).unwrap_or_default();
    let (id, how, why) = words(cause);
    let summary = format!("istio-proxy gets no configuration: the control plane{to} {how}");
    let what = "control plane not reached";
    let mut fault = proxy::fault(&META, case, verdict, summary, lines.iter().copied(), what);
    fault.cause = Some(id);
    fault.evidence.extend(unready.waits.last().map(|(_, s)| item(s)));
    let said = format!("The proxy's log says so {}.", proxy::since(lines));
    fault = fault.because(said).because(why);
    if let Some(pods) = control_plane_pods(case) {
        fault = fault.because(pods);
    }
    let port = asked.as_ref().and_then(|a| a.port).unwrap_or(control_plane::XDS);
    for (why, item) in kept_in(case, cause, port) {
        fault = fault.because(why);
        fault.evidence.push(item);
    }
    if cause == Trouble::Dns
        && let Some(policy) = odd_dns(case)
    {
        fault = fault.because(policy);
    }
    let own = asked.as_ref().and_then(|a| own_setting(case, &a.host));
    fault = match &own {
        Some(setting) => blame(fault, case, setting, cause),
        None => fault.because(
            "Nothing in the workload's manifest mends this: without configuration the proxy does not \
             become ready, whatever the application waits for.",
        ),
    };
    let other = asked.unwrap_or_else(|| control_plane::default_address(case.mesh));
    out.faults.push(
        fault.offer(own.and_then(|s| set_aright(case, &s, cause))).offer(remedies(cause, &other)),
    );
}

/// The workload's own setting that names a host: in its manifest, or in an annotation of its pod,
/// where injection writes the rest. What the mesh says itself is no setting of the workload's.
fn own_setting(case: &Case<'_>, host: &str) -> Option<Setting> {
    let usual = control_plane::default_address(case.mesh);
    let of = |template| {
        let found = control_plane::named_by(template, host);
        found.filter(|own| !usual.host.eq_ignore_ascii_case(&own.address.host))
    };
    let live = case.template();
    case.manifest.and_then(of).or_else(|| live.as_ref().and_then(of).filter(|s| s.field.is_some()))
}

/// Says that it is the workload's own setting, and what the cluster has instead.
fn blame(mut fault: Fault, case: &Case<'_>, setting: &Setting, cause: Trouble) -> Fault {
    fault = fault.because(format!(
        "It is the workload itself that asks for this address: {}. The mesh's own is {}, as far as the \
         inputs say.",
        setting.words,
        control_plane::default_address(case.mesh).host
    ));
    if cause == Trouble::Dns
        && let Some(service) = setting.address.service()
        && let Some(names) = control_plane::others_than(case.snapshot, service)
    {
        fault = fault.because(format!(
            "Of namespace {} the Services {} were handed over, and no {}.",
            service.1,
            names.join(", "),
            service.0
        ));
    }
    fault.because("Waiting for the proxy does not help: it never becomes ready.")
}

/// The setting taken away, so that the mesh's own counts.
fn set_aright(case: &Case<'_>, setting: &Setting, cause: Trouble) -> Option<Remedy> {
    let Some(field) = setting.field else {
        return Some(Remedy::advice(
            "control-plane-address",
            format!("let the workload ask for a control plane that is there: {}", setting.words),
            "istioctl tag list; kubectl get mutatingwebhookconfigurations -l app=sidecar-injector -L \
             istio.io/rev"
                .to_owned(),
        ));
    };
    let change = Change::Annotation {
        key: annotation::PROXY_CONFIG.into(),
        value: AnnotationValue::FieldRemoved(field),
    };
    let title = format!("take {} away: the mesh's own address counts then", setting.words);
    let remedy = Remedy::new("control-plane-address", title, vec![change]);
    let live = case.pod().map(|p| &p.metadata.annotations);
    let remedy = remedy.with_live(live);
    // An address that is there and does not answer may be the right one.
    Some(match cause {
        Trouble::Dns => remedy,
        _ => remedy.unsafe_because("the address exists, and may be meant"),
    })
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

fn remedies(cause: Trouble, asked: &Address) -> Vec<Remedy> {
    let (service, ns) = asked.service().unwrap_or(("istiod", "istio-system"));
    let (service, ns) = (shell::name(service), shell::name(ns));
    let host = Some(&asked.host).filter(|host| host.parse::<std::net::IpAddr>().is_err());
    let host = shell::name(host.map_or("istiod.istio-system.svc", |host| host.as_str()));
    let port = asked.port.unwrap_or(control_plane::XDS);
    let check = Remedy::advice(
        "check-control-plane",
        "see whether istiod is ready and has endpoints",
        match service.as_str() {
            "istiod" => {
                format!("kubectl -n {ns} get pods,service,endpoints -l app=istiod -o wide")
            }
            other => format!(
                "kubectl -n {ns} get service,endpoints {other}; kubectl -n {ns} get pods,service -l \
                 app=istiod -o wide"
            ),
        },
    );
    let path = Remedy::advice(
        "open-control-plane-port",
        format!(
            "let the pods reach TCP {port} of istiod (and UDP and TCP 53 of the cluster's DNS)"
        ),
        format!("kubectl get networkpolicy -A; kubectl -n {ns} get networkpolicy -o yaml"),
    );
    let dns = Remedy::advice(
        "check-cluster-dns",
        "see whether the name resolves at all in the cluster",
        format!(
            "kubectl run dns-check --rm -it --restart=Never --image=busybox -- nslookup {host}; kubectl \
             -n kube-system get pods -l k8s-app=kube-dns"
        ),
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

/// The port of the cluster's DNS.
const DNS: u32 = 53;

/// NetworkPolicies of the pod's namespace that keep in what the trouble is about. Several add up to
/// what each of them lets out, so they count only where none lets it.
fn kept_in(case: &Case<'_>, cause: Trouble, xds: u16) -> Vec<(String, EvidenceItem)> {
    let port = match cause {
        Trouble::Timeout | Trouble::NoRoute => u32::from(xds),
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
    out.faults
        .push(fault.offer(remedies(Trouble::Other, &control_plane::default_address(case.mesh))));
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
