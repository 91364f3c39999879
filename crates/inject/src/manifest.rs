//! Manifests in, the same manifests with injected pod templates out.
//!
//! What is not injected comes out byte for byte. In what is, only the fields that change are
//! written; comments, order and quoting of the rest stay. Where a place can't be edited without
//! changing another (anchors, aliases, merge keys), the document is written anew, and a warning
//! says so.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use serde_json::{Map, Value};
use sunup_yaml::{DocEdit, Document, Edited, Limits, Marks, Op, Segment};

use crate::decide::{Decision, Subject};
use crate::injector::{Context, Injector};
use crate::reason::Reason;
use crate::settings::ProxyKind;
use crate::splice::Splicer;
use crate::template::to_yaml;
use crate::value::{at, scalar, text_at};
use crate::workload::{Template, walk};
use crate::yaml;

/// Namespaces whose labels are known, because they are among the manifests.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    known: BTreeMap<String, Namespace>,
    assumed: Option<Namespace>,
    /// Namespaces whose PeerAuthentication takes nothing but mTLS.
    strict: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
struct Namespace {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// One pod template, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Line of the object, from 1.
    pub line: u64,
    /// `Deployment`.
    pub kind: String,
    /// Empty where nothing says it.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Yes or no, and why.
    pub decision: Decision,
    /// Choices made in the injection; empty where there was none.
    pub reasons: Vec<Reason>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        f.write_str("/")?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// A text, injected.
#[derive(Debug, Clone, PartialEq)]
pub struct Injected {
    /// The manifests.
    pub text: String,
    /// One entry per pod template, in their order.
    pub verdicts: Vec<Verdict>,
}

/// Why a text can't be injected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ManifestError {
    /// Line, from 1.
    pub line: u64,
    /// Which object, as in `Deployment/shop/web`; empty where none could be read.
    pub subject: String,
    /// The reason.
    pub why: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subject.is_empty() {
            return f.write_str(&self.why);
        }
        write!(f, "{}: {}", self.subject, self.why)
    }
}

impl Namespaces {
    /// Notes the Namespaces of a text; what can't be read is left to [`inject`].
    pub fn learn(&mut self, text: &str) {
        // Most files have none, and then need not be read twice.
        if !text.contains("Namespace") && !text.contains("PeerAuthentication") {
            return;
        }
        for document in sunup_yaml::read_values(text, &Limits::default()).documents {
            let mut found = Vec::new();
            walk(&document.value, &mut Vec::new(), &mut found);
            for namespace in found {
                let strings = |key| {
                    let map = at(namespace.value, &["metadata", key]).and_then(Value::as_object);
                    let entries = map.into_iter().flatten();
                    entries
                        .filter_map(|(k, v)| Some((k.clone(), scalar(v)?.into_owned())))
                        .collect()
                };
                let known =
                    Namespace { labels: strings("labels"), annotations: strings("annotations") };
                self.known.insert(namespace.name.to_owned(), known);
            }
            self.learn_mtls(&document.value);
        }
    }

    fn learn_mtls(&mut self, object: &Value) {
        for item in crate::value::list_at(object, &["items"]) {
            self.learn_mtls(item);
        }
        let text = |path: &[&str]| text_at(object, path);
        // One with a selector speaks of some workloads only.
        let all = at(object, &["spec", "selector"]).is_none();
        let strict = text(&["spec", "mtls", "mode"]) == Some("STRICT");
        if text(&["kind"]) == Some("PeerAuthentication") && all && strict {
            let namespace = text(&["metadata", "namespace"]).unwrap_or_default();
            self.strict.insert(namespace.to_owned());
        }
    }

    /// Labels of every namespace that is not among the manifests.
    pub fn assume(&mut self, labels: BTreeMap<String, String>) {
        self.assumed = Some(Namespace { labels, annotations: BTreeMap::new() });
    }

    fn get(&self, name: &str) -> Option<&Namespace> {
        self.known.get(name).or(self.assumed.as_ref())
    }
}

/// Injects the pod templates of a text.
///
/// # Errors
/// The first thing that can't be read or injected; nothing is written then.
pub fn inject(
    injector: &Injector,
    text: &str,
    namespaces: &Namespaces,
) -> Result<Injected, ManifestError> {
    if let Some(line) = template_line(text) {
        return Err(ManifestError {
            line,
            subject: String::new(),
            why: "this is a template ({{ … }}), not a manifest: render it first (helm template …) \
                  and hand over the result"
                .to_owned(),
        });
    }
    let stream = sunup_yaml::read(text, &Limits::default());
    if let Some(error) = stream.errors.first() {
        let why = format!("column {}: {}", error.column, error.why);
        return Err(ManifestError { line: error.line, subject: String::new(), why });
    }
    let mut job = Job { injector, namespaces, text, edits: Vec::new(), verdicts: Vec::new() };
    for document in &stream.documents {
        job.document(document)?;
    }
    let text = job.write(&stream.documents);
    Ok(Injected { text, verdicts: job.verdicts })
}

