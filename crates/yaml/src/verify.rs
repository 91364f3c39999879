//! Holds an edited text against what its edits say. Knows nothing of how text is spliced.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

use crate::document::document;
use crate::error::EditError;
use crate::model::{self, DocEdit, Op, Segment, get};
use crate::moves::comments_above;
use crate::parse::{Document, Limits, Stream, read_with_comments};
use crate::tree::{Kind, Tree};

fn fault<T>(why: impl Into<String>) -> Result<T, EditError> {
    Err(EditError::Verification(why.into()))
}

/// Checks that `after` is `before` with exactly these edits: it parses as well as before, its
/// values differ at the named paths only and there as named, every old comment outside of
/// removed and replaced values is there, every old line is there in the old order except lines
/// of values that an edit rewrites in place, and line ends are of one kind as before.
///
/// # Errors
/// [`EditError::Verification`] with the first difference; errors of the edits themselves as
/// [`crate::edit`].
pub fn verify(
    before: &str,
    after: &str,
    edits: &[DocEdit],
    limits: &Limits,
) -> Result<(), EditError> {
    let (old, old_comments) = read_with_comments(before, limits);
    let (new, new_comments) = read_with_comments(after, limits);
    let wanted = values(&old, &new, edits)?;
    let touched = touched(before, &old, edits, &wanted);
    lines(before, after, &touched)?;
    comments(before, after, &old_comments, &new_comments, &touched)?;
    let scalar = |d: &Document| {
        d.tree.nodes.last().is_some_and(|n| matches!(n.kind, Kind::Literal | Kind::Folded))
    };
    line_ends(before, after, new.documents.last().is_some_and(scalar))
}

/// Gives each document's value as the edits want it, in the order of the old documents.
pub(crate) fn values(
    old: &Stream,
    new: &Stream,
    edits: &[DocEdit],
) -> Result<Vec<Value>, EditError> {
    if old.errors.len() != new.errors.len() {
        return match new.errors.iter().find(|e| !old.errors.iter().any(|o| o.why == e.why)) {
            Some(error) => fault(format!("the result has a fault at {error}")),
            None => fault("the result has other faults than the original"),
        };
    }
    let same_shape = old.documents.len() == new.documents.len();
    if !same_shape || !old.documents.iter().zip(&new.documents).all(|(o, n)| o.index == n.index) {
        return fault("the number of documents changed");
    }
    let mut want: Vec<Value> = old.documents.iter().map(|d| d.value.clone()).collect();
    for edit in edits {
        let index = document(old, edit.document)?.index;
        let at = old.documents.iter().position(|d| d.index == index).unwrap_or(0);
        model::apply(&mut want[at], &edit.op)?;
    }
    for (want, got) in want.iter().zip(&new.documents) {
        if let Some(path) = difference(want, &got.value, &mut Vec::new()) {
            let place = model::show_path(&path);
            return fault(format!("the document differs at {place}"));
        }
    }
    Ok(want)
}

/// The first path at which two values differ.
fn difference(a: &Value, b: &Value, path: &mut Vec<Segment>) -> Option<Vec<Segment>> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
            for key in keys {
                path.push(Segment::from(key.clone()));
                let (Some(a), Some(b)) = (a.get(key), b.get(key)) else {
                    return Some(path.clone());
                };
                if let Some(found) = difference(a, b, path) {
                    return Some(found);
                }
                path.pop();
            }
            None
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (a, b)) in x.iter().zip(y).enumerate() {
                path.push(Segment::Index(i));
                if let Some(found) = difference(a, b, path) {
                    return Some(found);
                }
                path.pop();
            }
            None
        }
        _ => (a != b).then(|| path.clone()),
    }
}

/// What the edits may rewrite, in bytes of the old text.
struct Touched {
    /// Lines of these ranges need not be kept.
    rewritten: Vec<Range<usize>>,
    /// Comments of these ranges need not be kept.
    gone: Vec<Range<usize>>,
    /// Comments of these ranges may stand anywhere.
    moved: Vec<Range<usize>>,
}

