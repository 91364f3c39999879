//! `gateway-privileged-port`: a gateway's proxy runs as non-root and may not bind a port below
//! 1024.
//!
//! The log line proves it. The manifest alone makes it possible: a gateway that must listen below
//! 1024, non-root, without the sysctl; unless the container runtime sets the sysctl by itself.
//!
//! # Sources
//! Cloud Service Mesh, "Resolving workload startup issues"; istio/istio issue 48364; RULES.md G1.
//! containerd 2.0 release notes (`enable_unprivileged_ports` on by default); moby 20.10 release
//! notes (`net.ipv4.ip_unprivileged_port_start=0` in containers' namespaces).

use std::collections::BTreeMap;

use sunup_api::report::{EvidenceItem, Severity, Subject, Verdict};
use sunup_api::{annotation, container, port};
use sunup_evidence::log::{BindDenied, Sample};
use sunup_evidence::object::{Manifest, NodeInfo, PodTemplate, Workload};
use sunup_evidence::shape::{Shape, is_gateway};
use sunup_evidence::snapshot::{PodFacts, Snapshot};
use sunup_evidence::subject;
use sunup_evidence::time::Known;
use sunup_evidence::timeline::{self, Point};
use sunup_evidence::window::Windows;

use crate::judging::fault::{Fault, Judgements, Open, item};
use crate::judging::home::{self, Home};
use crate::judging::mesh::{Mesh, Version};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::{namespace_flag, same_workload};
use crate::judging::workload::Work;
use crate::knowledge::low_ports::{self, LowPort, Unserved};
use crate::knowledge::release::{self, Release};

const ID: &str = "gateway-privileged-port";
const SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";

/// The rule.
pub(crate) struct GatewayPrivilegedPort;

static META: Meta = Meta {
    id: "gateway-privileged-port",
    title: "A gateway's non-root proxy may not bind a port below 1024",
    stage: Stage::Gateway,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::ProxyLog, Need::ControlPlaneLog, Need::Workload]],
    helps: &[
        Need::PodObject,
        Need::Services,
        Need::Gateways,
        Need::Nodes,
        Need::Namespaces,
        Need::MeshConfig,
        Need::Workload,
        Need::ProxyLog,
    ],
    hears: &[],
    signs: &[],
    explains: &["hold-timed-out", "proxy-restarted-by-startup-probe"],
    doc: page!("gateway_privileged_port", "doc.md"),
    fires: page!("gateway_privileged_port", "fires.txtar"),
    quiet: page!("gateway_privileged_port", "quiet.txtar"),
};

impl Rule for GatewayPrivilegedPort {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        judge_log(case, out);
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        if let Some((workload, manifest)) = work.manifest
            && is_gateway(&workload.template)
        {
            judge_manifest(work, workload, manifest, out);
        }
    }
}

