//! Which of several files an object of a name belongs to. Of one kind, name and namespace there may be
//! many: for each environment one, in folders of their own. They are different objects, unless a
//! cluster printed them; what one file shows is mended in that file and in no other.

use std::path::Path;
use std::sync::Arc;

use sunup_api::report::Subject;
use sunup_evidence::object::{Manifest, Origin, Workload};
use sunup_evidence::snapshot::{PodFacts, Snapshot};

use crate::judging::subject::describes;

/// Where a fault was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Home {
    /// The file of the manifest that shows it.
    file: Option<Arc<str>>,
    /// Folders of what was seen of the pod.
    near: Vec<String>,
}

impl Home {
    /// A fault that this manifest shows.
    pub(crate) fn of_manifest(manifest: &Manifest) -> Home {
        let own = match manifest.origin {
            // What a cluster printed is the object that all its files are made into.
            Origin::Export => None,
            // An overlay and its base are one object in several pieces.
            Origin::Kustomize(_) => None,
            _ => Some(Arc::clone(&manifest.place.file)),
        };
        Home { file: own, near: vec![folder(manifest)] }
    }

    /// A fault that this pod shows.
    pub(crate) fn of_pod(facts: &PodFacts) -> Home {
        let logs = facts.logs.values().flat_map(|log| &log.files);
        let events = facts.events.iter().flat_map(|run| &run.occurrences);
        let events = events.filter_map(|o| Some(&o.place.as_ref()?.file));
        let rows = facts.listed.iter().map(|row| &row.place.file);
        let labels = logs.chain(events).chain(rows).map(|label| parent(label));
        let object = facts.pod.iter().map(|(_, manifest)| folder(manifest));
        let mut near: Vec<String> = object.chain(labels).collect();
        near.sort_unstable();
        near.dedup();
        Home { file: None, near }
    }

    /// Whether two faults may be of the same object.
    pub(crate) fn may_be(&self, other: &Home) -> bool {
        match (&self.file, &other.file) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
    }

    /// How far up from where it was seen one has to go to come to a manifest: the most parts of a
    /// path that they share.
    fn nearness(&self, manifest: &Manifest) -> usize {
        let at = folder(manifest);
        let shared = |a: &str| {
            Path::new(a)
                .components()
                .zip(Path::new(&at).components())
                .take_while(|(a, b)| a == b)
                .count()
        };
        self.near.iter().map(|near| shared(near)).max().unwrap_or_default()
    }
}

/// The folder of an object's file: on disk where it is there, else as it was handed over.
fn folder(manifest: &Manifest) -> String {
    match &manifest.path {
        Some(path) => path.parent().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default(),
        None => parent(&manifest.place.file),
    }
}

fn parent(label: &str) -> String {
    label.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned())
}

/// A workload and its manifest.
pub(crate) type Found<'a> = (&'a Workload, &'a Manifest);

/// The manifest of a subject: the one of the file that shows the fault, else the one that may be
/// edited before others, and of several such the nearest. Where several are as near, all of them,
/// of which none is meant for certain.
pub(crate) fn manifests<'a>(
    subject: &Subject,
    snapshot: &'a Snapshot,
    home: &Home,
) -> Result<Option<Found<'a>>, Vec<Found<'a>>> {
    let named = snapshot.workloads_named(&subject.name).filter(|(w, _)| describes(w, subject));
    let all: Vec<Found<'a>> = named.map(|(w, m)| (&**w, m)).collect();
    if let Some(file) = &home.file
        && let Some(own) = all.iter().find(|(_, m)| m.place.file == *file)
    {
        return Ok(Some(*own));
    }
    let rank = |m: &Manifest| match (m.is_editable(), &m.origin) {
        (true, _) => 0,
        (_, Origin::Kustomize(_) | Origin::Template(_) | Origin::HelmRendered) => 1,
        _ => 2,
    };
    let Some(best) = all.iter().map(|(_, m)| rank(m)).min() else { return Ok(None) };
    let mut left: Vec<Found<'a>> = all.into_iter().filter(|(_, m)| rank(m) == best).collect();
    let first = left[0];
    let alone = |left: &[Found<'_>]| left.iter().all(|(_, m)| m.place.file == first.1.place.file);
    // Only files of the user's own are told apart.
    if best > 0 || alone(&left) {
        return Ok(Some(first));
    }
    let nearest = left.iter().map(|(_, m)| home.nearness(m)).max().unwrap_or_default();
    left.retain(|(_, m)| home.nearness(m) == nearest);
    match left.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        [one, rest @ ..] if rest.iter().all(|(_, m)| m.place.file == one.1.place.file) => {
            Ok(Some(*one))
        }
        _ => Err(left),
    }
}

/// Of objects that could belong to what a manifest describes (a Service to its pods), those that do:
/// all of its own folder; of other folders only where there is no other folder that has one, and no
/// other manifest of the same object that they could belong to as well. `Err`: those of which none is
/// sure.
pub(crate) fn joined<'a, T: Copy>(
    candidates: &[(T, &'a Manifest)],
    manifest: &Manifest,
    twins: &[&Manifest],
) -> Result<Vec<T>, Vec<&'a Manifest>> {
    let own = folder(manifest);
    let of = |at: &str| -> Vec<T> {
        candidates.iter().filter(|(_, m)| folder(m) == at).map(|(one, _)| *one).collect()
    };
    let here = of(&own);
    if !here.is_empty() {
        return Ok(here);
    }
    let mut folders: Vec<String> = candidates.iter().map(|(_, m)| folder(m)).collect();
    folders.sort_unstable();
    folders.dedup();
    let elsewhere = twins.iter().any(|twin| folder(twin) != own);
    match folders.as_slice() {
        [] => Ok(Vec::new()),
        [only] if !elsewhere => Ok(of(only)),
        // Another file of the same object has them in its own folder: they are its.
        [only] if twins.iter().any(|twin| folder(twin) == *only) => Ok(Vec::new()),
        _ => Err(candidates.iter().map(|(_, m)| *m).collect()),
    }
}

/// The same for objects of which many may belong to one (Gateways to a gateway's pods): all, unless
/// another file of the same workload could be meant; then those of its own folder.
pub(crate) fn near<'a, T>(
    candidates: impl Iterator<Item = (T, &'a Manifest)>,
    manifest: &Manifest,
    twins: &[&Manifest],
) -> Vec<T> {
    let own = folder(manifest);
    let alone = twins.iter().all(|twin| folder(twin) == own);
    let fits = |(_, m): &(T, &Manifest)| alone || folder(m) == own;
    candidates.filter(fits).map(|(one, _)| one).collect()
}

/// Other files of a workload's manifest.
pub(crate) fn twins<'a>(
    snapshot: &'a Snapshot,
    workload: &Workload,
    manifest: &Manifest,
) -> Vec<&'a Manifest> {
    let subject = sunup_evidence::subject::of_workload(workload);
    let named = snapshot.workloads_named(&workload.metadata.name);
    let same = named.filter(|(w, m)| describes(w, &subject) && m.place != manifest.place);
    same.map(|(_, m)| m).filter(|m| m.origin != Origin::Export).collect()
}
