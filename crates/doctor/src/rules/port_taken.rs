//! `port-taken`: something else in the pod (or on the node) has a port that the proxy needs.
//!
//! # Sources
//! istio/istio issues 38824, 49905; RULES.md D5.

use std::collections::BTreeSet;

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::log::{ContainerLog, Sample};
use sunup_evidence::object::PodTemplate;
use sunup_evidence::shape::{Shape, Sidecar, is_mesh_container};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag, same_workload};
use crate::judging::workload::Work;
use crate::knowledge::proxy;
use crate::knowledge::{agent, injection};

/// The rule.
pub(crate) struct PortTaken;

static META: Meta = Meta {
    id: "port-taken",
    title: "A port that the proxy needs is taken",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::ProxyLog, Need::AppLog, Need::Workload]],
    helps: &[
        Need::PodObject,
        Need::PodEvents,
        Need::ProxyLog,
        Need::AppLog,
        Need::Workload,
        Need::Namespaces,
    ],
    hears: &[],
    signs: &[Sign::AddressInUse],
    explains: &[
        "app-before-proxy",
        "hold-timed-out",
        "proxy-restarted-by-startup-probe",
        "start-gate-expired",
    ],
    doc: page!("port_taken", "doc.md"),
    fires: page!("port_taken", "fires.txtar"),
    quiet: page!("port_taken", "quiet.txtar"),
};

/// Ports that Istio's proxy and agent bind in every pod, but for the agent's own.
///
/// # Sources
/// Istio, "Application requirements: ports used by Istio".
const PROXY_PORTS: &[u16] = &[15000, 15001, 15004, 15006, 15008, 15009, 15021, 15053, 15090];

impl Rule for PortTaken {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        if let Some(log) = proxy::log(case) {
            by_proxy(case, log, out);
        }
        if !out.faults.iter().any(|f| f.subject.pods == case.subject.pods) && case.shape.proxy_seen
        {
            for (name, log) in case.facts.logs.iter().filter(|(n, _)| !is_mesh_container(n)) {
                by_application(case, name, log, out);
            }
        }
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let known = |f: &Fault| same_workload(&f.subject, &work.subject);
        if out.faults.iter().any(known) || injection::by_manifest(work).is_none() {
            return;
        }
        let template = &workload.template;
        let agent = agent::port(Some(template), work.mesh);
        for (name, port) in declared(template, agent) {
            let mut subject = work.subject.clone();
            subject.container = Some(name.to_owned());
            let summary =
                format!("container {name} wants port {port}, which the proxy binds itself");
            let mut fault = Fault::new(&META, Verdict::Possible, subject, summary);
            fault.severity = Severity::Warning;
            fault.evidence.push(EvidenceItem {
                source: manifest.place.to_string(),
                at: None,
                text: format!(
                    "{} {}: containerPort: {port}",
                    workload.kind, workload.metadata.name
                ),
            });
            let fault = fault.because(WHY).because(
                "Containers of a pod share its ports. Assumed: the container does listen there, as \
                 its manifest says.",
            );
            out.faults.push(fault.offer([other_port(name, port)]));
        }
    }
}

const WHY: &str = "Istio's proxy and agent bind 15000, 15001, 15004, 15006, 15008, 15020 (or the \
                   mesh's statusPort), 15021, 15053 and 15090 in every pod; whoever comes second \
                   fails.";

/// Whether the proxy or its agent, which answers at `agent`, has a port.
fn is_taken(port: u16, agent: u16) -> bool {
    port == agent || PROXY_PORTS.contains(&port)
}

fn declared(template: &PodTemplate, agent: u16) -> Vec<(&str, u16)> {
    let shape = Shape::of_template(template);
    if shape.gateway || shape.sidecar == Sidecar::None && template.spec.host_network {
        return Vec::new();
    }
    let own = template.spec.containers.iter().filter(|c| !is_mesh_container(&c.name));
    own.flat_map(|c| c.ports.iter().map(move |p| (c.name.as_str(), p)))
        .filter(|(_, p)| p.protocol.as_deref().is_none_or(|p| p == "TCP"))
        .filter_map(|(name, p)| Some((name, u16::try_from(p.container_port).ok()?)))
        .filter(|(_, port)| is_taken(*port, agent))
        .collect()
}