/// The line that makes a text a template: only where it isn't YAML as it stands, since `{{` also
/// occurs in scripts and annotations.
fn template_line(text: &str) -> Option<u64> {
    let line = sunup_yaml::is_template(text)?;
    let errors = sunup_yaml::read_values(text, &Limits::default()).errors;
    (!errors.is_empty()).then_some(line)
}

/// A place of a document, and its new value.
type Change = (Vec<Segment>, Value);

/// What changes in one document.
struct DocumentEdits {
    index: usize,
    /// Where the document changes.
    paths: Vec<Vec<Segment>>,
    /// The document's value when all is done.
    value: Value,
    first_verdict: usize,
    /// The document's new text and where the old one ends, where the quick way could write it.
    quick: Option<(String, usize)>,
}

struct Job<'a> {
    injector: &'a Injector,
    namespaces: &'a Namespaces,
    text: &'a str,
    edits: Vec<DocumentEdits>,
    verdicts: Vec<Verdict>,
}

impl Job<'_> {
    fn document(&mut self, document: &Document) -> Result<(), ManifestError> {
        let mut templates = Vec::new();
        walk(&document.value, &mut templates, &mut Vec::new());
        let first_verdict = self.verdicts.len();
        let mut changes = Vec::new();
        for template in &templates {
            changes.extend(self.template(document, template)?);
        }
        if !changes.is_empty() {
            let mut value = document.value.clone();
            let mut paths = Vec::with_capacity(changes.len());
            for (path, new) in changes {
                set(&mut value, &path, new);
                paths.push(path);
            }
            let quick = self.quick(document, &paths, &value);
            let index = document.index;
            self.edits.push(DocumentEdits { index, paths, value, first_verdict, quick });
        }
        Ok(())
    }

    /// Decides on one template, and says what changes in it.
    fn template(
        &mut self,
        document: &Document,
        template: &Template<'_>,
    ) -> Result<Vec<Change>, ManifestError> {
        let settings = self.injector.settings();
        let istio = settings.options.proxy == ProxyKind::Istio || settings.options.istio_compat;
        let namespace = self.namespaces.get(template.namespace());
        let seen = template.seen();
        let decision = self.injector.decide(&Subject {
            namespace: template.namespace(),
            namespace_labels: namespace.map(|n| &n.labels),
            pod: &seen,
        });
        let line = document.span_of(&template.object).map_or(document.span.line, |s| s.line);
        let mut verdict = Verdict {
            line,
            kind: template.kind().to_owned(),
            namespace: template.namespace().to_owned(),
            name: template.name().to_owned(),
            decision,
            reasons: Vec::new(),
        };
        let mut changes = Vec::new();
        if verdict.decision.inject {
            let pod = if template.metadata_path(istio) == template.metadata_path(false) {
                seen
            } else {
                template.pod(istio)
            };
            let context = Context {
                owner: Some(template.owner.clone()),
                native: None,
                namespace_annotations: namespace.map(|n| &n.annotations),
                env: None,
                asked_again: false,
            };
            let (mut injected, reasons) = self.injector.injected(&pod, &context).map_err(|e| {
                ManifestError { line, subject: verdict.to_string(), why: e.to_string() }
            })?;
            verdict.reasons = reasons;
            if settings.options.proxy == ProxyKind::Sunup && self.is_strict(&verdict.namespace) {
                verdict.reasons.push(Reason::warning(
                    "PeerAuthentication STRICT takes nothing but mTLS, which Sunup's proxy \
                     doesn't speak yet: its peers can't talk to it (use --proxy istio)",
                ));
            }
            for (part, path) in
                [("metadata", template.metadata_path(istio)), ("spec", template.spec_path())]
            {
                let new = injected.get_mut(part).map(Value::take).unwrap_or_default();
                if pod.get(part) != Some(&new) {
                    let below = path.iter().map(|key| Segment::from(*key));
                    changes.push((template.object.iter().cloned().chain(below).collect(), new));
                }
            }
        }
        self.verdicts.push(verdict);
        Ok(changes)
    }

    /// Whether mTLS is demanded in a namespace, by itself or by the mesh's root namespace.
    fn is_strict(&self, namespace: &str) -> bool {
        let root = text_at(&self.injector.settings().mesh, &["rootNamespace"]);
        let strict = &self.namespaces.strict;
        strict.contains(namespace) || root.is_some_and(|root| strict.contains(root))
    }

    /// The document's new text by the quick way, read back and found to mean what it should.
    fn quick(
        &self,
        document: &Document,
        changed: &[Vec<Segment>],
        value: &Value,
    ) -> Option<(String, usize)> {
        let own = &self.text[document.span.start..document.span.end];
        if own.starts_with('{') {
            return json(own, value).map(|text| (text, document.span.end));
        }
        let mut splicer = Splicer::new(self.text, document)?;
        // A missing parent is written by the map that will hold it, with all that is below.
        let mut paths: Vec<Vec<Segment>> = Vec::new();
        for path in changed {
            let mut path = path.clone();
            while get(&document.value, &path).is_none() {
                path.pop()?;
            }
            paths.push(path);
        }
        paths.sort_by_key(Vec::len);
        let mut known: HashSet<&[Segment]> = HashSet::with_capacity(paths.len());
        for path in &paths {
            if (0..=path.len()).any(|depth| known.contains(&path[..depth])) {
                continue;
            }
            known.insert(path);
            let (old, new) = (get(&document.value, path)?, get(value, path)?);
            splicer.set(&mut path.clone(), old, new)?;
        }
        let (text, end) = splicer.finish()?;
        (yaml::value(&text).as_ref() == Ok(value)).then_some((text, end))
    }

    /// All edits of a text in which documents can't be told apart by their marks, where the quick
    /// way did not do for each.
    fn together(&self) -> Option<String> {
        let quick = self.edits.iter().all(|edits| edits.quick.is_some());
        let paths = self.edits.iter().map(|edits| edits.paths.len()).sum::<usize>();
        if quick || paths > CAREFUL_EDITS_MAX || self.text.len() > CAREFUL_BYTES_MAX {
            return None;
        }
        let edits: Vec<Vec<DocEdit>> = self.edits.iter().map(doc_edits).collect::<Option<_>>()?;
        sunup_yaml::edit(self.text, &edits.concat(), &Limits::default()).ok()
    }

    /// The whole text with all edits. What the quick way couldn't write is edited with care, and
    /// what can't be edited at all is written anew.
    fn write(&mut self, documents: &[Document]) -> String {
        let marks = Marks::of(self.text);
        if !marks.tell()
            && let Some(text) = self.together()
        {
            return text;
        }
        let mut out = String::with_capacity(self.text.len());
        let mut at = 0;
        for edits in &self.edits {
            let found = documents.binary_search_by_key(&edits.index, |d| d.index);
            let Some(span) = found.ok().map(|found| documents[found].span) else { continue };
            let (range, text) = match &edits.quick {
                Some((text, end)) => (span.start..*end, text.clone()),
                None => match edited(&marks, self.text, edits) {
                    Some(edited) => (edited.range, edited.text),
                    None => {
                        if let Some(verdict) = self.verdicts.get_mut(edits.first_verdict) {
                            verdict.reasons.push(Reason::warning(
                                "the document was written anew, without its comments: an anchor, \
                                 alias or merge key stands where the injection had to write",
                            ));
                        }
                        let anew = to_yaml(&edits.value);
                        let open = self.text[span.end..].starts_with('\n');
                        let anew = if open { anew.trim_end().to_owned() } else { anew };
                        (span.start..span.end, anew)
                    }
                },
            };
            out.push_str(self.text.get(at..range.start).unwrap_or_default());
            out.push_str(&text);
            at = range.end;
        }
        out.push_str(&self.text[at..]);
        out
    }
}

