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
use crate::knowledge::scripts::{self, names_port};

/// The rule.
pub(crate) struct ReadinessEndpointWrong;

static META: Meta = Meta {
    id: "readiness-endpoint-wrong",
    title: "Something waits for the proxy on a port that does not say whether it is ready",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::Workload]],
    helps: &[Need::Namespaces, Need::MeshConfig],
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
            let Some((port, text)) = waits(work, container, istio) else { continue };
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
fn waits(work: &Work<'_>, container: &Container, istio: bool) -> Option<(u16, String)> {
    let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
    for probe in probes.into_iter().flatten() {
        if let Some(port) = probed(probe) {
            return Some((port, format!("a probe asks port {port}")));
        }
    }
    let (workload, _) = work.manifest?;
    let namespace = work.subject.namespace.as_deref();
    let all = scripts::of_container(work.snapshot, namespace, &workload.template, container);
    let mut found = None;
    for script in all {
        let waiting = is_loop(script);
        for statement in scripts::statements(script) {
            let admin = names_port(statement, port::ADMIN)
                && (waiting || is_loop(statement))
                && !other_business(statement)
                && !looks_at_readiness(statement);
            let others =
                istio && names_port(statement, OTHERS_ADMIN) && statement.contains("/ready");
            if (admin || others) && found.is_none() {
                let port = if admin { port::ADMIN } else { OTHERS_ADMIN };
                found = Some((port, statement.to_owned()));
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
    // The admin interface's own readiness tells; whoever probes it from outside reaches nothing,
    // but that is another matter.
    let tells = get.path.as_deref() == Some("/ready");
    let admin = matches!(get.port, Some(IntOrString::Int(p)) if p == u32::from(port::ADMIN));
    (admin && !tells).then_some(port::ADMIN)
}

/// Words of whoever waits, rather than asks once.
fn is_loop(script: &str) -> bool {
    let words = ["wait-for", "wait_for", "--retry", "-wait", "wait4", "--tries", "--waitretry"];
    let mut own = script.split(|c: char| !c.is_ascii_alphanumeric());
    own.any(|w| matches!(w, "while" | "until" | "for")) || words.iter().any(|w| script.contains(w))
}

/// Statistics, draining and quitting.
fn other_business(statement: &str) -> bool {
    ["quitquitquit", "/drain", "/stats", "/logging", "/config_dump", "/certs", "healthcheck/fail"]
        .iter()
        .any(|path| statement.contains(path))
}

/// Waits that do look at readiness: the server's state is compared, its listeners are looked for, or
/// `/ready` is asked in a way that fails while it answers 503.
fn looks_at_readiness(statement: &str) -> bool {
    let compares = ["LIVE", "grep", "jq", "http_code"].iter().any(|w| statement.contains(w));
    let fails = statement.contains("wget")
        || statement.contains("--fail")
        || statement
            .split_whitespace()
            .any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('f'));
    if statement.contains("/ready") {
        return compares || fails;
    }
    let asks = ["/server_info", "/listeners", "/clusters", "/listener"];
    asks.iter().any(|path| statement.contains(path))
        && compares
        && (statement.contains("LIVE") || !statement.contains("http_code"))
}

#[cfg(test)]
mod tests {
    use super::{is_loop, looks_at_readiness, other_business};

    #[test]
    fn a_wait_that_looks_at_readiness_is_told_from_one_that_does_not() {
        for (statement, right) in [
            ("until curl -s localhost:15000/server_info | grep -q LIVE", true),
            ("until curl -fsS localhost:15000/ready", true),
            ("until curl --fail -s http://127.0.0.1:15000/ready", true),
            ("while ! wget -q -O- localhost:15000/ready", true),
            ("until curl -s localhost:15000/listeners | grep 15001", true),
            ("until [ $(curl -s -o /dev/null -w %{http_code} localhost:15000/ready) = 200 ]", true),
            ("until curl -s localhost:15000/ready", false),
            ("until curl --head localhost:15000", false),
            ("until curl -fsS localhost:15000/server_info", false),
            ("while ! nc -z 127.0.0.1 15000", false),
            (
                "until [ $(curl -s -o /dev/null -w %{http_code} localhost:15000/server_info) = 200 ]",
                false,
            ),
        ] {
            assert!(is_loop(statement) && !other_business(statement), "{statement}");
            assert_eq!(looks_at_readiness(statement), right, "{statement}");
        }
        assert!(other_business("curl -X POST localhost:15000/quitquitquit"));
        assert!(!is_loop("curl -s localhost:15000/forward"));
    }
}
