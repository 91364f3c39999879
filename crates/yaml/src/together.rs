//! Edits that have nothing to do with each other, planned on one reading of the text: thousands of
//! them in one document then don't read it thousands of times. What is not certain to be apart waits
//! for the next reading.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::Value;

use crate::document::document;
use crate::layout::{How, Layout};
use crate::model::{self, DocEdit, Op, Segment};
use crate::ops;
use crate::parse::read_with_comments;
use crate::parts::{put, split};
use crate::splice::Splice;

/// Paths that have been written, and those above them.
#[derive(Default)]
struct Written<'e> {
    paths: HashSet<(usize, Vec<Segment>)>,
    above: HashSet<(usize, &'e [Segment])>,
}

impl<'e> Written<'e> {
    /// Whether a path lies apart from all that were written before.
    fn takes(&mut self, document: usize, path: &'e [Segment]) -> bool {
        let known = |at: usize| self.paths.contains(&(document, path[..at].to_vec()));
        if (0..=path.len()).any(known) || self.above.contains(&(document, path)) {
            return false;
        }
        self.above.extend((0..path.len()).map(|at| (document, &path[..at])));
        self.paths.insert((document, path.to_vec()));
        true
    }
}

/// Whole lines that are written, by where they begin: where they end.
#[derive(Default)]
struct Lines(BTreeMap<usize, usize>);

impl Lines {
    /// Whether the lines from the first of these pieces to the last are apart from all that were
    /// written before.
    fn takes(&mut self, text: &str, splices: &[Splice]) -> bool {
        let starts = splices.iter().map(|(range, _)| range.start).min();
        let ends = splices.iter().map(|(range, _)| range.end).max();
        let (Some(start), Some(end)) = (starts, ends) else { return true };
        let start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[end..].find('\n').map_or(text.len(), |at| end + at);
        let before = self.0.range(..=end).next_back();
        let apart = before.is_none_or(|(_, before)| *before < start);
        if apart {
            self.0.insert(start, end);
        }
        apart
    }
}

/// Carries out as many of the edits, from the first on, as can be planned on this text, and says how
/// many these are. None at all is no fault: they are for the careful way, one by one.
pub(crate) fn carry_out(text: &str, edits: &[DocEdit], how: How<'_>) -> Option<(String, usize)> {
    if edits.len() < 2 || !edits[..2].iter().all(|edit| is_plain(&edit.op)) {
        return None;
    }
    let (stream, comments) = read_with_comments(text, how.limits);
    let mut values: HashMap<usize, Value> = HashMap::new();
    let mut layouts: HashMap<usize, Layout<'_>> = HashMap::new();
    let (mut written, mut lines) = (Written::default(), Lines::default());
    let (mut splices, mut count) = (Vec::new(), 0);
    for edit in edits.iter().take_while(|edit| is_plain(&edit.op)) {
        let Ok(found) = document(&stream, edit.document) else { break };
        let value = values.entry(edit.document).or_insert_with(|| found.value.clone());
        let mut parts = VecDeque::new();
        split(&edit.op, found, &mut parts);
        let single = parts.len() <= 1;
        let apart =
            single && written.takes(edit.document, edit.op.path()) && renamed(edit, &mut written);
        if !apart || model::apply(value, &edit.op).is_err() {
            break;
        }
        let layout = layouts
            .entry(edit.document)
            .or_insert_with(|| Layout::new(text, &found.tree, &comments, how.style));
        if let Some(part) = parts.pop_front() {
            let Ok(planned) = ops::plan(layout, found, &part) else { break };
            if !lines.takes(text, &planned) {
                break;
            }
            splices.extend(planned);
        }
        count += 1;
    }
    (count > 1).then(|| (put(text, splices), count))
}

/// What writes one place and no other.
fn is_plain(op: &Op) -> bool {
    matches!(op, Op::Set { .. } | Op::Rename { .. })
}

/// Notes the new name of a key, which is written as well.
fn renamed(edit: &DocEdit, written: &mut Written<'_>) -> bool {
    let Op::Rename { path, key } = &edit.op else { return true };
    let parents = path.split_last().map_or(&[][..], |(_, parents)| parents);
    let to: Vec<Segment> = parents.iter().cloned().chain([Segment::from(key.as_str())]).collect();
    let new = (edit.document, to);
    // Nothing below the new name is written elsewhere: it was not there.
    written.paths.insert(new)
}