fn touched(before: &str, old: &Stream, edits: &[DocEdit], wanted: &[Value]) -> Touched {
    let mut out = Touched { rewritten: Vec::new(), gone: Vec::new(), moved: Vec::new() };
    // Lists of which edits name items: by which of them, where it is one only.
    let mut lists: HashMap<(usize, &[Segment]), Option<&DocEdit>> = HashMap::new();
    for edit in edits {
        if let Some((Segment::Index(_), list)) = edit.op.path().split_last() {
            let by = lists.entry((edit.document, list)).or_insert(Some(edit));
            *by = by.filter(|by| *by == edit);
        }
    }
    for edit in edits {
        let found = old.documents.iter().zip(wanted).find(|(d, _)| d.index == edit.document);
        let Some((doc, wanted)) = found else { continue };
        let path = edit.op.path();
        // An earlier edit may have moved the items that a later index counts.
        let shifted = |len: &usize| {
            lists.get(&(edit.document, &path[..*len])).is_some_and(|by| *by != Some(edit))
        };
        let path = (0..=path.len()).find(shifted).map_or(path, |len| &path[..len]);
        let whole = path.len() == edit.op.path().len();
        match &edit.op {
            Op::Move { to, .. } => {
                let set = Op::Set { path: to.clone(), value: Value::Null };
                touch(before, doc, to, Some(&set), &mut out);
                moved(before, &doc.tree, path, &mut out);
                leaves(before, (doc, wanted), path, &mut out);
            }
            Op::Prune { .. } if whole => leaves(before, (doc, wanted), path, &mut out),
            Op::Remove { .. } if whole => {
                leaves(before, (doc, wanted), path, &mut out);
                // Emptied by this edit and others together, it is `{}` or `[]` in its key's line.
                let parents = path.split_last().map_or(&[][..], |(_, parents)| parents);
                let empty = match get(wanted, parents) {
                    Some(Value::Object(map)) => map.is_empty(),
                    Some(Value::Array(items)) => items.is_empty(),
                    _ => false,
                };
                if let Some((key, node)) = doc.tree.find(parents).filter(|_| empty) {
                    out.rewritten.push(entry_range(before, &doc.tree, key, node));
                }
            }
            op => touch(before, doc, path, whole.then_some(op), &mut out),
        }
    }
    out
}

/// What goes where a path is removed: up to the topmost of its parents that goes, too.
fn leaves(before: &str, (doc, wanted): (&Document, &Value), path: &[Segment], out: &mut Touched) {
    let top = (1..=path.len()).find(|len| get(wanted, &path[..*len]).is_none());
    let top = &path[..top.unwrap_or(path.len())];
    touch(before, doc, top, Some(&Op::Remove { path: top.to_vec() }), out);
}

/// The lines of an entry that moves, with the comments above it and behind it.
fn moved(before: &str, tree: &Tree, path: &[Segment], out: &mut Touched) {
    // Items have no comments of their own: the lines above them may be about the whole list.
    let Some((key @ Some(_), node)) = tree.find(path) else { return };
    let range = entry_range(before, tree, key, node);
    let line_end = before[range.end..].find('\n').map_or(before.len(), |n| range.end + n);
    let above = comments_above(before, range.start);
    out.rewritten.push(above..range.end);
    out.moved.push(above..line_end);
}

