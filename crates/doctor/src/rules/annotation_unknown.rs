//! `annotation-unknown`: an annotation or label of the mesh that no release reads, most often a
//! misspelt one; a field inside `proxy.istio.io/config` likewise, and a value of `istio-injection`.
//!
//! # Sources
//! istio/api `annotation/annotations.yaml`, `mesh/v1alpha1/proxy.proto`, releases 1.0 to 1.31;
//! istio/istio injection templates, `mutatingwebhook.yaml` (the selectors take `enabled` only);
//! IST0108; RULES.md 1.4 (`native-side`).

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::{annotation, label, shell};
use sunup_evidence::object::{Map, Workload};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::{AnnotationValue, Change, Remedy, Shelf};
use crate::judging::rule::Rule;
use crate::judging::workload::{NamespaceWork, Work};
use crate::knowledge::annotations::{self, Meant};
use crate::knowledge::proxy_config::{self, Config};

/// The rule.
pub(crate) struct AnnotationUnknown;

static META: Meta = Meta {
    id: "annotation-unknown",
    title: "An annotation or label of the mesh is misspelt or unknown, and is ignored silently",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::Workload, Need::Namespaces]],
    helps: &[],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("annotation_unknown", "doc.md"),
    fires: page!("annotation_unknown", "fires.txtar"),
    quiet: page!("annotation_unknown", "quiet.txtar"),
};

/// One name that nobody reads.
struct Mistake {
    /// As the report names it: `the annotation x`.
    what: String,
    /// What is read instead.
    right: Option<String>,
    /// As it stands in the file.
    text: String,
    change: Vec<Change>,
    /// What is to be done, in words.
    title: String,
    kind: Kind,
}

/// Faults of one kind are mended together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mended,
    /// It takes effect for the first time, and by it traffic leaves the mesh.
    Leaves,
    Unknown,
}

impl Rule for AnnotationUnknown {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let found = mistakes(workload);
        for kind in [Kind::Mended, Kind::Leaves, Kind::Unknown] {
            let some: Vec<&Mistake> = found.iter().filter(|m| m.kind == kind).collect();
            if some.is_empty() {
                continue;
            }
            let mut fault =
                Fault::new(&META, Verdict::Possible, work.subject.clone(), summary(&some));
            fault.cause = match kind {
                Kind::Mended => None,
                Kind::Leaves => Some("takes-effect"),
                Kind::Unknown => Some("nothing-like-it"),
            };
            fault.evidence.extend(some.iter().map(|m| EvidenceItem {
                source: manifest.place.to_string(),
                at: None,
                text: m.text.clone(),
            }));
            let fault = fault.because(
                "Names that the control plane does not know are passed over without a word, so what \
                 it was meant to do is not done.",
            );
            out.faults.push(fault.offer([remedy(kind, &some)]));
        }
    }

    fn namespace(&self, on: &NamespaceWork<'_>, out: &mut Judgements) {
        for (key, value) in &on.meta.labels {
            let known = annotations::namespace_label(key);
            let right = known.unwrap_or(label::NAMESPACE_INJECTION);
            let meant =
                annotations::injection_value(value).filter(|_| right == label::NAMESPACE_INJECTION);
            let wrong_value = key == label::NAMESPACE_INJECTION && meant == Some("enabled");
            // Beside the right label it does no harm.
            if known.is_none() && !wrong_value
                || known.is_some_and(|right| on.meta.labels.contains_key(right))
            {
                continue;
            }
            let now = meant.unwrap_or(value);
            let name = &on.meta.name;
            let summary = format!(
                "nobody reads the label {key}={value} of namespace {name}: what counts is {right}={now}"
            );
            let mut fault = Fault::new(&META, Verdict::Possible, on.subject.clone(), summary);
            fault.cause = Some(if known.is_some() { "namespace-label" } else { "namespace-value" });
            fault.evidence.push(EvidenceItem {
                source: on.manifest.place.to_string(),
                at: None,
                text: format!("metadata.labels: {key}: {value}"),
            });
            let change = Change::Entry {
                from: (Shelf::Labels, key.clone()),
                to: (Shelf::Labels, right.to_owned()),
                value: meant.map(str::to_owned),
            };
            let change = Change::OfNamespace { namespace: on.index, change: Box::new(change) };
            let gone = known.map(|_| format!(" {}", shell::word(&format!("{key}-"))));
            let command = format!(
                "kubectl label namespace {} {}{} --overwrite",
                shell::name(name),
                shell::word(&format!("{right}={now}")),
                gone.unwrap_or_default(),
            );
            let title = format!("write {right}: {now}");
            let remedy = Remedy::new("rename-annotation", title, vec![change]).or_by(command);
            let fault = fault.because(
                "The API server asks the injection webhook for pods of namespaces whose label is \
                 istio-injection=enabled, or istio.io/rev with a revision that is there; any other \
                 name or value selects nothing, and its pods get no sidecar.",
            );
            out.faults.push(fault.offer([remedy]));
        }
    }
}

