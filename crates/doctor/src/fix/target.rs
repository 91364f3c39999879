//! What is edited: the object of a subject, in the file that may be edited before others.

use sunup_api::report::Subject;
use sunup_evidence::object::{Manifest, Origin, Workload};
use sunup_evidence::snapshot::Snapshot;
use sunup_yaml::{DocEdit, Segment};

use crate::judging::subject::describes;

/// An object in a file, as something to edit.
pub(crate) struct Target<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) edits: Vec<DocEdit>,
}

/// The manifest of a subject, the one that may be edited before others.
pub(crate) fn workload_of<'a>(
    subject: &Subject,
    snapshot: &'a Snapshot,
) -> Option<(&'a Workload, &'a Manifest)> {
    let all = snapshot.workloads_named(&subject.name).filter(|(w, _)| describes(w, subject));
    let rank = |m: &Manifest| match (m.is_editable(), &m.origin) {
        (true, _) => 0,
        (_, Origin::Kustomize(_) | Origin::Template(_) | Origin::HelmRendered) => 1,
        _ => 2,
    };
    all.min_by_key(|(_, m)| rank(m)).map(|(w, m)| (&**w, m))
}

/// Where an object stands in its document: at its root, or among a list's items.
pub(crate) fn item_prefix(manifest: &Manifest) -> Vec<Segment> {
    let item = manifest.item.map(|i| [Segment::from("items"), Segment::from(i)]);
    item.into_iter().flatten().collect()
}