fn touch(before: &str, doc: &Document, path: &[Segment], op: Option<&Op>, out: &mut Touched) {
    let tree = &doc.tree;
    if tree.nodes.is_empty() {
        return;
    }
    let found = (0..=path.len()).rev().find_map(|d| Some((d, tree.find(&path[..d])?)));
    let Some((depth, (key, node))) = found else { return };
    let range = entry_range(before, tree, key, node);
    let line_end = before[range.end..].find('\n').map_or(before.len(), |n| range.end + n);
    let kind = tree.node(node).kind;
    let block = matches!(kind, Kind::BlockMap | Kind::BlockSeq);
    let exists = depth == path.len();
    match op {
        Some(Op::Remove { .. }) if exists => {
            // An entry that shares its line with a dash hands the line to one that follows.
            let line = before[..range.start].rfind('\n').map_or(0, |n| n + 1);
            let shares = !before[line..range.start].trim_ascii().is_empty();
            let parent = path.split_last().and_then(|(_, p)| tree.find(p));
            let parent_end = parent.map_or(range.end, |(_, p)| tree.node(p).end as usize);
            let stop = if shares { parent_end } else { range.end };
            // The last entry of a flow collection takes the comma before it along, which may
            // stand some lines up, before a comment.
            if let Some((_, parent)) = parent
                && matches!(tree.node(parent).kind, Kind::FlowMap | Kind::FlowSeq)
            {
                let ends = tree.children(parent).map(|c| tree.node(c).end as usize);
                let previous = ends.filter(|end| *end <= range.start).max();
                out.rewritten.extend(previous.map(|end| end..range.start));
            }
            out.rewritten.push(range.start..stop.min(before.len()).max(range.end));
            out.gone.push(range.start..line_end);
            if let Some((_, parent)) = path.split_last().and_then(|(_, p)| tree.find(p)) {
                // The last entry's parent becomes `{}` in its key's line.
                if tree.children(parent).count() <= 2 {
                    let parents = &path[..path.len() - 1];
                    if let Some((key, node)) = tree.find(parents) {
                        out.rewritten.push(entry_range(before, tree, key, node));
                    }
                }
            }
        }
        // Comments go where the key goes: nowhere.
        Some(Op::Rename { .. }) if exists => {
            let start = key.map_or(range.start, |k| tree.lead_of(k));
            out.rewritten.push(start..key.map_or(range.end, |k| tree.node(k).end as usize));
        }
        Some(Op::Set { value, .. }) if exists => {
            let now = get(&doc.value, path);
            let mut parts = Vec::new();
            changed(now, value, path, &mut parts);
            for part in parts {
                if part.len() > path.len() {
                    let part_value = get(value, &part[path.len()..]).cloned();
                    let op = match part_value {
                        Some(value) => Op::Set { path: part.clone(), value },
                        None => Op::Remove { path: part.clone() },
                    };
                    touch(before, doc, &part, Some(&op), out);
                } else {
                    // The comment behind the last entry of a list belongs to that entry.
                    let end = if block { line_end } else { range.end };
                    out.rewritten.push(range.clone());
                    out.gone.push(range.start..end);
                }
            }
        }
        None => {
            out.rewritten.push(range.clone());
            out.gone.push(range.start..line_end);
        }
        // New entries of a flow collection follow its last one.
        _ if !block => {
            let last = tree.children(node).last().map_or(range.start, |n| tree.lead_of(n));
            out.rewritten.push(if tree.is_map(node) || tree.is_seq(node) {
                last..range.end
            } else {
                range
            });
        }
        _ => {}
    }
    // A block scalar that ends a text without final newline gets a `-` in its header.
    if let Some(last) = tree.nodes.last()
        && matches!(last.kind, Kind::Literal | Kind::Folded)
        && !before.ends_with('\n')
        && before[last.end as usize..].trim_ascii().is_empty()
    {
        let start = before[..last.start as usize].trim_ascii_end().len();
        out.rewritten.push(start..last.start as usize);
    }
}

/// The paths at which a new value takes an old one's place, entry by entry.
fn changed(now: Option<&Value>, value: &Value, path: &[Segment], out: &mut Vec<Vec<Segment>>) {
    match (now, value) {
        (Some(now), value) if now == value => {}
        (Some(Value::Object(a)), Value::Object(b)) if !a.is_empty() && !b.is_empty() => {
            for (key, now) in a {
                let path = [path, &[Segment::from(key.clone())]].concat();
                match b.get(key) {
                    Some(value) => changed(Some(now), value, &path, out),
                    None => out.push(path),
                }
            }
            let added = b.keys().filter(|k| !a.contains_key(*k));
            out.extend(added.map(|k| [path, &[Segment::from(k.clone())]].concat()));
        }
        (Some(Value::Array(a)), Value::Array(b)) if !a.is_empty() && !b.is_empty() => {
            for (i, now) in a.iter().enumerate() {
                let path = [path, &[Segment::Index(i)]].concat();
                match b.get(i) {
                    Some(value) => changed(Some(now), value, &path, out),
                    None => out.push(path),
                }
            }
            out.extend((a.len()..b.len()).map(|i| [path, &[Segment::Index(i)]].concat()));
        }
        _ => out.push(path.to_vec()),
    }
}

