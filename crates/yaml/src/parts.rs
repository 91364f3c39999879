//! What an edit comes to: the parts that differ from what is there, and a text with its pieces put in.
//! Knows values and trees, no layout.

use std::collections::VecDeque;
use std::ops::Range;

use serde_json::Value;

use crate::model::{Op, Segment, get};
use crate::parse::Document;
use crate::splice::Splice;
use crate::tree::Kind;

/// Breaks an edit into those that differ from what is there: a map set over a map touches only
/// the entries that change.
pub(crate) fn split(op: &Op, document: &Document, out: &mut VecDeque<Op>) {
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

/// The text with these pieces in their places.
pub(crate) fn put(text: &str, mut splices: Vec<Splice>) -> String {
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