fn by_proxy(case: &Case<'_>, log: &ContainerLog, out: &mut Judgements) {
    let binds = |s: &&Sample| is_bind(&s.text);
    let lines: Vec<&Sample> = proxy::lines(log, Sign::AddressInUse).filter(binds).collect();
    let Some(first) = lines.first() else { return };
    // A proxy that was ready afterwards has got it: an old process was still letting go.
    let healed = log.ready.iter().any(|r| r.at >= first.at) && first.at.is_some();
    if healed || proxy::status(case).is_some_and(|s| s.ready) {
        return;
    }
    let ports: BTreeSet<u16> = lines.iter().filter_map(|s| port(&s.text)).collect();
    let shown = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let named = if shown.is_empty() { "a port".to_owned() } else { format!("port {shown}") };
    let summary = format!("istio-proxy cannot bind {named}: the address is already in use");
    let what = "a port that the proxy needs is taken";
    let fault = proxy::fault(&META, case, Verdict::Confirmed, summary, lines, what).because(WHY);
    out.faults.push(explained(fault, case, &ports));
}

fn explained(mut fault: Fault, case: &Case<'_>, ports: &BTreeSet<u16>) -> Fault {
    let spec = case.pod().map(|p| &p.spec);
    let mut owner = None;
    for container in spec.into_iter().flat_map(|s| &s.containers) {
        let same =
            container.ports.iter().any(|p| ports.iter().any(|n| u32::from(*n) == p.container_port));
        if same && !is_mesh_container(&container.name) {
            owner = Some(container.name.as_str());
        }
    }
    if let Some(owner) = owner {
        fault.cause = Some("application");
        fault.evidence.push(proxy::field(case, format!("container {owner} declares that port")));
        let port = ports.iter().next().copied().unwrap_or(0);
        return fault
            .because(format!(
                "Container {owner} declares it: the pod's containers share their ports."
            ))
            .offer([other_port(owner, port)]);
    }
    if spec.is_some_and(|s| s.host_network) {
        fault.cause = Some("node");
        return fault
            .because(
                "The pod is in the node's network: another pod or process of the node has the port. \
                 Two gateways in the node's network need two nodes.",
            )
            .offer([Remedy::advice(
                "one-gateway-per-node",
                "keep pods of the node's network apart (podAntiAffinity on kubernetes.io/hostname)",
                "kubectl get pods -A -o wide --field-selector spec.nodeName=NODE".to_owned(),
            )]);
    }
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    fault
        .because(
            "Another container of the pod has it, a second proxy (injected twice) among them; for a \
             gateway, two servers with one port and different addresses.",
        )
        .offer([Remedy::advice(
            "find-port-owner",
            "see which container has it, and move that one",
            format!("kubectl {ns}get pod {pod} -o yaml; kubectl {ns}debug {pod} -it --image=busybox -- netstat -ltnp"),
        )])
}

/// The application's own words: it wanted a port that is the proxy's.
fn by_application(case: &Case<'_>, name: &str, log: &ContainerLog, out: &mut Judgements) {
    let agent = agent::port(case.template().as_ref(), case.mesh);
    let told = |s: &&Sample| is_bind(&s.text) && port(&s.text).is_some_and(|p| is_taken(p, agent));
    let lines: Vec<&Sample> = proxy::lines(log, Sign::AddressInUse).filter(told).collect();
    let Some(port) = lines.first().and_then(|s| port(&s.text)) else { return };
    let summary = format!("container {name} cannot bind port {port}: it is the proxy's");
    let what = "the application was refused the proxy's port";
    let mut fault = proxy::fault(&META, case, Verdict::Confirmed, summary, lines, what)
        .because(WHY)
        .because("The proxy was first, so it is the application that fails.");
    fault.subject = at(&case.subject, name);
    fault.cause = Some("application");
    out.faults.push(fault.offer([other_port(name, port)]));
}