/// Judges one pod by its log.
fn judge_log(case: &Case<'_>, out: &mut Judgements) {
    for (name, log) in &case.facts.logs {
        let low = || log.bind_denied.iter().filter(|d| d.port < port::UNPRIVILEGED_START);
        let mut told: BTreeMap<(&str, &str), Vec<&BindDenied>> = BTreeMap::new();
        for denied in low() {
            if let Some(node) = node_of(&denied.sample.text) {
                told.entry(node).or_default().push(denied);
            }
        }
        if told.is_empty() {
            let of_istiod = matches!(name.as_str(), "discovery" | "istiod");
            let all: Vec<&BindDenied> = low().filter(|_| !of_istiod).collect();
            if !all.is_empty() {
                observed(case, case.facts, whose(case), &all, out);
            }
            continue;
        }
        // A rejection of several listeners has several lines, of which the first names the proxy.
        let nameless = low().filter(|denied| node_of(&denied.sample.text).is_none());
        if let (1, Some(only)) = (told.len(), told.values_mut().next()) {
            only.extend(nameless);
        }
        for ((pod, namespace), mut denied) in told {
            denied.sort_by_key(|denied| denied.port);
            let named = PodFacts {
                name: Some(pod.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..PodFacts::default()
            };
            // What the control plane says of a pod is that pod's story, not the control plane's.
            let facts = case.snapshot.pod_named(namespace, pod).unwrap_or(&named);
            observed(case, facts, subject::of(facts, case.snapshot), &denied, out);
        }
    }
}

/// The pod and namespace in `ADS:LDS: ACK ERROR <pod>.<namespace>-<n> Internal:…`, or in a node id
/// `router~10.0.0.1~<pod>.<namespace>~…`.
fn node_of(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once("ACK ERROR ")?;
    let id = rest.split_whitespace().next()?;
    let id = if id.contains('~') { id.split('~').nth(2)? } else { id };
    let (pod, namespace) = id.split_once('.')?;
    let bare = match namespace.rsplit_once('-') {
        Some((ns, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => ns,
        _ => namespace,
    };
    Some((pod, bare))
}

/// A pasted line names no pod: it is the gateway's whose manifest came along, if there is one.
fn whose(case: &Case<'_>) -> Subject {
    if case.facts.name.is_some() {
        return case.subject.clone();
    }
    let all = &case.snapshot.workloads;
    let mut gateways = all.iter().filter(|(w, _)| is_gateway(&w.template));
    match (gateways.next(), gateways.next()) {
        (Some((only, _)), None) => subject::of_workload(only),
        _ => case.subject.clone(),
    }
}

/// What was seen of one gateway: `facts` are its own, whoever's log it was seen in.
fn observed(
    case: &Case<'_>,
    facts: &PodFacts,
    mut subject: Subject,
    denied: &[&BindDenied],
    out: &mut Judgements,
) {
    subject.container = Some(container::PROXY.to_owned());
    let mut ports: Vec<u16> = denied.iter().map(|d| d.port).collect();
    ports.sort_unstable();
    ports.dedup();
    let listed = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let workload = home::manifests(&subject, case.snapshot, &case.home).ok().flatten();
    let object = facts.object();
    let template =
        object.map(|p| PodTemplate { metadata: p.metadata.clone(), spec: p.spec.clone() });
    let template = template.or_else(|| workload.map(|(w, _)| w.template.clone()));
    let low = workload.map(|found| low_ports::of(case.snapshot, found).0).unwrap_or_default();
    let mut points = timeline::of(facts, &Shape::of(facts), &Windows::of(facts));
    let mut evidence = Vec::new();
    for d in denied {
        evidence.push(item(&d.sample));
        points.extend(point(&d.sample, d.port));
    }
    let mut explanation = vec![format!(
        "The proxy runs as a user other than root, and the kernel lets only root (or a process \
         with CAP_NET_BIND_SERVICE) bind ports below {}. The listener is rejected, so the gateway \
         does not become ready.",
        port::UNPRIVILEGED_START
    )];
    if template.as_ref().is_some_and(has_sysctl) {
        explanation.push(
            "The object that was handed over has the sysctl by now: the log is older, or the \
             workload was not restarted since."
                .to_owned(),
        );
    }
    let wanted: Vec<u32> = ports.iter().map(|p| u32::from(*p)).collect();
    let (remedies, remarks) = remedies(case.snapshot, case.mesh, template.as_ref(), &low, &wanted);
    explanation.extend(remarks);
    let namespace = subject.namespace.as_deref();
    let lost = denied.iter().map(|d| (d.port, &d.sample));
    let unserved = Unserved::of(case.snapshot, namespace, template.as_ref(), lost);
    let remedies = unserved.before(&ports, remedies, &namespace_flag(&subject));
    let mut fault = Fault {
        rule: ID,
        cause: None,
        severity: Severity::Error,
        verdict: Verdict::Confirmed,
        subject,
        summary: format!("the gateway's non-root proxy may not bind port {listed}"),
        explanation,
        points,
        evidence,
        remedies,
        home: Home::default(),
        consequences: Vec::new(),
    };
    unserved.tell(&mut fault);
    out.faults.push(fault);
}

fn point(sample: &Sample, port: u16) -> Option<Point> {
    let known = Known::exact(sample.at?, &sample.place);
    Some(Point::new(known, format!("binding port {port} refused: permission denied")))
}

/// Judges a gateway's manifest; pods that run are the deciding datum where there are some.
fn judge_manifest(work: &Work<'_>, workload: &Workload, manifest: &Manifest, out: &mut Judgements) {
    let (snapshot, mesh) = (work.snapshot, work.mesh);
    let mut subject = work.subject.clone();
    subject.container = Some(container::PROXY.to_owned());
    if out.faults.iter().any(|f| f.rule == ID && same_workload(&f.subject, &subject)) {
        return;
    }
    let template = &workload.template;
    let release = release::of(work);
    if may_bind_low(template) || runs_as_root(work, template, release) {
        return;
    }
    let (low, unresolved) = low_ports::of(snapshot, (workload, manifest));
    if low.is_empty() {
        if !unresolved.is_empty() {
            let ns = namespace_flag(&subject);
            out.unknown.push(Open {
                rule: ID,
                subject,
                missing: vec![format!(
                    "the Service before the gateway: which port of the pod {} leads to",
                    unresolved.join(", ")
                )],
                get_it_with: Some(format!("kubectl {ns}get service -o yaml")),
            });
        }
        return;
    }
    if let Some(why) = runs_all_the_same(work, workload, release) {
        return out.clear(ID, "runtime-allows-low-ports", subject, why);
    }
    let listed = low.iter().map(|l| l.port.to_string()).collect::<Vec<_>>().join(", ");
    let wanted: Vec<u32> = low.iter().map(|l| l.port).collect();
    let (remedies, remarks) = remedies(snapshot, mesh, Some(template), &low, &wanted);
    let mut explanation: Vec<String> = low.iter().map(|l| format!("{}.", l.why)).collect();
    explanation.push(
        "Nothing in the manifest lets a non-root proxy bind it. Assumed: an injection template \
         that does not add the sysctl by itself (Istio before 1.20.3, or with a securityContext \
         of its own in the values), and a container runtime that leaves the kernel's default \
         (containerd before 2.0, CRI-O)."
            .to_owned(),
    );
    explanation.extend(remarks);
    let at = |source: &str, text: &str| EvidenceItem {
        source: source.to_owned(),
        at: None,
        text: text.to_owned(),
    };
    let mut evidence: Vec<EvidenceItem> = low.iter().map(|l| at(&l.source, &l.why)).collect();
    evidence.push(at(
        &manifest.place.to_string(),
        &format!("{} {}: no sysctl {SYSCTL}", workload.kind, workload.metadata.name),
    ));
    out.faults.push(Fault {
        rule: ID,
        cause: None,
        severity: Severity::Warning,
        verdict: Verdict::Possible,
        subject,
        summary: format!(
            "the gateway must listen on port {listed}, which its non-root proxy may not bind"
        ),
        explanation,
        points: Vec::new(),
        evidence,
        remedies,
        home: Home::default(),
        consequences: Vec::new(),
    });
}

fn has_sysctl(template: &PodTemplate) -> bool {
    template.spec.security_context.sysctls.iter().any(|s| {
        s.name == SYSCTL
            && s.value.as_deref().and_then(|v| v.parse::<u32>().ok()).is_some_and(|v| v <= 80)
    })
}

/// Root, the capability by Istio's own annotation, or the sysctl.
fn may_bind_low(template: &PodTemplate) -> bool {
    let spec = &template.spec;
    let proxy = spec.containers.iter().find(|c| c.name == container::PROXY);
    let uid =
        proxy.and_then(|c| c.security_context.run_as_user).or(spec.security_context.run_as_user);
    let annotated = template.metadata.annotations.get(annotation::CAP_NET_BIND_SERVICE);
    uid == Some(0) || annotated.is_some_and(|v| v == "true") || has_sysctl(template)
}

/// Whether nothing makes the proxy another user than root: the image of releases before 1.20 and a
/// `proxyv2` that is written into the manifest run as root, unless distroless or told otherwise.
///
/// # Sources
/// istio/istio issue 48364; `gateway-injection-template.yaml` of 1.18.0, 1.19.0 (no `runAsUser`),
/// 1.20.0 (1337), 1.20.3 (with the sysctl).
fn runs_as_root(work: &Work<'_>, template: &PodTemplate, release: Option<Release>) -> bool {
    let spec = &template.spec;
    let Some(proxy) = spec.containers.iter().find(|c| c.name == container::PROXY) else {
        return false;
    };
    let (own, pod) = (&proxy.security_context, &spec.security_context);
    let user = own.run_as_user.or(pod.run_as_user);
    let refused = own.run_as_non_root.or(pod.run_as_non_root) == Some(true);
    if user.is_some_and(|uid| uid != 0) || refused {
        return false;
    }
    if proxy.image != "auto" {
        return proxy.image.contains("/proxyv2") && !proxy.image.contains("distroless");
    }
    let kind = template.metadata.annotations.get("sidecar.istio.io/proxyImageType");
    let variant = work.mesh.values.pointer("/global/variant").and_then(|v| v.as_str());
    let image_type = work.mesh.mesh_config.pointer("/defaultConfig/image/imageType");
    let image_type = image_type.and_then(|v| v.as_str());
    let distroless = [kind.map(String::as_str), variant, image_type].contains(&Some("distroless"));
    !distroless && !work.mesh.managed && release.is_some_and(|r| r < (1, 20, 0))
}

/// Why the gateway binds the port all the same, where something shows that it does.
fn runs_all_the_same(
    work: &Work<'_>,
    workload: &Workload,
    release: Option<Release>,
) -> Option<String> {
    let snapshot = work.snapshot;
    let subject = subject::of_workload(workload);
    let live: Vec<_> = snapshot
        .pods
        .iter()
        .filter_map(|p| p.object().map(|o| (p, o)))
        .filter(|(p, _)| {
            let s = subject::of(p, snapshot);
            same_workload(&s, &subject)
        })
        .collect();
    for (_, pod) in &live {
        let has = pod.spec.security_context.sysctls.iter().any(|s| s.name == SYSCTL);
        let name = &pod.metadata.name;
        if has {
            return Some(format!("the pod {name} as it runs has the sysctl: injection added it"));
        }
        if pod.status.container(container::PROXY).is_some_and(|s| s.ready) {
            return Some(format!("istio-proxy of the pod {name} is ready, so its ports are bound"));
        }
    }
    if workload.template.spec.host_network {
        return None;
    }
    // Only what is injected gets it, and the mesh's values take its place. A pod that was admitted
    // without it shows that they do, whatever the template of that release says.
    let mut proxies = workload.template.spec.containers.iter();
    let injected = proxies.any(|c| c.name == container::PROXY && c.image == "auto");
    let own = work.mesh.values.pointer("/gateways/securityContext").and_then(|v| v.as_object());
    if let Some((major, minor, patch)) = release
        && (major, minor, patch) >= (1, 20, 3)
        && injected
        && live.is_empty()
        && own.is_none_or(|own| own.is_empty() || own.contains_key("sysctls"))
    {
        return Some(format!(
            "the mesh runs Istio {major}.{minor}.{patch}, whose gateway template adds the sysctl"
        ));
    }
    let named: Vec<&str> = live.iter().filter_map(|(_, p)| p.spec.node_name.as_deref()).collect();
    let mut nodes = snapshot
        .nodes
        .iter()
        .filter(|(name, _)| named.is_empty() || named.contains(&name.as_str()))
        .peekable();
    nodes.peek()?;
    let nodes: Vec<_> = nodes.collect();
    nodes.iter().all(|(_, n)| allows_low_ports(n)).then(|| {
        let (name, info) = nodes[0];
        format!(
            "node {name} runs {}, which lets every pod bind low ports",
            info.container_runtime_version
        )
    })
}

/// containerd ≥ 2.0 and Docker ≥ 20.10 set the sysctl to 0 in every pod's namespace; CRI-O does
/// not.
fn allows_low_ports(node: &NodeInfo) -> bool {
    let Some((runtime, version)) = node.container_runtime_version.split_once("://") else {
        return false;
    };
    match (runtime, Version::parse(version)) {
        ("containerd", Some(v)) => v >= Version(2, 0),
        ("docker", Some(v)) => v >= Version(20, 10),
        _ => false,
    }
}

fn remedies(
    snapshot: &Snapshot,
    mesh: &Mesh,
    template: Option<&PodTemplate>,
    low: &[LowPort],
    bound: &[u32],
) -> (Vec<Remedy>, Vec<String>) {
    let host_network = template.is_some_and(|t| t.spec.host_network);
    let old_kernel = snapshot
        .nodes
        .iter()
        .find(|(_, n)| Version::parse(&n.kernel_version).is_some_and(|v| v < Version(4, 11)));
    let old_kubelet = mesh.versions.kubelet.filter(|v| *v < Version(1, 22));
    let mut remarks = Vec::new();
    if host_network {
        remarks.push(
            "The sysctl is not offered: Kubernetes refuses it to pods in the node's network."
                .to_owned(),
        );
    }
    if let Some((name, node)) = old_kernel {
        remarks.push(format!(
            "The sysctl is not offered: node {name} runs kernel {}, which has it only from 4.11 on.",
            node.kernel_version
        ));
    }
    if let Some(version) = old_kubelet {
        remarks.push(format!(
            "The sysctl is not offered: Kubernetes {version} does not count it among the safe \
             ones (it does since 1.22)."
        ));
    }
    let mut found = Vec::new();
    if remarks.is_empty() {
        let change = Change::PodSysctl { name: SYSCTL, value: "0" };
        let title = "let the gateway's pod bind all ports";
        found.push(Remedy::new("gateway-sysctl", title, vec![change]));
    }
    found.extend(target_ports(snapshot, low));
    if found.is_empty() {
        let ports = if bound.is_empty() { &[80][..] } else { bound };
        let shown: Vec<String> = ports.iter().map(|p| format!("{p} → {}", high(*p))).collect();
        found.push(Remedy::advice(
            "gateway-target-port",
            format!("let the gateway listen on a high port ({})", shown.join(", ")),
            format!(
                "set `targetPort` in the gateway's Service ({}); its own ports stay",
                shown.join(", ")
            ),
        ));
    }
    (found, remarks)
}

/// The fixed mapping that Sunup's own gateway uses too.
fn high(low: u32) -> u32 {
    match low {
        80 => 8080,
        443 => 8443,
        other => other + 8000,
    }
}

fn target_ports(snapshot: &Snapshot, low: &[LowPort]) -> Option<Remedy> {
    let service = low.iter().find_map(|l| l.service)?.0;
    let ports: Vec<(usize, u32)> = low
        .iter()
        .filter_map(|l| l.service.filter(|(s, _)| *s == service).map(|(_, i)| (i, high(l.port))))
        .collect();
    let name = &snapshot.services.get(service)?.0.metadata.name;
    let shown =
        low.iter().map(|l| format!("{} → {}", l.port, high(l.port))).collect::<Vec<_>>().join(", ");
    let title = format!("let the gateway listen on high ports behind Service {name} ({shown})");
    let remedy = Remedy::new(
        "gateway-target-port",
        title,
        vec![Change::ServiceTargetPorts { service, ports }],
    );
    Some(remedy.unsafe_because("whoever connects to the pods' own ports must follow"))
}
