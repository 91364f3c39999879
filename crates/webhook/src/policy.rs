//! What the doctor says of a pod as it is created: founding faults and lints, as warnings, or as
//! a refusal in namespaces that ask for it.
//!
//! The words are the doctor's own; here it is only decided which of them are shown. A pod's
//! siblings differ in their names alone, so a judgement is kept and used again for them.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use sunup_api::report::{Finding, Severity};
use sunup_api::show;
use sunup_evidence::collect::Collector;
use sunup_evidence::object::{Manifest, Object, Origin};
use sunup_evidence::record::Place;
use sunup_evidence::scope::Scope;
use sunup_inject::{Asked, Mended, Owner, guard};

use crate::review::Response;

/// Characters of one warning that an API server is sure to pass on.
const WARNING_MAX: usize = 256;
/// Warnings about one pod; a longer list is read by nobody.
const WARNINGS_MAX: usize = 5;
/// Judgements that are kept.
const KEPT_MAX: usize = 1_024;

/// A judgement, and what of it would refuse the pod.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Judgement {
    warnings: Vec<String>,
    errors: Vec<String>,
}

/// Judges pods.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    kept: Mutex<HashMap<u64, Arc<Judgement>>>,
}

impl Policy {
    /// Warnings about a pod, or its refusal. A pod that can't be read is none of ours to refuse:
    /// the API server does.
    pub(crate) fn judge(&self, asked: &Asked<'_>, deny: bool) -> Response {
        let Ok(pod) = serde_json::from_str::<Value>(asked.object) else {
            return Response::default();
        };
        let Some((subject, template)) = workload(&pod, asked.namespace) else {
            return Response::default();
        };
        let judgement = self.of(&pod, &subject, template);
        if deny && !judgement.errors.is_empty() {
            let why = judgement.errors.join("; ");
            return Response::denied(format!(
                "sunup: this pod would not come up: {why} (refused because its namespace says \
                 {LABEL}: {DENY})"
            ));
        }
        Response { warnings: judgement.warnings.clone(), ..Response::default() }
    }

    fn of(&self, pod: &Value, subject: &Value, key: u64) -> Arc<Judgement> {
        let lock = || self.kept.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(known) = lock().get(&key) {
            return Arc::clone(known);
        }
        let judgement = Arc::new(diagnosed(pod, subject));
        let mut kept = lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&judgement));
        judgement
    }
}

/// The namespace's label by which it asks for refusals.
pub const LABEL: &str = "sunup.dev/admission";
/// Its value.
pub const DENY: &str = "deny";

/// The pod as its workload's manifest would have it, which is what people can mend, and a number
/// that siblings share.
fn workload(pod: &Value, namespace: &str) -> Option<(Value, u64)> {
    let spec = pod.get("spec")?.as_object()?;
    let owner = Owner::of_pod(pod);
    let metadata = pod.get("metadata").and_then(Value::as_object);
    let part = |key: &str| metadata.and_then(|m| m.get(key)).cloned().unwrap_or(json!({}));
    let namespace = if owner.namespace.is_empty() { namespace } else { &owner.namespace };
    let mut labels = part("labels");
    if let Some(labels) = labels.as_object_mut() {
        labels.remove(sunup_api::label::POD_TEMPLATE_HASH);
    }
    let inner = json!({"labels": labels, "annotations": part("annotations")});
    let mut spec = spec.clone();
    // Every pod's token volume has a name of its own; the doctor asks for none.
    without_token_volumes(&mut spec);
    let meta = |name: &str| json!({"name": name, "namespace": namespace});
    let object = if owner.kind == "Pod" {
        let generated = metadata.and_then(|m| m.get("generateName")).and_then(Value::as_str);
        let name = Some(owner.name.as_str()).filter(|n| !n.is_empty()).or(generated);
        let mut all = meta(name.unwrap_or_default());
        if let (Some(all), Value::Object(inner)) = (all.as_object_mut(), inner) {
            all.extend(inner);
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": all, "spec": spec})
    } else {
        json!({
            "apiVersion": owner.api_version, "kind": owner.kind, "metadata": meta(&owner.name),
            "spec": {"template": {"metadata": inner, "spec": spec}},
        })
    };
    let mut hasher = DefaultHasher::new();
    object.to_string().hash(&mut hasher);
    Some((object, hasher.finish()))
}

fn without_token_volumes(spec: &mut Map<String, Value>) {
    const TOKEN: &str = "kube-api-access-";
    let is_token = |v: &Value| {
        v.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with(TOKEN))
    };
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|v| !is_token(v));
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.retain(|m| !is_token(m));
            }
        }
    }
}

