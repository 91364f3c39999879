//! `injection-rejected`: the injection webhook answered, and refused the pod: an annotation or a template of
//! it makes no sense to the control plane.
//!
//! # Sources
//! istio/istio `pkg/kube/inject/webhook.go` (`Pod injection failed`), `pkg/kube/inject/validate.go`; RULES.md A6.

use serde_json::{Value, json};
use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::{annotation, label};
use sunup_evidence::object::Meta as ObjectMeta;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::mesh::inner_yaml;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::recognised::Heard;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::texts::Said;
use crate::judging::workload::Work;
use crate::knowledge::{annotations, injection, placeholder, ranges};

/// The rule.
pub(crate) struct InjectionRejected;

static META: Meta = Meta {
    id: "injection-rejected",
    title: "The injection webhook refuses the pod because of an annotation or template",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::Workload]],
    helps: &[Need::Workload, Need::MeshConfig],
    hears: &["denied the request", "pod injection failed"],
    signs: &[],
    // What the manifest shows of it.
    explains: &["exclude-range-not-cidr"],
    doc: page!("injection_rejected", "doc.md"),
    fires: page!("injection_rejected", "fires.txtar"),
    quiet: page!("injection_rejected", "quiet.txtar"),
};

impl Rule for InjectionRejected {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        out.faults.extend(case.heard(&META, is_it).map(|h| fault(&h)));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        out.faults.extend(work.heard(&META, is_it).map(|h| fault(&h)));
        let known = |f: &Fault| {
            let (a, b) = (&f.subject, &work.subject);
            a.kind == b.kind && a.name == b.name && a.namespace == b.namespace
        };
        if !out.faults.iter().any(known) {
            out.faults.extend(by_manifest(work));
        }
    }
}

/// What injection will refuse once the pod is made, by the checks of the injector itself.
fn by_manifest(work: &Work<'_>) -> Option<Fault> {
    let (workload, manifest) = work.manifest?;
    let meta = &workload.template.metadata;
    let asked = meta.labels.get(label::INJECT).or(meta.annotations.get(annotation::INJECT));
    if asked.is_some_and(|v| v == "false") || workload.template.spec.host_network {
        return None;
    }
    let mut refused: Vec<(&String, &String, String)> = meta
        .annotations
        .iter()
        // Ranges have a rule of their own; what is filled in later may be right by then.
        .filter(|(key, value)| !ranges::KEYS.contains(&key.as_str()) && !placeholder::is_one(value))
        .filter_map(|(key, value)| Some((key, value, sunup_inject::refusal(key, value)?)))
        .collect();
    let templates = meta.annotations.get_key_value(annotation::TEMPLATES);
    refused.extend(templates.and_then(|(key, value)| {
        let unknown = unknown_template(value, work)?;
        Some((key, value, format!("there is no template {unknown:?}")))
    }));
    refused.extend(unscrapable(work, meta));
    let (_, _, first) = refused.first()?;
    let more = if refused.len() > 1 {
        format!(" (and {} more)", refused.len() - 1)
    } else {
        String::new()
    };
    let summary = format!("injection will refuse the pod: {first}{more}");
    let mut fault = Fault::new(&META, Verdict::Possible, work.subject.clone(), summary);
    fault.severity = Severity::Warning;
    fault.cause = Some("annotation");
    fault.evidence.extend(refused.iter().map(|(key, value, why)| EvidenceItem {
        source: manifest.place.to_string(),
        at: None,
        text: format!("{key}: {value} ({why})"),
    }));
    let changes: Option<Vec<Change>> =
        refused.iter().map(|(key, value, _)| mended(key, value)).collect();
    let scraped = refused.iter().any(|(key, ..)| is_prometheus(key));
    let remedy = match changes {
        Some(changes) => {
            Remedy::new("mend-annotation", "write what was meant as it is read", changes)
        }
        None => {
            let title = if scraped {
                "name the application's own port: the one at which all is scraped is put in its \
                 place at injection, and the agent asks the application's"
            } else {
                "write what the control plane takes: ports are numbers between commas, and ranges \
                 of ports are not known"
            };
            let check = "kubectl apply --dry-run=server -f FILE".to_owned();
            Remedy::advice("mend-annotation", title, check)
        }
    };
    fault = fault.because(
        "The control plane checks these annotations before it injects anything, and a pod that does \
         not pass is not made.",
    );
    if scraped {
        fault = fault.because(
            "Releases whose injector does not look at what is to be scraped yet leave that to the \
             agent.",
        );
    }
    Some(fault.offer([remedy]))
}

fn is_prometheus(key: &str) -> bool {
    key.starts_with("prometheus")
}

/// What is to be scraped, where injection will not have it. Many pods outside of any mesh name a port
/// in their own way: only those that something asks to be injected count.
fn unscrapable<'w>(
    work: &Work<'_>,
    meta: &'w ObjectMeta,
) -> Option<(&'w String, &'w String, String)> {
    let own = meta.annotations.get(annotation::PROXY_CONFIG).map(|text| inner_yaml(text));
    let own = own.as_ref().and_then(|config| config.get("statusPort"));
    let of_mesh = work.mesh.mesh_config.pointer("/defaultConfig/statusPort");
    let config = json!({"statusPort": own.or(of_mesh)});
    let merged = work.mesh.mesh_config.get("enablePrometheusMerge").and_then(Value::as_bool);
    let (key, why) =
        sunup_inject::scrape_refusal(&meta.annotations, merged.unwrap_or(true), &config)?;
    let (key, value) = meta.annotations.get_key_value(&key)?;
    let asked = !placeholder::is_one(value) && injection::by_manifest(work).is_some();
    asked.then_some((key, value, why))
}