/// What nobody reads of a pod template's labels and annotations.
fn mistakes(workload: &Workload) -> Vec<Mistake> {
    let meta = &workload.template.metadata;
    let mut config = Config::of(&meta.annotations);
    let mut found = Vec::new();
    for (shelf, map) in
        [(Shelf::PodAnnotations, &meta.annotations), (Shelf::PodLabels, &meta.labels)]
    {
        for (key, value) in map {
            let Some(meant) = annotations::misspelt(key) else { continue };
            found.push(misspelt(meta, shelf, (key, value), meant, &mut config));
        }
    }
    for wrong in config.mend() {
        let (name, right) = (&wrong.name, wrong.right);
        found.push(Mistake {
            what: format!("the field {name} in {}", annotation::PROXY_CONFIG),
            right: right.map(str::to_owned),
            text: format!("{}: {name}", annotation::PROXY_CONFIG),
            change: Vec::new(),
            title: right.map_or_else(
                || format!("take {name} out, or look its name up"),
                |right| match wrong.lifted {
                    true => format!("put {right} at the top of {}", annotation::PROXY_CONFIG),
                    false => format!("spell it {right} in {}", annotation::PROXY_CONFIG),
                },
            ),
            kind: if right.is_some() { Kind::Mended } else { Kind::Unknown },
        });
    }
    // All that concerns one annotation is one change of its text.
    if let (Some(text), Some(first)) =
        (config.changed(), found.iter_mut().find(|m| m.kind == Kind::Mended))
    {
        let value = AnnotationValue::Text(text);
        first.change.push(Change::Annotation { key: annotation::PROXY_CONFIG.into(), value });
    }
    found
}

fn misspelt(
    meta: &sunup_evidence::object::Meta,
    shelf: Shelf,
    (key, value): (&String, &String),
    meant: Meant,
    config: &mut Config,
) -> Mistake {
    let what = match shelf {
        Shelf::PodLabels => format!("the label {key}"),
        _ => format!("the annotation {key}"),
    };
    let text = format!("{key}: {value}");
    let dropped = vec![Change::Dropped { shelf, key: key.clone() }];
    match meant {
        Meant::Unknown => {
            let title = "remove it, or look its name up".to_owned();
            Mistake { what, right: None, text, change: dropped, title, kind: Kind::Unknown }
        }
        Meant::Name(name) => {
            let is_label = name == label::INJECT && shelf == Shelf::PodLabels;
            let home = if is_label { Shelf::PodLabels } else { Shelf::PodAnnotations };
            let taken = |map: &Map| map.contains_key(name);
            let taken = taken(if is_label { &meta.labels } else { &meta.annotations });
            let change = Change::Entry {
                from: (shelf, key.clone()),
                to: (home, name.to_owned()),
                value: None,
            };
            let (change, title) = match taken {
                true => (dropped, format!("remove it: {name} is there")),
                false => (vec![change], format!("spell it {name}")),
            };
            let leaves = !taken && proxy_config::takes_traffic_out(name, value);
            let kind = if leaves { Kind::Leaves } else { Kind::Mended };
            Mistake { what, right: Some(name.to_owned()), text, change, title, kind }
        }
        Meant::Field(field) => {
            let title = format!("put {field} into {}", annotation::PROXY_CONFIG);
            let right = Some(format!("the field {field} of {}", annotation::PROXY_CONFIG));
            let change = if config.is_there() {
                config.set(field, value);
                dropped
            } else {
                vec![Change::Entry {
                    from: (shelf, key.clone()),
                    to: (Shelf::PodAnnotations, annotation::PROXY_CONFIG.to_owned()),
                    value: Some(config.set(field, value)),
                }]
            };
            Mistake { what, right, text, change, title, kind: Kind::Mended }
        }
    }
}

fn summary(some: &[&Mistake]) -> String {
    let one = |m: &&Mistake| match &m.right {
        Some(right) => format!("{}, but there is {right}", m.what),
        None => m.what.clone(),
    };
    format!("no release of the mesh reads {}", some.iter().map(one).collect::<Vec<_>>().join("; "))
}

fn remedy(kind: Kind, some: &[&Mistake]) -> Remedy {
    let changes: Vec<Change> = some.iter().flat_map(|m| m.change.clone()).collect();
    let mut titles: Vec<&str> = some.iter().map(|m| m.title.as_str()).collect();
    titles.dedup();
    let title = titles.join("; ");
    if changes.is_empty() {
        let what = format!("# {title}");
        return Remedy::advice("rename-annotation", title, what);
    }
    let remedy = Remedy::new("rename-annotation", title, changes);
    match kind {
        Kind::Mended => remedy,
        Kind::Leaves => remedy.unsafe_because("traffic begins to go as it says"),
        Kind::Unknown => remedy.unsafe_because("what it was meant to do is then still not done"),
    }
}
