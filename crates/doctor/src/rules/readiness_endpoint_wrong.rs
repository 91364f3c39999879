//! `readiness-endpoint-wrong`: a script or probe waits for the proxy on a port that does not tell
//! whether it is ready.
//!
//! # Sources
//! istio/istio issue 11130 (15000 is up before the data path works); RULES.md 1.1: 9901 is the admin
//! port of Kuma, App Mesh and plain Envoy, not of Istio.

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::{annotation, port};
use sunup_evidence::object::{Container, IntOrString, PodTemplate, Probe};
use sunup_evidence::shape::is_mesh_container;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::judging::workload::Work;
use crate::knowledge::injection;

/// The rule.
pub(crate) struct ReadinessEndpointWrong;

static META: Meta = Meta {
    id: "readiness-endpoint-wrong",
    title: "Something waits for the proxy on a port that does not say whether it is ready",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::Workload]],
    helps: &[Need::Namespaces],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("readiness_endpoint_wrong", "doc.md"),
    fires: page!("readiness_endpoint_wrong", "fires.txtar"),
    quiet: page!("readiness_endpoint_wrong", "quiet.txtar"),
};

/// The admin port of other meshes' proxies.
const OTHERS_ADMIN: u16 = 9901;

impl Rule for ReadinessEndpointWrong {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let template = &workload.template;
        if of_another_mesh(template) {
            return;
        }
        let istio = injection::by_manifest(work).is_some() || asks_istio(template);
        let spec = &template.spec;
        for container in spec.init_containers.iter().chain(&spec.containers) {
            if is_mesh_container(&container.name) {
                continue;
            }
            let Some((port, text)) = waits(container, istio) else { continue };
            let name = &container.name;
            let summary = format!("{name} waits for the proxy on port {port}, which does not tell");
            let mut fault = Fault::new(&META, Verdict::Possible, at(&work.subject, name), summary);
            fault.evidence.push(EvidenceItem {
                source: manifest.place.to_string(),
                at: None,
                text: format!("container {name}: {text}"),
            });
            let fault = fault.because(why(port)).offer([advice(name)]);
            out.faults.push(fault);
        }
    }
}

fn why(port: u16) -> &'static str {
    if port == OTHERS_ADMIN {
        "Nothing listens on 9901 in a pod of Istio or Cloud Service Mesh: that is the admin port of \
         other meshes' proxies. The script waits for ever, or gives up and goes on as if it had waited."
    } else {
        "15000 is the proxy's admin port, on this pod's loopback. It answers before the proxy has a \
         listener, so whoever waits for it goes on too early."
    }
}

fn advice(container: &str) -> Remedy {
    let url = format!("http://localhost:{}/healthz/ready", port::AGENT);
    Remedy::advice(
        "wait-endpoint",
        format!("let {container} wait for the agent's endpoint"),
        format!("until curl -fsS -o /dev/null {url}; do sleep 1; done"),
    )
}

fn of_another_mesh(template: &PodTemplate) -> bool {
    let meta = &template.metadata;
    let keys = meta.annotations.keys().chain(meta.labels.keys());
    let mut keys = keys.map(String::as_str);
    keys.any(|k| {
        k.starts_with("kuma.io/")
            || k.starts_with("appmesh.k8s.aws/")
            || k.starts_with("consul.hashicorp.com/")
    })
}

fn asks_istio(template: &PodTemplate) -> bool {
    let meta = &template.metadata;
    let keys = meta.annotations.keys().chain(meta.labels.keys());
    let mut keys = keys.map(String::as_str);
    keys.any(|k| k.contains("istio.io/") && k != annotation::INJECT)
}

/// The port on which a container waits, with the words that show it.
fn waits(container: &Container, istio: bool) -> Option<(u16, String)> {
    let hooks = [&container.lifecycle.post_start, &container.startup_probe];
    let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
    for probe in probes.into_iter().flatten() {
        if let Some(port) = probed(probe) {
            return Some((port, format!("a probe asks port {port}")));
        }
    }
    let of_hooks = hooks.into_iter().flatten().filter_map(|p| p.exec.as_ref());
    let words = container.command.iter().chain(&container.args);
    let scripts = words.chain(of_hooks.flat_map(|e| &e.command));
    let mut found = None;
    for script in scripts {
        for line in script.lines() {
            let admin = names(line, port::ADMIN) && asks_state(line);
            let others = istio && names(line, OTHERS_ADMIN) && line.contains("/ready");
            let port = if admin { port::ADMIN } else { OTHERS_ADMIN };
            if (admin || others) && found.is_none() {
                found = Some((port, line.trim().to_owned()));
            }
        }
        // A script that asks the right endpoint too knows what it does.
        if script.contains("15020/healthz/ready") || script.contains("15021/healthz/ready") {
            return None;
        }
    }
    found
}

fn probed(probe: &Probe) -> Option<u16> {
    let get = probe.http_get.as_ref()?;
    matches!(get.port, Some(IntOrString::Int(p)) if p == u32::from(port::ADMIN))
        .then_some(port::ADMIN)
}

fn names(line: &str, port: u16) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| line.contains(&format!("{host}:{port}")))
}

/// What is asked of the admin interface by whoever waits; quitting and statistics are other business.
fn asks_state(line: &str) -> bool {
    let asks = ["/ready", "/server_info", "/healthz", "/listeners", "/clusters"];
    let loops =
        ["while", "until", "wait-for", "wait_for", "--retry", "sleep", "nc -z", "curl", "wget"];
    let quits = line.contains("quitquitquit") || line.contains("/drain");
    !quits && asks.iter().any(|a| line.contains(a)) && loops.iter().any(|l| line.contains(l))
        || !quits && line.contains("nc -z") && line.contains("15000")
}
