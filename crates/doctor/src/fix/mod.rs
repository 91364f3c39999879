//! From a remedy to an edit of the user's own file, a patch, or a command that works as printed.
//!
//! Pure: the text of a file comes with its manifest, the edited text goes out as a diff and as
//! edits that the caller applies. What must not be edited (templates, exports, archives) gets the
//! patch instead.

mod change;
pub(crate) mod command;
mod diff;
pub(crate) mod owner;
pub(crate) mod remedies;
mod target;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use sunup_api::report::{Fix, Safety, Subject};
use sunup_evidence::object::Origin;
use sunup_evidence::snapshot::Snapshot;
use sunup_yaml::{DocEdit, Limits, Marks};

pub use self::diff::unified;
use self::diff::{LINE_MAX, unified_at};
use self::target::{Target, item_prefix};
use crate::judging::home::{self, Home};
use crate::judging::remedy::Remedy;

/// Edits of one file that carry out one fix.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEdit {
    /// The finding's place in the report.
    pub finding: usize,
    /// The fix's id.
    pub fix_id: String,
    /// Whether `--fix` applies it unasked.
    pub safety: Safety,
    /// The file on disk.
    pub path: PathBuf,
    /// The file as the report calls it.
    pub label: String,
    /// The text that the edits were made for: where the file differs by now, it is left alone.
    pub before: Arc<str>,
    /// What to change.
    pub edits: Vec<DocEdit>,
    /// Whether the file has it already: nothing is left to write.
    pub already_there: bool,
}

/// Where documents stand in the texts that are edited: found once for all fixes of a text, of which
/// there may be thousands. The texts live as long as the snapshot that holds them.
#[derive(Debug, Default)]
pub(crate) struct Texts(HashMap<usize, Marks>);

impl Texts {
    fn marks(&mut self, text: &Arc<str>, sound: bool) -> &Marks {
        let marks = || if sound { Marks::of(text) } else { Marks::of_any(text) };
        self.0.entry(Arc::as_ptr(text).addr()).or_insert_with(marks)
    }
}

/// Ties a remedy to the manifest of its subject, or else to a command for the cluster.
pub(crate) fn realise(
    remedy: &Remedy,
    subject: &Subject,
    home: &Home,
    snapshot: &Snapshot,
    finding: usize,
    texts: &mut Texts,
) -> (Fix, Vec<FileEdit>) {
    let mut fix = Fix {
        id: remedy.id.to_owned(),
        title: remedy.title.clone(),
        safety: remedy.safety,
        target: None,
        diff: None,
        patch_type: None,
        patch: None,
        command: remedy.advice.clone(),
    };
    if remedy.changes.is_empty() {
        return (fix, Vec::new());
    }
    if let Some(target) = change::object_target(&remedy.changes, snapshot) {
        let edits = into_file(&mut fix, remedy, &target, finding, texts);
        return (fix, edits);
    }
    let found = home::manifests(subject, snapshot, home);
    let workload = found.as_ref().copied().unwrap_or_default();
    let carries = workload.map_or_else(|| owner::of_kind(&subject.kind), |(w, _)| owner::of(w));
    let existing = match workload {
        // Its own annotations become its pods'.
        Some((w, _)) if carries.metadata == Some(&["metadata"]) => w.metadata.annotations.clone(),
        Some((w, _)) => w.template.metadata.annotations.clone(),
        None => remedy.live_annotations.clone(),
    };
    let workload_alone = workload.map(|w| w.0);
    let patch = change::patch(&remedy.changes, carries, &existing, workload_alone);
    let Some(patch) = patch else {
        // No field of this kind is known to become what the pods need: the words must do.
        let pod = owner::of_kind("Pod");
        let pod = change::patch(&remedy.changes, pod, &existing, workload_alone);
        fix.safety = Safety::Unsafe;
        fix.target = Some(command::object_name(subject));
        fix.command = Some(command::in_words(subject, &pod.unwrap_or_default()));
        return (fix, Vec::new());
    };
    fix.patch_type = Some(command::patch_type(&subject.kind));
    fix.patch = Some(patch.clone());
    fix.target = Some(command::object_name(subject));
    fix.command = Some(command::patch(subject, &patch));
    if let Err(several) = &found {
        let files: Vec<&str> = several.iter().map(|(_, m)| &*m.place.file).collect();
        fix.title = format!(
            "{} — {} describe it and nothing says which of them is meant: put the patch into that one",
            fix.title,
            files.join(" and ")
        );
        return (fix, Vec::new());
    }
    let Some((workload, manifest)) = workload else {
        // Which of several templates makes this workload can't be told before they are rendered.
        if let [template, rest @ ..] = snapshot.templates.as_slice() {
            let more = if rest.is_empty() { "" } else { " or its neighbours" };
            fix.title = format!(
                "{} — {template}{more} is a Helm template: put the patch into it or its values",
                fix.title
            );
        }
        return (fix, Vec::new());
    };
    let object = item_prefix(manifest);
    let edits = change::edits(&remedy.changes, manifest.document, &object, workload);
    // The patch has shown that each change has its place.
    let edits = edits.unwrap_or_default();
    let target = Target { manifest, edits };
    let edits = into_file(&mut fix, remedy, &target, finding, texts);
    if fix.diff.is_some() || edits.iter().any(|e| e.already_there) {
        fix.command = Some(command::apply(subject, &manifest.place.file));
    }
    (fix, edits)
}

