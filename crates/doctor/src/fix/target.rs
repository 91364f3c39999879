//! What is edited: the object of a subject, in the file that may be edited before others.

use sunup_evidence::object::Manifest;
use sunup_yaml::{DocEdit, Segment};

/// An object in a file, as something to edit.
pub(crate) struct Target<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) edits: Vec<DocEdit>,
}

/// Where an object stands in its document: at its root, or among a list's items.
pub(crate) fn item_prefix(manifest: &Manifest) -> Vec<Segment> {
    let item = manifest.item.map(|i| [Segment::from("items"), Segment::from(i)]);
    item.into_iter().flatten().collect()
}
