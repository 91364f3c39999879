//! What makes pods, as a rule sees it: the manifest, and what was said of it and of the objects
//! between it and its pods (ReplicaSets, Jobs).

use std::collections::BTreeMap;

use jiff::Timestamp;
use sunup_api::report::Subject;
use sunup_evidence::object::{Condition, Manifest, Meta as ObjectMeta, Workload};
use sunup_evidence::shape::Sidecar;
use sunup_evidence::snapshot::{EventRun, Snapshot};
use sunup_evidence::subject;
use sunup_evidence::time::parse;

use crate::judging::mesh::{Mesh, Version, Versions};
use crate::judging::meta::Meta;
use crate::judging::pod::Case;
use crate::judging::texts::{From, Listener, Said};

/// What the pods of a workload show, as far as they were handed over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Whether all that have a sidecar have a native one.
    pub(crate) native: Option<bool>,
    /// When the newest one was made.
    pub(crate) newest: Option<Timestamp>,
    /// Their proxies' version, the oldest.
    istio: Option<Version>,
}

impl Seen {
    pub(crate) fn add(&mut self, case: &Case<'_>) {
        if let is @ (Sidecar::Native | Sidecar::Classic) = case.shape.sidecar {
            self.native = Some(is == Sidecar::Native && self.native != Some(false));
        }
        let made = case.pod().and_then(|p| parse(p.metadata.creation_timestamp.as_deref()));
        self.newest = self.newest.max(made);
        self.istio = self.istio.into_iter().chain(case.versions.istio).min();
    }
}

/// One object that makes pods.
pub(crate) struct Work<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) mesh: &'a Mesh,
    pub(crate) subject: Subject,
    /// Its manifest or object, where one was handed over.
    pub(crate) manifest: Option<(&'a Workload, &'a Manifest)>,
    /// Its pods.
    pub(crate) pods: Seen,
    listener: &'a Listener,
    said: Vec<Said<'a>>,
}

impl<'a> Work<'a> {
    /// Versions as its pods show them, else as the mesh does.
    pub(crate) fn versions(&self) -> Versions {
        let mesh = self.mesh.versions;
        Versions { istio: self.pods.istio.or(mesh.istio), ..mesh }
    }

    /// What was said of it and this rule wants, but for what has healed: events of the time before
    /// its newest pod was made.
    pub(crate) fn said(&self, meta: &'static Meta) -> impl Iterator<Item = &Said<'a>> {
        let newest = self.pods.newest;
        let healed = move |s: &Said<'_>| {
            s.from == From::Event && s.last.is_some_and(|last| newest.is_some_and(|n| n >= last))
        };
        self.listener.wanted_by(meta, &self.said).filter(move |s| !healed(s))
    }
}

/// One Namespace.
pub(crate) struct NamespaceWork<'a> {
    /// Its place in the snapshot.
    pub(crate) index: usize,
    pub(crate) meta: &'a ObjectMeta,
    pub(crate) manifest: &'a Manifest,
    pub(crate) subject: Subject,
}

/// Every Namespace that was handed over, unless one workload or pod was asked for.
pub(crate) fn namespaces(snapshot: &Snapshot) -> impl Iterator<Item = NamespaceWork<'_>> {
    let scope = &snapshot.scope;
    let all = snapshot.namespaces.iter().enumerate();
    let wanted = all.filter(|(_, (meta, _))| {
        scope.workload.is_none()
            && scope.pod.is_none()
            && scope.admits_object(Some(meta.name.as_str()), None)
    });
    wanted.map(|(index, (meta, manifest))| NamespaceWork {
        index,
        meta,
        manifest,
        subject: Subject {
            namespace: Some(meta.name.clone()),
            kind: "Namespace".to_owned(),
            name: meta.name.clone(),
            ..Subject::default()
        },
    })
}