/// Fills in diff and target, or says why the file is left alone.
fn into_file(
    fix: &mut Fix,
    remedy: &Remedy,
    target: &Target<'_>,
    finding: usize,
    texts: &mut Texts,
) -> Vec<FileEdit> {
    let manifest = target.manifest;
    let label = manifest.place.file.to_string();
    let why_not = match &manifest.origin {
        Origin::Plain => None,
        Origin::Export => return Vec::new(),
        Origin::Template(line) => Some(format!(
            "{label} is a Helm template (line {line}): put the patch into it or its values by hand"
        )),
        Origin::HelmRendered => Some(format!(
            "{label} was rendered by Helm: change the chart's values, or the next rendering undoes it"
        )),
        Origin::Kustomize(file) => Some(format!(
            "{label} is part of the kustomization {file}: add the patch there under `patches`"
        )),
        Origin::NotAFile => Some(format!("{label} can't be written to: apply the patch instead")),
    };
    if let Some(why) = why_not {
        fix.title = format!("{} — {why}", fix.title);
        fix.target = Some(label);
        return Vec::new();
    }
    let (Some(before), Some(path)) = (&manifest.text, &manifest.path) else { return Vec::new() };
    // Of a file of many objects only the one that is edited is read again.
    let marks = texts.marks(before, manifest.sound);
    let edited = marks.edit(before, &target.edits, &Limits::default());
    match edited {
        Ok(edited) => {
            fix.target = Some(label.clone());
            let already_there = edited.text == before[edited.range.clone()];
            if already_there {
                fix.title = format!("{} — {label} has it already: restart the workload", fix.title);
            } else {
                fix.diff = unified_at(before, &edited, &label);
                if fix.diff.is_none() {
                    fix.title = format!(
                        "{} — it is not drawn: the change is within a line of more than {} KiB",
                        fix.title,
                        LINE_MAX >> 10
                    );
                }
            }
            vec![FileEdit {
                finding,
                fix_id: remedy.id.to_owned(),
                safety: remedy.safety,
                path: path.clone(),
                label,
                before: before.clone(),
                edits: target.edits.clone(),
                already_there,
            }]
        }
        Err(why) => {
            fix.title = format!("{} — {label} is left alone: {why}", fix.title);
            fix.target = Some(label);
            Vec::new()
        }
    }
}