fn diagnosed(pod: &Value, subject: &Value) -> Judgement {
    let Ok(object) = Object::from_value(subject) else { return Judgement::default() };
    let manifest = Manifest {
        place: Place { file: "pod".into(), line: None, entry: None },
        path: None::<PathBuf>,
        document: 0,
        item: None,
        origin: Origin::NotAFile,
        text: None,
        sound: false,
    };
    let mut collector = Collector::new(Scope::default());
    collector.object(object, manifest);
    let report = sunup_doctor::diagnose(&collector.finish()).report;
    let mut judgement = Judgement::default();
    for finding in &report.findings {
        let refused = finding.severity == Severity::Error || FOUNDING.contains(&&*finding.rule);
        judgement.add(&words(finding), refused);
    }
    // Whose container stands where is certain here, whatever else the doctor would like to see.
    let of_order = report.findings.iter().any(|f| f.rule == ORDER);
    if let (false, Some(why)) = (of_order, guard::disorder(pod)) {
        judgement.add(&format!("{ORDER}: {why}"), true);
    }
    judgement
}

impl Judgement {
    fn add(&mut self, text: &str, refused: bool) {
        if refused {
            self.errors.push(text.to_owned());
        }
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(shown(text));
        }
    }
}

/// The rule about containers that run behind the redirect and before the proxy.
const ORDER: &str = "init-before-proxy";
/// What keeps a pod from coming up, even where a manifest alone can't prove it.
const FOUNDING: [&str; 3] = ["app-before-proxy", "gateway-privileged-port", ORDER];

/// What the doctor says, and the first thing to do.
fn words(finding: &Finding) -> String {
    match finding.fixes.first() {
        Some(fix) => format!("{}: {}; to do: {}", finding.rule, finding.summary, fix.title),
        None => format!("{}: {}", finding.rule, finding.summary),
    }
}

/// What the doctor would have said of a pod that was mended, and what was done to it.
pub(crate) fn mended(done: Mended) -> String {
    let id = FOUNDING[0];
    let titles = sunup_doctor::rules().map(|meta| (meta.id, meta.title));
    let title = titles.into_iter().find(|(rule, _)| *rule == id).map(|(_, title)| title);
    let remedy = match done {
        Mended::Held => sunup_doctor::HOLD,
        Mended::Native => sunup_doctor::NATIVE,
    };
    format!("{id}: {}; done: {remedy}", title.unwrap_or_default())
}

/// A warning as an API server passes it on: short, one line, no control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut out = format!("sunup: {}", show::line(text));
    if out.len() > WARNING_MAX {
        let end = (0..=WARNING_MAX - 4).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
        out.truncate(end);
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(name: &str, sysctl: bool) -> String {
        let sysctls = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
        let security = if sysctl { json!({"sysctls": sysctls}) } else { json!({}) };
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "generateName": "gate-5d4f-", "namespace": "edge",
                "labels": {"app": "gate", "pod-template-hash": "5d4f"},
                "annotations": {"inject.istio.io/templates": "gateway"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                    "name": "gate-5d4f", "controller": true}],
            },
            "spec": {
                "securityContext": security,
                "volumes": [{"name": format!("kube-api-access-{name}")}],
                "containers": [{"name": "istio-proxy", "image": "proxyv2",
                    "securityContext": {"runAsUser": 1337},
                    "ports": [{"containerPort": 80}],
                    "volumeMounts": [{"name": format!("kube-api-access-{name}"),
                        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}],
            },
        })
        .to_string()
    }

    fn asked(object: &str) -> Asked<'_> {
        Asked { object, namespace: "edge", namespace_annotations: None, env: None }
    }

    #[test]
    fn the_doctors_words_warn_and_refuse_only_where_that_is_asked_for() {
        let policy = Policy::default();
        let bad = gateway("a", false);
        let warned = policy.judge(&asked(&bad), false);
        assert_eq!(warned.denied, None);
        assert!(warned.warnings[0].contains("gateway-privileged-port"), "{warned:?}");
        let denied = policy.judge(&asked(&bad), true).denied.unwrap();
        assert!(denied.contains("gateway-privileged-port") && denied.contains(LABEL), "{denied}");
        let good = policy.judge(&asked(&gateway("a", true)), true);
        assert!(good.denied.is_none() && good.warnings.is_empty(), "{good:?}");
    }

    #[test]
    fn siblings_share_a_judgement() {
        let policy = Policy::default();
        for name in ["a", "b", "c"] {
            policy.judge(&asked(&gateway(name, false)), false);
        }
        assert_eq!(policy.kept.lock().unwrap().len(), 1);
        policy.judge(&asked(&gateway("a", true)), false);
        assert_eq!(policy.kept.lock().unwrap().len(), 2);
    }

    #[test]
    fn warnings_are_short_and_on_one_line() {
        let long = shown(&"ä\n".repeat(400));
        assert!(long.len() <= WARNING_MAX && !long.contains('\n') && long.ends_with('…'));
    }
}
