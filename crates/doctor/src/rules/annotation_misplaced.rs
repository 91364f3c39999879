//! `annotation-misplaced`: an annotation or label of the mesh stands where nobody reads it: on the
//! workload instead of its pod template, as a label instead of an annotation, on pods instead of
//! the Namespace.
//!
//! # Sources
//! istio.io, "Resource Annotations" and "Resource Labels" (each names the kinds it applies to);
//! hashicorp/vault-k8s `agent-inject/agent/annotations.go` (read from the pod); RULES.md E2 (d).

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::{annotation, label, shell};
use sunup_evidence::object::Workload;

use crate::fix::owner;
use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::{Change, Remedy, Shelf};
use crate::judging::rule::Rule;
use crate::judging::workload::{NamespaceWork, Work, namespace};
use crate::knowledge::{annotations, injection, installed, proxy_config};

/// The rule.
pub(crate) struct AnnotationMisplaced;

static META: Meta = Meta {
    id: "annotation-misplaced",
    title: "An annotation or label for pods stands where nobody reads it",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::Workload, Need::Namespaces]],
    helps: &[Need::Namespaces],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("annotation_misplaced", "doc.md"),
    fires: page!("annotation_misplaced", "fires.txtar"),
    quiet: page!("annotation_misplaced", "quiet.txtar"),
};

/// What begins the names of Vault's annotations; those for its injector go together.
const VAULT: &str = "vault.hashicorp.com/";

/// An entry in the wrong place.
struct Misplaced {
    shelf: Shelf,
    key: String,
    value: String,
    to: (Shelf, String),
    /// The value it has to have there, where that is another.
    becomes: Option<&'static str>,
}

impl Misplaced {
    fn change(&self) -> Change {
        Change::Entry {
            from: (self.shelf, self.key.clone()),
            to: self.to.clone(),
            value: self.becomes.map(str::to_owned),
        }
    }

    /// Whether it takes pods or traffic out of the mesh, once it is read.
    fn leaves(&self) -> bool {
        proxy_config::takes_traffic_out(&self.to.1, self.becomes.unwrap_or(&self.value))
    }

    fn text(&self) -> String {
        let map = match self.shelf {
            Shelf::Labels => "metadata.labels",
            Shelf::Annotations => "metadata.annotations",
            Shelf::PodLabels => "the template's metadata.labels",
            Shelf::PodAnnotations => "the template's metadata.annotations",
        };
        format!("{map}: {}: {}", self.key, self.value)
    }
}

impl Rule for AnnotationMisplaced {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let (leaving, staying): (Vec<_>, Vec<_>) =
            misplaced(work, workload).into_iter().partition(Misplaced::leaves);
        for (cause, some) in [(None, staying), (Some("takes-effect"), leaving)] {
            if some.is_empty() {
                continue;
            }
            let (said, why) = words(&workload.kind, &some);
            let mut fault = Fault::new(&META, Verdict::Possible, work.subject.clone(), said);
            fault.cause = cause;
            let source = manifest.place.to_string();
            fault.evidence = some
                .iter()
                .map(|m| EvidenceItem { source: source.clone(), at: None, text: m.text() })
                .collect();
            let changes = some.iter().map(Misplaced::change).collect();
            let remedy = Remedy::new("move-annotation", title(&some), changes);
            let remedy = match cause {
                Some(_) => remedy.unsafe_because("traffic begins to go as it says"),
                None => remedy,
            };
            out.faults.push(fault.because(why).offer([remedy]));
        }
    }

    fn namespace(&self, on: &NamespaceWork<'_>, out: &mut Judgements) {
        for (key, value) in &on.meta.annotations {
            let known = [label::NAMESPACE_INJECTION, label::REVISION, label::DATAPLANE_MODE];
            let is_label = known.contains(&key.as_str());
            let Some(right) =
                is_label.then_some(key.as_str()).or(annotations::namespace_label(key))
            else {
                continue;
            };
            if on.meta.labels.contains_key(right) {
                continue;
            }
            let meant = annotations::injection_value(value);
            let becomes = meant.filter(|_| right == label::NAMESPACE_INJECTION);
            let now = becomes.unwrap_or(value);
            let name = &on.meta.name;
            let summary = format!(
                "{key} is an annotation of namespace {name}, and nobody reads it there: it has to be \
                 the label {right}={now}"
            );
            let mut fault = Fault::new(&META, Verdict::Possible, on.subject.clone(), summary);
            fault.cause = Some("namespace-annotation");
            fault.evidence.push(EvidenceItem {
                source: on.manifest.place.to_string(),
                at: None,
                text: format!("metadata.annotations: {key}: {value}"),
            });
            let change = Change::Entry {
                from: (Shelf::Annotations, key.clone()),
                to: (Shelf::Labels, right.to_owned()),
                value: becomes.map(str::to_owned),
            };
            let change = Change::OfNamespace { namespace: on.index, change: Box::new(change) };
            let command = format!(
                "kubectl label namespace {} {} --overwrite",
                shell::name(name),
                shell::word(&format!("{right}={now}")),
            );
            let remedy =
                Remedy::new("move-annotation", "make it a label", vec![change]).or_by(command);
            let fault = fault.because(
                "The API server picks the pods that it sends to the injection webhook by labels of \
                 their namespace; annotations select nothing.",
            );
            out.faults.push(fault.offer([remedy]));
        }
    }
}