/// A namespace, where it was handed over.
pub(crate) fn namespace<'a>(snapshot: &'a Snapshot, name: Option<&str>) -> Option<&'a ObjectMeta> {
    snapshot.namespace_named(name?)
}

type Key<'a> = (&'a str, &'a str);

/// Everything that makes pods, in the order of the snapshot; last what only events name.
pub(crate) fn all<'a>(
    snapshot: &'a Snapshot,
    mesh: &'a Mesh,
    listener: &'a Listener,
) -> Vec<Work<'a>> {
    let scope = &snapshot.scope;
    let mut events: BTreeMap<Subject, Vec<Said<'a>>> = BTreeMap::new();
    for run in &snapshot.events {
        if let (Some(said), Some(name)) = (listener.event(run), run.event.name.as_deref()) {
            events.entry(owner(run, name, snapshot)).or_default().push(said);
        }
    }
    let mut works = Vec::new();
    let mut by_name: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
    for (workload, manifest) in &snapshot.workloads {
        // A ReplicaSet of a Deployment repeats what the Deployment says.
        let owned = !workload.metadata.owner_references.is_empty();
        let subject = subject::of_workload(workload);
        if owned {
            let of = |said| (topmost(workload, &subject, snapshot), said);
            let said = conditions(workload, manifest, listener).map(of);
            said.for_each(|(owner, said)| events.entry(owner).or_default().push(said));
            continue;
        }
        if !wanted(&subject, snapshot) {
            continue;
        }
        by_name.entry((&workload.kind, &workload.metadata.name)).or_default().push(works.len());
        let said = conditions(workload, manifest, listener).collect();
        works.push(Work {
            snapshot,
            mesh,
            subject,
            manifest: Some((workload, manifest)),
            pods: Seen::default(),
            listener,
            said,
        });
    }
    for (subject, said) in events {
        let known = by_name.get(&(subject.kind.as_str(), subject.name.as_str()));
        let home = known.into_iter().flatten().find(|i| {
            let ns = &works[**i].subject.namespace;
            ns.is_none() || subject.namespace.is_none() || *ns == subject.namespace
        });
        match home {
            Some(i) => {
                let work: &mut Work<'_> = &mut works[*i];
                work.subject.namespace = work.subject.namespace.take().or(subject.namespace);
                work.said.extend(said);
            }
            None if wanted(&subject, snapshot) && scope.pod.is_none() => {
                works.push(Work {
                    snapshot,
                    mesh,
                    subject,
                    manifest: None,
                    pods: Seen::default(),
                    listener,
                    said,
                });
            }
            None => {}
        }
    }
    works
}

fn conditions<'a>(
    workload: &'a Workload,
    manifest: &'a Manifest,
    listener: &'a Listener,
) -> impl Iterator<Item = Said<'a>> {
    let of = move |c: &'a Condition| {
        listener.status(c.message.as_deref(), c.reason.as_deref(), None, &manifest.place)
    };
    workload.conditions.iter().filter_map(of)
}

/// The topmost owner of a ReplicaSet or a Job.
fn topmost(workload: &Workload, subject: &Subject, snapshot: &Snapshot) -> Subject {
    let ns = subject.namespace.as_deref();
    let (kind, name) = subject::topmost(&subject.kind, &workload.metadata.name, ns, snapshot);
    Subject { kind, name, ..subject.clone() }
}

fn wanted(subject: &Subject, snapshot: &Snapshot) -> bool {
    let scope = &snapshot.scope;
    scope.admits_object(subject.namespace.as_deref(), None)
        && scope.workload.as_ref().is_none_or(|(_, n)| *n == subject.name)
}

/// The topmost owner of the object that an event is about.
fn owner(run: &EventRun, name: &str, snapshot: &Snapshot) -> Subject {
    let e = &run.event;
    let (kind, name) = subject::topmost(&e.kind, name, e.namespace.as_deref(), snapshot);
    Subject { namespace: e.namespace.clone(), kind, name, ..Subject::default() }
}
