//! Entries that move from one map to another with their comments, as lines of text. Knows layout;
//! how values are written and removed, `ops` does.

use std::borrow::Cow;
use std::ops::Range;

use crate::document::document;
use crate::error::EditError;
use crate::layout::{How, Layout};
use crate::model::{self, DocEdit, Op, Segment, get};
use crate::ops;
use crate::parse::{Limits, read, read_with_comments};
use crate::tree::Kind;

/// The comment lines right above an entry that are indented as it is: where they begin.
pub(crate) fn comments_above(text: &str, entry: usize) -> usize {
    let mut start = text[..entry].rfind('\n').map_or(0, |n| n + 1);
    let indent = text[start..entry].chars().count();
    while start > 0 {
        let above = text[..start - 1].rfind('\n').map_or(0, |n| n + 1);
        let line = &text[above..start];
        let content = line.trim_start_matches(' ');
        if !content.starts_with('#') || line.len() - content.len() != indent {
            break;
        }
        start = above;
    }
    start
}

/// An entry of a block map that has its lines to itself.
struct Lines {
    /// The entry and its line comment.
    own: Range<usize>,
    /// The same with the comments above.
    all: Range<usize>,
    indent: usize,
}

fn lines_of(layout: &Layout<'_>, path: &[Segment]) -> Option<Lines> {
    let tree = layout.tree;
    let (parent, key, node) = tree.entry_at(path)?;
    if tree.node(parent).kind != Kind::BlockMap {
        return None;
    }
    let slot = layout.colon(key)?;
    let spot =
        crate::layout::Spot { node, key: Some(key), parent: Some(parent), slot, in_flow: false };
    let (lead, end) = (layout.key_lead(parent, key), layout.end(spot));
    let start = layout.line_start(lead);
    let blank = layout.text[start..lead].bytes().all(|b| b == b' ');
    (blank && layout.ends_line(end)).then(|| Lines {
        own: start..layout.line_end(end),
        all: comments_above(layout.text, lead)..layout.line_end(end),
        indent: lead - start,
    })
}

/// An entry that shares its lines with others, with what follows in its last one.
fn about(layout: &Layout<'_>, path: &[Segment]) -> Option<Range<usize>> {
    let (_, key, node) = layout.tree.entry_at(path)?;
    let lead = layout.lead(key);
    Some(comments_above(layout.text, lead)..layout.line_end(layout.tree.node(node).end as usize))
}

/// Entries that move together from one map to another go in the order in which they stand there.
pub(crate) fn in_order<'e>(
    text: &str,
    edits: &'e [DocEdit],
    limits: &Limits,
) -> Cow<'e, [DocEdit]> {
    let maps = |edit: &DocEdit| match &edit.op {
        Op::Move { path, to } => {
            let parents = |path: &[Segment]| path.split_last().map(|(_, parents)| parents.to_vec());
            Some((edit.document, parents(path)?, parents(to)?))
        }
        _ => None,
    };
    let together = |pair: &[DocEdit]| maps(&pair[0]).is_some() && maps(&pair[0]) == maps(&pair[1]);
    if !edits.windows(2).any(together) {
        return Cow::Borrowed(edits);
    }
    let stream = read(text, limits);
    let place = |edit: &DocEdit| {
        let found = document(&stream, edit.document).ok()?;
        found.tree.entry_at(edit.op.path()).map(|(_, key, _)| key)
    };
    let mut all = edits.to_vec();
    for run in all.chunk_by_mut(|a, b| maps(a).is_some() && maps(a) == maps(b)) {
        run.sort_by_key(place);
    }
    Cow::Owned(all)
}

/// Carries out [`Op::Move`].
pub(crate) fn carry(
    text: String,
    at: usize,
    (path, to): (&[Segment], &[Segment]),
    how: How<'_>,
    one: impl Fn(String, usize, &Op) -> Result<String, EditError>,
) -> Result<String, EditError> {
    let (value, piece, comment) = {
        let (stream, comments) = read_with_comments(&text, how.limits);
        let found = document(&stream, at)?;
        let op = Op::Move { path: path.to_vec(), to: to.to_vec() };
        let Some(value) = get(&found.value, path).cloned() else { return Ok(text) };
        model::apply(&mut found.value.clone(), &op).map_err(|e| ops::placed(e, found, &op))?;
        let layout = Layout::new(&text, &found.tree, &comments, how.style);
        let lines = lines_of(&layout, path).filter(|_| path.last() == to.last());
        let range = lines.as_ref().map(|l| l.all.clone()).or_else(|| about(&layout, path));
        let comment = range.and_then(|range| {
            let inside = |c: &&Range<usize>| c.start >= range.start && c.end <= range.end;
            Some(line_number(&text, comments.iter().find(inside)?.start))
        });
        let piece = lines.map(|l| (text[l.all.clone()].to_owned(), l.indent));
        (value, piece, comment)
    };
    let mut text = one(text, at, &Op::Set { path: to.to_vec(), value })?;
    let (stream, comments) = read_with_comments(&text, how.limits);
    let found = document(&stream, at)?;
    let layout = Layout::new(&text, &found.tree, &comments, how.style);
    let there = lines_of(&layout, to);
    if let (Some(line), true) = (comment, piece.is_none() || there.is_none()) {
        return Err(EditError::StrandedComment { line });
    }
    let mut splices = Vec::new();
    if let (Some((piece, indent)), Some(there)) = (piece, there) {
        splices.push((there.own, indented(&piece, indent, there.indent)));
        // The comments above have gone along; the entry itself is pruned below.
        if let Some(here) = lines_of(&layout, path) {
            splices.push((here.all.start..here.own.start, String::new()));
        }
    }
    splices.sort_by_key(|(range, _): &(Range<usize>, String)| std::cmp::Reverse(range.start));
    for (range, new) in splices {
        text.replace_range(range, &new);
    }
    one(text, at, &Op::Prune { path: path.to_vec() })
}

fn line_number(text: &str, at: usize) -> u64 {
    text[..at].matches('\n').count() as u64 + 1
}

/// Lines that were indented by `from` columns, indented by `to`.
fn indented(lines: &str, from: usize, to: usize) -> String {
    let one = |line: &str| {
        if line.trim_ascii().is_empty() {
            return line.to_owned();
        }
        let blanks = line.len() - line.trim_start_matches(' ').len();
        format!("{}{}", " ".repeat((blanks + to).saturating_sub(from)), &line[blanks..])
    };
    lines.split('\n').map(one).collect::<Vec<_>>().join("\n")
}