fn other_port(container: &str, port: u16) -> Remedy {
    let other = port.checked_sub(7000).unwrap_or(8080);
    Remedy::advice(
        "other-port",
        format!("let {container} listen on another port than {port}"),
        format!(
            "move it in its own settings, its containerPort and its Service's targetPort, for \
             example to {other}; {} is the proxy's in every pod of the mesh",
            port
        ),
    )
}

/// Whether the words are about binding, not about a connection that goes out.
fn is_bind(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let in_use = ["address already in use", "eaddrinuse", "address in use"];
    let quoted =
        lower.contains("adding/updating") || lower.contains("bind") || lower.contains("listen");
    let outward = lower.contains("connect:") && !lower.contains("bind");
    in_use.iter().any(|w| lower.contains(w)) && quoted && !outward
}

/// The port in `listen tcp :15020: bind:`, `'0.0.0.0:15090'`, `:::15021`, `port 15020`, `0.0.0.0_80`.
fn port(text: &str) -> Option<u16> {
    let number = |rest: &str| -> Option<u16> {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok().filter(|p| *p > 0)
    };
    let lower = text.to_ascii_lowercase();
    for mark in ["cannot bind '", "listen tcp4 ", "listen tcp6 ", "listen tcp "] {
        if let Some(i) = lower.find(mark) {
            let rest = &text[i + mark.len()..];
            let end = rest.find(['\'', ' ', '"']).unwrap_or(rest.len());
            let address = rest[..end].trim_end_matches(':');
            if let Some(found) = address.rsplit_once(':').and_then(|(_, p)| number(p)) {
                return Some(found);
            }
        }
    }
    let in_use = ["address already in use", "eaddrinuse", "address in use"];
    let at = in_use.iter().filter_map(|w| lower.find(w)).min()?;
    // Node and Rust say it behind, Java, nginx and Python before.
    let near = |s: &str| {
        let marks = s.match_indices(':').filter_map(|(i, _)| number(&s[i + 1..]));
        let ports = s.match_indices("port ").filter_map(|(i, _)| number(&s[i + 5..]));
        marks.chain(ports).find(|p| *p >= 80)
    };
    near(&text[at..]).or_else(|| {
        // Times have colons too: only what looks like a whole address counts.
        let before = &text[..at];
        let words = before.split_whitespace().rev();
        words.take(6).find_map(|w| {
            let word = w.trim_matches(|c: char| !c.is_ascii_alphanumeric() && !":.[]*".contains(c));
            let word = word.trim_end_matches(':');
            let by_colon = word.rsplit_once(':').filter(|(host, _)| {
                !host.chars().next_back().is_some_and(|c| c.is_ascii_digit()) || host.contains('.')
            });
            by_colon
                .and_then(|(_, p)| number(p))
                .or_else(|| number(word).filter(|p| *p >= 1024))
                .filter(|p| *p >= 80)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_what_runtimes_print() {
        for (text, want) in [
            (
                "Error: Error listening on status port: listen tcp :15020: bind: address already in use",
                Some(15020),
            ),
            (
                "Error adding/updating listener(s) x: cannot bind '0.0.0.0:15090': Address already in use",
                Some(15090),
            ),
            ("Error: listen EADDRINUSE: address already in use :::15021", Some(15021)),
            ("listen tcp 0.0.0.0:15006: bind: address already in use", Some(15006)),
            ("listen tcp [::1]:15053: bind: address already in use", Some(15053)),
            (
                "nginx: [emerg] bind() to 0.0.0.0:15090 failed (98: Address already in use)",
                Some(15090),
            ),
            ("OSError: [Errno 98] Address already in use", None),
            (
                "2026-11-02T10:00:10Z ERROR: bind on port 15020 failed: Address already in use",
                Some(15020),
            ),
        ] {
            assert_eq!(port(text), want, "{text}");
            assert!(is_bind(text) || want.is_none(), "{text}");
        }
        assert!(!is_bind("dial tcp 10.0.0.1:80: connect: address already in use"));
    }
}
