//! Edits one after the other, each on the text that the one before left, then checked as a
//! whole. Knows no layout; `ops` does.

use std::collections::VecDeque;
use std::ops::Range;

use serde_json::Value;

use crate::document::document;
use crate::error::EditError;
use crate::layout::Layout;
use crate::model::{self, DocEdit, Op, Segment, get};
use crate::parse::{Document, Limits, read_with_comments};
use crate::splice::Splice;
use crate::template::is_template;
use crate::tree::Kind;
use crate::verify::verify;
use crate::{moves, ops};

/// Applies edits to a text and checks the result with [`verify`]. Edits that change nothing
/// give the text as it was.
///
/// # Errors
/// Any [`EditError`]; the text is then to be left as it is. Trying again doesn't help.
pub fn edit(text: &str, edits: &[DocEdit], limits: &Limits) -> Result<String, EditError> {
    if let Some(line) = is_template(text) {
        return Err(EditError::Template { line });
    }
    let mut now = text.to_owned();
    let ordered = moves::in_order(text, edits, limits);
    for edit in ordered.iter() {
        now = step(now, edit.document, &edit.op, limits)?;
    }
    if now != text {
        verify(text, &now, edits, limits)?;
    }
    Ok(now)
}

fn step(text: String, at: usize, op: &Op, limits: &Limits) -> Result<String, EditError> {
    match op {
        Op::Move { path, to } => {
            moves::carry(text, at, (path, to), limits, |text, at, op| one(text, at, op, limits))
        }
        op => one(text, at, op, limits),
    }
}

fn one(mut text: String, at: usize, op: &Op, limits: &Limits) -> Result<String, EditError> {
    let mut parts: Option<VecDeque<Op>> = None;
    loop {
        let (stream, comments) = read_with_comments(&text, limits);
        let document = document(&stream, at)?;
        let parts = match &mut parts {
            Some(parts) => parts,
            None => {
                // What the edit means is settled before any text is written.
                let mut probe = document.value.clone();
                model::apply(&mut probe, op).map_err(|e| ops::placed(e, document, op))?;
                let mut list = VecDeque::new();
                split(op, document, &mut list);
                parts.insert(list)
            }
        };
        let Some(op) = parts.pop_front() else { return Ok(text) };
        let layout = Layout::new(&text, &document.tree, &comments);
        let splices = ops::plan(&layout, document, &op)?;
        let last = parts.is_empty();
        text = splice(&text, splices);
        if last {
            return Ok(text);
        }
    }
}

/// Breaks an edit into those that differ from what is there: a map set over a map touches only
/// the entries that change.
fn split(op: &Op, document: &Document, out: &mut VecDeque<Op>) {
    let now = get(&document.value, op.path());
    match (op, now) {
        (Op::Set { value, .. }, Some(now)) if now == value => {}
        (Op::Set { path, value }, Some(now)) if by_entry(document, path, now, value) => {
            let mut parts = Vec::new();
            differ(path, now, value, &mut parts);
            for part in parts {
                split(&part, document, out);
            }
        }
        (Op::Append { value, .. }, Some(Value::Array(items))) if items.contains(value) => {}
        (Op::Remove { .. } | Op::Prune { .. } | Op::Rename { .. }, None) => {}
        _ => out.push_back(op.clone()),
    }
}

fn by_entry(document: &Document, path: &[Segment], now: &Value, value: &Value) -> bool {
    let collections = match (now, value) {
        (Value::Object(a), Value::Object(b)) => !a.is_empty() && !b.is_empty(),
        (Value::Array(a), Value::Array(b)) => !a.is_empty() && !b.is_empty(),
        _ => false,
    };
    let alias = |(_, at): (Option<u32>, u32)| document.tree.node(at).kind == Kind::Alias;
    collections && !document.tree.find(path).is_some_and(alias)
}

fn differ(path: &[Segment], now: &Value, value: &Value, out: &mut Vec<Op>) {
    let under = |segment: Segment| {
        let mut path = path.to_vec();
        path.push(segment);
        path
    };
    match (now, value) {
        (Value::Object(now), Value::Object(value)) => {
            for (key, value) in value {
                out.push(Op::Set { path: under(key.clone().into()), value: value.clone() });
            }
            for key in now.keys().filter(|k| !value.contains_key(*k)) {
                out.push(Op::Remove { path: under(key.clone().into()) });
            }
        }
        (Value::Array(now), Value::Array(value)) => {
            for (i, value) in value.iter().enumerate() {
                out.push(Op::Set { path: under(i.into()), value: value.clone() });
            }
            for i in (value.len()..now.len()).rev() {
                out.push(Op::Remove { path: under(i.into()) });
            }
        }
        _ => {}
    }
}

fn splice(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|s| (s.0.start, s.0.end));
    let mut out = String::with_capacity(text.len() + 256);
    let mut at = 0;
    for (Range { start, end }, new) in splices {
        // Plans don't overlap; were one to, verification sees it.
        out.push_str(&text[at..start.max(at)]);
        out.push_str(&new);
        at = end.max(at);
    }
    out.push_str(&text[at..]);
    out
}