/// Everything of a workload that stands where nobody reads it.
fn misplaced(work: &Work<'_>, workload: &Workload) -> Vec<Misplaced> {
    let mut found = Vec::new();
    let carries = owner::of(workload).metadata;
    // A patch without containers is a piece of an object, and another piece may have the template.
    let spec = &workload.template.spec;
    if spec.containers.is_empty() && spec.init_containers.is_empty() {
        return found;
    }
    // What pods get from the object itself is in its place, and where they get it is not known of
    // every kind.
    if carries.is_some_and(|path| path != ["metadata"]) && !installed::is_part(workload) {
        of_object(work, workload, &mut found);
    }
    of_template(workload, &mut found);
    found
}

fn of_object(work: &Work<'_>, workload: &Workload, found: &mut Vec<Misplaced>) {
    let (own, pods) = (&workload.metadata, &workload.template.metadata);
    let vault = moves_vault(workload);
    for (key, value) in &own.annotations {
        let of_vault = key.starts_with(VAULT);
        let for_pods = if of_vault { vault } else { annotations::is_for_pods(key) };
        if !for_pods || pods.annotations.contains_key(key) || key == annotation::INJECT {
            continue;
        }
        let to = (Shelf::PodAnnotations, key.clone());
        let (key, value) = (key.clone(), value.clone());
        found.push(Misplaced { shelf: Shelf::Annotations, key, value, to, becomes: None });
    }
    for (shelf, map) in [(Shelf::Annotations, &own.annotations), (Shelf::Labels, &own.labels)] {
        for (key, value) in map {
            if let Some(becomes) = asks_for_injection(work, workload, shelf, key, value) {
                let to = if key == label::REVISION { label::REVISION } else { label::INJECT };
                let (key, value) = (key.clone(), value.clone());
                let to = (Shelf::PodLabels, to.to_owned());
                found.push(Misplaced { shelf, key, value, to, becomes });
            }
        }
    }
}

/// Whether Vault's annotations on the object were meant for its pods: somebody asks for its agent.
/// One that says no does nothing there, as it would in the template.
fn moves_vault(workload: &Workload) -> bool {
    let (own, pods) = (&workload.metadata.annotations, &workload.template.metadata.annotations);
    let says = |v: Option<&String>, what: &str| v.is_some_and(|v| v.eq_ignore_ascii_case(what));
    let asked = own.get(annotation::VAULT_INJECT);
    !says(asked, "false")
        && (says(asked, "true") || says(pods.get(annotation::VAULT_INJECT), "true"))
}

