//! Everything about sunup-yaml that needs only its public names.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod fuzz;
mod goldens;
mod hand;
mod items;
mod model;
mod props;
mod reading;
mod variants;

use serde_json::Value;
use sunup_yaml::{DocEdit, EditError, Limits, Op, Segment};

/// `a.b[0].c`-like paths from segments separated by `|`; numbers are indices.
pub(crate) fn path(text: &str) -> Vec<Segment> {
    let segment = |s: &str| match s.parse::<usize>() {
        Ok(i) => Segment::Index(i),
        Err(_) => Segment::from(s),
    };
    if text.is_empty() { Vec::new() } else { text.split('|').map(segment).collect() }
}

pub(crate) fn set(at: &str, value: impl Into<Value>) -> Op {
    Op::Set { path: path(at), value: value.into() }
}

pub(crate) fn append(at: &str, value: impl Into<Value>) -> Op {
    Op::Append { path: path(at), value: value.into() }
}

pub(crate) fn remove(at: &str) -> Op {
    Op::Remove { path: path(at) }
}

pub(crate) fn prune(at: &str) -> Op {
    Op::Prune { path: path(at) }
}

pub(crate) fn rename(at: &str, key: &str) -> Op {
    Op::Rename { path: path(at), key: key.to_owned() }
}

pub(crate) fn moved(at: &str, to: &str) -> Op {
    Op::Move { path: path(at), to: path(to) }
}

pub(crate) fn run(text: &str, document: usize, ops: &[Op]) -> Result<String, EditError> {
    let edits: Vec<_> = ops.iter().map(|op| DocEdit { document, op: op.clone() }).collect();
    sunup_yaml::edit(text, &edits, &Limits::default())
}