fn get<'v>(value: &'v Value, path: &[Segment]) -> Option<&'v Value> {
    path.iter().try_fold(value, |v, s| match s {
        Segment::Key(key) => v.get(key),
        Segment::Index(i) => v.get(*i),
    })
}

/// A JSON document anew, in its own style; `None` where it is YAML in braces.
fn json(was: &str, value: &Value) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(was).ok()?;
    let text = if was.contains('\n') {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    text.ok()
}

/// Beyond this many edits the careful way, which reads the document after each of its steps, takes
/// longer than anybody waits.
const CAREFUL_EDITS_MAX: usize = 8;
const CAREFUL_BYTES_MAX: usize = 1 << 20;

/// What changes in a document, as edits.
fn doc_edits(document: &DocumentEdits) -> Option<Vec<DocEdit>> {
    let edit = |path: &Vec<Segment>| {
        let value = get(&document.value, path)?.clone();
        Some(DocEdit { document: document.index, op: Op::Set { path: path.clone(), value } })
    };
    document.paths.iter().map(edit).collect()
}

fn edited(marks: &Marks, text: &str, document: &DocumentEdits) -> Option<Edited> {
    let long = marks.range(document.index, text).len() > CAREFUL_BYTES_MAX;
    if long || document.paths.len() > CAREFUL_EDITS_MAX {
        return None;
    }
    marks.edit(text, &doc_edits(document)?, &Limits::default()).ok()
}

fn set(root: &mut Value, path: &[Segment], new: Value) {
    let mut slot = root;
    for segment in path {
        let next = match segment {
            Segment::Key(key) => {
                if slot.is_null() {
                    *slot = Value::Object(Map::new());
                }
                slot.as_object_mut().map(|m| m.entry(key.clone()).or_insert(Value::Null))
            }
            Segment::Index(i) => slot.as_array_mut().and_then(|a| a.get_mut(*i)),
        };
        let Some(next) = next else { return };
        slot = next;
    }
    *slot = new;
}