/// Templates that Istio's own installation has.
const TEMPLATES: [&str; 6] =
    ["sidecar", "gateway", "grpc-simple", "grpc-agent", "waypoint", "kube-gateway"];

/// A template's name that the injector's own configuration does not have; where that was not handed
/// over, one that is nearly one of Istio's, and none that the mesh's own settings add.
fn unknown_template<'v>(value: &'v str, work: &Work<'_>) -> Option<&'v str> {
    if let Some(known) = &work.mesh.templates {
        let mut asked = value.split(',').map(str::trim);
        return asked.find(|name| !known.iter().any(|k| k == name));
    }
    let own = ["/sidecarInjectorWebhook/templates", "/sidecarInjectorWebhook/aliases"];
    let own = own.iter().filter_map(|path| work.mesh.values.pointer(path)?.as_object());
    let known: Vec<&String> = own.flat_map(|map| map.keys()).collect();
    let mut asked = value.split(',').map(str::trim);
    asked.find(|name| {
        !TEMPLATES.contains(name)
            && !known.iter().any(|k| k == name)
            && annotations::nearest_of(name, &TEMPLATES).is_some()
    })
}

/// The value as it is read, where only its writing is wrong.
fn mended(key: &str, value: &str) -> Option<Change> {
    let text = |text: String| {
        let change = Change::Annotation {
            key: key.to_owned().into(),
            value: AnnotationValue::Text(text.clone()),
        };
        sunup_inject::refusal(key, &text).is_none().then_some(change)
    };
    match key {
        annotation::PROXY_CONFIG => {
            let hold = inner_yaml(value).get(annotation::HOLD)?.as_str()?.parse::<bool>().ok()?;
            let value = AnnotationValue::Field(annotation::HOLD, Value::Bool(hold));
            Some(Change::Annotation { key: annotation::PROXY_CONFIG.into(), value })
        }
        annotation::TEMPLATES => {
            let one = |name: &str| annotations::nearest_of(name.trim(), &TEMPLATES);
            let names: Option<Vec<&str>> = value.split(',').map(one).collect();
            text(names?.join(","))
        }
        annotation::INTERCEPTION_MODE => text(value.trim().to_ascii_uppercase()),
        _ if key.starts_with("traffic.") => {
            let parts = value.split([',', ' ', ';', '\n']).map(str::trim);
            text(parts.filter(|p| !p.is_empty()).collect::<Vec<_>>().join(","))
        }
        _ => None,
    }
}

fn is_it(said: &Said<'_>) -> bool {
    reason(said.text).is_some()
}

/// What the control plane had against the pod.
fn reason(text: &str) -> Option<&str> {
    let behind = |mark: &str| {
        let at = text.to_ascii_lowercase().find(mark)? + mark.len();
        Some(text[at..].trim_start_matches([':', ' ']))
    };
    if let Some(reason) = behind("pod injection failed") {
        return Some(reason);
    }
    let injector = ["sidecar-injector.istio.io", "sunup.dev"];
    let webhook = text.split("denied the request").next()?;
    let reason = behind("denied the request")?;
    injector.iter().any(|i| webhook.contains(i)).then_some(reason)
}

fn fault(heard: &Heard<'_, '_>) -> Fault {
    let why = heard.said.iter().find_map(|s| reason(s.text)).unwrap_or_default();
    let summary = format!("the injection webhook refuses the pod: {}", first_line(why));
    let fault = heard.fault(&META, Verdict::Confirmed, summary, "injection was refused");
    fault
        .because(
            "The control plane answered, so the way to it is open: what it refuses is in the pod \
             template.",
        )
        .offer(remedies(heard, why))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end_matches(['.', ' '])
}

fn remedies(heard: &Heard<'_, '_>, why: &str) -> Vec<Remedy> {
    let template = heard.manifest;
    for key in ranges::KEYS {
        let value = template.and_then(|t| t.metadata.annotations.get(key));
        if let (true, Some(right)) = (why.contains(key), value.and_then(|v| ranges::corrected(v))) {
            let change =
                Change::Annotation { key: key.into(), value: AnnotationValue::Text(right) };
            return vec![Remedy::new("cidr-form", "write the addresses as ranges", vec![change])];
        }
    }
    let lower = why.to_ascii_lowercase();
    if lower.contains("template") && lower.contains("not found") {
        return vec![Remedy::advice(
            "existing-template",
            format!("name a template that the control plane has in {}", annotation::TEMPLATES),
            "kubectl -n istio-system get configmap istio-sidecar-injector -o \
             jsonpath='{.data.config}' | grep -A9 '^templates:'  # sidecar, gateway, grpc-simple …"
                .to_owned(),
        )];
    }
    vec![Remedy::advice(
        "mend-annotation",
        "mend what the text names in the pod template; a dry run shows whether it is enough",
        format!("kubectl {}apply --dry-run=server -f FILE", heard.ns()),
    )]
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn only_an_injectors_refusal_counts() {
        let own = r#"admission webhook "namespace.sidecar-injector.istio.io" denied the request: requested template "gatway" not found; have gateway"#;
        assert_eq!(reason(own), Some(r#"requested template "gatway" not found; have gateway"#));
        assert_eq!(reason("2024 error injector Pod injection failed: bad yaml"), Some("bad yaml"));
        let other = r#"admission webhook "validate.kyverno.svc-fail" denied the request: no"#;
        assert_eq!(reason(other), None);
        // A validation webhook of the mesh judges other objects.
        let validation = r#"admission webhook "validation.istio.io" denied the request: bad host"#;
        assert_eq!(reason(validation), None);
    }
}