/// What a name that asks for injection, or against it, has to say among the pods' labels, where it
/// stands on the object and changes something: `Some(None)` is what it says already.
fn asks_for_injection(
    work: &Work<'_>,
    workload: &Workload,
    shelf: Shelf,
    key: &str,
    value: &str,
) -> Option<Option<&'static str>> {
    let pods = &workload.template.metadata;
    let decided = pods.labels.contains_key(label::INJECT)
        || pods.labels.contains_key(label::REVISION)
        || pods.annotations.contains_key(annotation::INJECT);
    let (becomes, wanted) = match key {
        label::INJECT if matches!(value, "true" | "false") => (None, value == "true"),
        label::NAMESPACE_INJECTION => {
            let says = annotations::injection_value(value).unwrap_or(value);
            (Some(if says == "enabled" { "true" } else { "false" }), says == "enabled")
        }
        label::REVISION if shelf == Shelf::Labels => (None, true),
        _ => return None,
    };
    let known = namespace(work.snapshot, work.subject.namespace.as_deref()).is_some();
    let injected = injection::by_manifest(work).is_some();
    // The namespace says so anyway.
    let moot = if wanted { injected } else { known && !injected };
    (!decided && !moot).then_some(becomes)
}

/// Names on the pods themselves that are read elsewhere.
fn of_template(workload: &Workload, found: &mut Vec<Misplaced>) {
    let pods = &workload.template.metadata;
    let decided = pods.labels.contains_key(label::INJECT);
    for (shelf, map) in
        [(Shelf::PodLabels, &pods.labels), (Shelf::PodAnnotations, &pods.annotations)]
    {
        for (key, value) in map {
            let (to, becomes) = if key == label::NAMESPACE_INJECTION && !decided {
                let says = annotations::injection_value(value).unwrap_or(value);
                let becomes = if says == "enabled" { "true" } else { "false" };
                ((Shelf::PodLabels, label::INJECT.to_owned()), Some(becomes))
            } else if shelf == Shelf::PodLabels
                && annotations::is_for_pods(key)
                && key != label::INJECT
                && !pods.annotations.contains_key(key)
            {
                ((Shelf::PodAnnotations, key.clone()), None)
            } else {
                continue;
            };
            let (key, value) = (key.clone(), value.clone());
            found.push(Misplaced { shelf, key, value, to, becomes });
        }
    }
}

/// What is wrong, and why nobody reads it.
fn words(kind: &str, some: &[Misplaced]) -> (String, &'static str) {
    let names = some.iter().map(|m| m.key.as_str()).collect::<Vec<_>>().join(", ");
    if some.iter().all(|m| matches!(m.shelf, Shelf::Labels | Shelf::Annotations)) {
        let said =
            format!("{names} on the {kind} itself has no effect: it belongs on the pod template");
        let why = "Injection sees pods, and pods get the labels and annotations of the template \
                   (spec.template.metadata), not those of the object that makes them.";
        return (said, why);
    }
    let to: Vec<String> = some
        .iter()
        .map(|m| match m.to.0 {
            Shelf::PodLabels => {
                format!("the label {}: {:?}", m.to.1, m.becomes.unwrap_or(&m.value))
            }
            _ => format!("the annotation {}", m.to.1),
        })
        .collect();
    let said = format!(
        "{names} has no effect where it stands: the pod template has to have {}",
        to.join(", ")
    );
    let why = "istio-injection is read from namespaces, sidecar.istio.io/inject and istio.io/rev are \
               labels of pods, and all other settings of a proxy are annotations of pods.";
    (said, why)
}

fn title(some: &[Misplaced]) -> String {
    let renamed: Vec<String> = some
        .iter()
        .filter(|m| m.key != m.to.1)
        .map(|m| format!("{}: {:?}", m.to.1, m.becomes.unwrap_or(&m.value)))
        .collect();
    let object = |m: &Misplaced| matches!(m.shelf, Shelf::Labels | Shelf::Annotations);
    match (renamed.is_empty(), some.iter().all(object)) {
        (true, true) => "move it to the pod template".to_owned(),
        (true, false) => "move it to the pods' annotations".to_owned(),
        (false, _) => format!("write it as {} on the pod template", renamed.join(", ")),
    }
}