/// From the key's (or item's) first line to the value's end.
fn entry_range(before: &str, tree: &Tree, key: Option<u32>, node: u32) -> Range<usize> {
    let value = tree.node(node);
    let mut start = key.map_or(value.props, |k| tree.node(k).props).min(value.props) as usize;
    if key.is_none() {
        // The dash may stand on a line before.
        start = before[..start].rfind('-').unwrap_or(start).min(start);
    }
    let mut end = (value.end as usize).max(start);
    let last = tree.node(value.next - 1).kind;
    if matches!(last, Kind::Literal | Kind::Folded) {
        // Blank lines behind a block scalar may be its content (`|+`).
        let rest = &before[end..];
        let blank = &rest[..rest.len() - rest.trim_ascii_start().len()];
        end += blank.rfind('\n').map_or(0, |n| n + 1);
    }
    start..end
}

/// Ranges by where they begin, each as far as any that begins no later reaches.
fn reaching(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = ranges.collect();
    all.sort_by_key(|range| range.start);
    let mut reached = 0;
    for range in &mut all {
        reached = range.end.max(reached);
        range.end = reached;
    }
    all
}

/// Old lines must be a subsequence of the new ones, rewritten lines aside.
fn lines(before: &str, after: &str, touched: &Touched) -> Result<(), EditError> {
    let rewritten = reaching(touched.rewritten.iter().map(|r| r.start..r.end.max(r.start + 1)));
    let mut new = after.lines();
    let mut at = 0;
    for (number, line) in (1..).zip(before.split_inclusive('\n')) {
        let range = at..at + line.len();
        at = range.end;
        let begun = rewritten.partition_point(|r| r.start < range.end);
        if begun > 0 && rewritten[begun - 1].end > range.start {
            continue;
        }
        let line = line.trim_end_matches('\n').trim_end_matches('\r');
        if line == "\u{feff}" {
            continue;
        }
        if !new.any(|n| n.trim_end_matches('\r') == line) {
            return fault(format!("line {number} of the original is lost"));
        }
    }
    Ok(())
}

fn comments(
    before: &str,
    after: &str,
    old: &[Range<usize>],
    new: &[Range<usize>],
    touched: &Touched,
) -> Result<(), EditError> {
    let (moved, gone) =
        (reaching(touched.moved.iter().cloned()), reaching(touched.gone.iter().cloned()));
    let within = |all: &[Range<usize>], comment: &Range<usize>| {
        let begun = all.partition_point(|r| r.start <= comment.start);
        begun > 0 && comment.end <= all[begun - 1].end
    };
    let same = |text: &str, all: &[Range<usize>], of: &str| {
        all.iter().filter(|c| of[(*c).clone()].trim_ascii_end() == text.trim_ascii_end()).count()
    };
    let mut left = new.iter().map(|c| &after[c.clone()]);
    for comment in old {
        let text = &before[comment.clone()];
        if within(&moved, comment) {
            if same(text, new, after) < same(text, old, before) {
                return fault(format!("the comment {text:?} is lost"));
            }
            continue;
        }
        if within(&gone, comment) {
            continue;
        }
        if !left.any(|n| n.trim_ascii_end() == text.trim_ascii_end()) {
            return fault(format!("the comment {text:?} is lost"));
        }
    }
    Ok(())
}

/// A block scalar that has come to be the last value needs the final newline.
fn line_ends(before: &str, after: &str, may_close: bool) -> Result<(), EditError> {
    let count = |text: &str| (text.matches("\r\n").count(), text.matches('\n').count());
    let ((crlf, lf), (crlf_after, lf_after)) = (count(before), count(after));
    if lf > 0 && crlf == lf && crlf_after != lf_after || crlf == 0 && crlf_after > 0 {
        return fault("line ends of two kinds");
    }
    let blank = before.trim_start_matches('\u{feff}').trim_ascii().is_empty();
    if !blank
        && before.ends_with('\n') != after.ends_with('\n')
        && !(may_close && after.ends_with('\n'))
    {
        return fault("the final newline changed");
    }
    Ok(())
}
