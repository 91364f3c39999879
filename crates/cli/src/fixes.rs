//! Fixes into files: chooses one for each finding and has the manifests edited.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use sunup_api::report::{Finding, Safety, Verdict};
use sunup_api::show;
use sunup_doctor::report::Seen;
use sunup_doctor::{Diagnosis, FileEdit};
use sunup_yaml::{DocEdit, Op, Segment};

use crate::apply::{Outcome, edit_file};

/// What came of `--fix`.
pub(crate) struct Fixed {
    /// The diffs and what became of each file, styled.
    pub(crate) text: String,
    /// Said after the report, on standard error.
    pub(crate) notes: Vec<String>,
    /// How many files were edited.
    pub(crate) files: usize,
    /// Findings whose fix is in place.
    done: HashSet<usize>,
}

impl Fixed {
    /// What is left, where the evidence can't be judged a second time: what was only possible by
    /// the manifests is no longer so, what was observed stays observed.
    pub(crate) fn settle(&self, diagnosis: &mut Diagnosis, seen: &mut Seen) {
        let mut settled = BTreeSet::new();
        let mut kept = Vec::new();
        for (index, finding) in
            std::mem::take(&mut diagnosis.report.findings).into_iter().enumerate()
        {
            let done = self.done.contains(&index);
            if done && finding.verdict == Verdict::Possible {
                continue;
            }
            if done {
                settled.insert(kept.len());
            }
            kept.push(finding);
        }
        diagnosis.report.findings = kept;
        // Both name findings by their place, which has changed.
        diagnosis.edits.clear();
        seen.editable.clear();
        seen.settled = settled;
    }
}

/// Applies the first safe fix of each finding, or the one that is `wanted`, to files among `named`.
pub(crate) fn apply(diagnosis: &Diagnosis, wanted: Option<&str>, named: &[PathBuf]) -> Fixed {
    let mut fixed =
        Fixed { text: String::new(), notes: Vec::new(), files: 0, done: HashSet::new() };
    let mut files: BTreeMap<&std::path::Path, Vec<&FileEdit>> = BTreeMap::new();
    let mut of_finding: HashMap<usize, Vec<&FileEdit>> = HashMap::new();
    for edit in &diagnosis.edits {
        of_finding.entry(edit.finding).or_default().push(edit);
    }
    for (index, finding) in diagnosis.report.findings.iter().enumerate() {
        let Some(fix) = choose(finding, wanted) else { continue };
        let edits = of_finding.remove(&index).unwrap_or_default();
        for edit in edits.into_iter().filter(|edit| edit.fix_id == fix) {
            files.entry(&edit.path).or_default().push(edit);
        }
    }
    if let Some(wanted) = wanted {
        fixed.notes.extend(unoffered(diagnosis, wanted));
    }
    for (path, edits) in files {
        let label = &edits[0].label;
        let mut all: Vec<DocEdit> = Vec::new();
        let mut known: HashMap<(usize, &[Segment]), Vec<usize>> = HashMap::new();
        for edit in edits.iter().flat_map(|edit| &edit.edits) {
            // Only what writes the same place can be the same edit.
            let alike = known.entry((edit.document, edit.op.path())).or_default();
            if !alike.iter().any(|at| all[*at] == *edit) {
                alike.push(all.len());
                all.push(given_way(edit, &all));
            }
        }
        let outcome =
            edit_file(path, label, named, &all, |text| text == edits[0].before.as_bytes());
        fixed.tell(label, &outcome);
        if !matches!(outcome, Outcome::LeftAlone { .. }) {
            fixed.done.extend(edits.iter().map(|edit| edit.finding));
        }
    }
    fixed
}

/// The edit, as it is after those before it: what would go to a place that one of them fills just goes,
/// as it would in a second run.
fn given_way(edit: &DocEdit, before: &[DocEdit]) -> DocEdit {
    let filled = |goal: &[Segment]| {
        before.iter().any(|other| {
            other.document == edit.document
                && matches!(&other.op, Op::Set { path, .. } if path == goal)
        })
    };
    let gone = match &edit.op {
        Op::Move { to, .. } => filled(to),
        Op::Rename { path, key } => path.split_last().is_some_and(|(_, parents)| {
            filled(&[parents, &[Segment::from(key.as_str())]].concat())
        }),
        _ => false,
    };
    let op = if gone { Op::Prune { path: edit.op.path().to_vec() } } else { edit.op.clone() };
    DocEdit { document: edit.document, op }
}

/// The id of the fix to apply.
fn choose<'a>(finding: &'a Finding, wanted: Option<&str>) -> Option<&'a str> {
    let fix = match wanted {
        Some(id) => finding.fixes.iter().find(|fix| fix.id == id),
        None => finding.fixes.iter().find(|fix| fix.safety == Safety::Safe),
    };
    fix.map(|fix| fix.id.as_str())
}

/// Says so where no finding offers the fix that was asked for.
fn unoffered(diagnosis: &Diagnosis, wanted: &str) -> Option<String> {
    let fixes = || diagnosis.report.findings.iter().flat_map(|finding| &finding.fixes);
    if diagnosis.report.findings.is_empty() || fixes().any(|fix| fix.id == wanted) {
        return None;
    }
    let mut offered: Vec<&str> = fixes().map(|fix| fix.id.as_str()).collect();
    offered.sort_unstable();
    offered.dedup();
    Some(match offered.as_slice() {
        [] => format!("no finding has a fix `{wanted}`, nor any other"),
        _ => format!("no finding has a fix `{wanted}`; there are: {}", offered.join(", ")),
    })
}

impl Fixed {
    fn tell(&mut self, label: &str, outcome: &Outcome) {
        let bold = Style::new().bold();
        let label = show::line(label);
        match outcome {
            Outcome::Edited(diff) => {
                self.files += 1;
                let green = bold.fg_color(Some(AnsiColor::Green.into()));
                let _ = writeln!(self.text, "{green}edited{green:#} {bold}{label}{bold:#}\n");
                self.diff(diff);
            }
            Outcome::Unchanged => {
                let _ = writeln!(self.text, "{bold}{label}{bold:#} has the fix already\n");
            }
            Outcome::LeftAlone { why, diff } => {
                let yellow = bold.fg_color(Some(AnsiColor::Yellow.into()));
                let _ = writeln!(
                    self.text,
                    "{yellow}left alone{yellow:#} {bold}{label}{bold:#}: {}\n",
                    show::line(why)
                );
                self.diff(diff.as_deref().unwrap_or_default());
            }
        }
    }

    fn diff(&mut self, diff: &str) {
        for line in diff.lines() {
            let style = match line.as_bytes().first() {
                _ if line.starts_with("+++") || line.starts_with("---") => Style::new().bold(),
                Some(b'+') => Style::new().fg_color(Some(AnsiColor::Green.into())),
                Some(b'-') => Style::new().fg_color(Some(AnsiColor::Red.into())),
                _ => Style::new(),
            };
            let _ = writeln!(self.text, "  {style}{}{style:#}", show::line(line));
        }
        if !diff.is_empty() {
            self.text.push('\n');
        }
    }
}
