//! Edits as data, and what they mean for a value. Knows no text.

use serde_json::{Map, Value};

use crate::error::EditError;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A map's key, as Kubernetes sees it (a string).
    Key(String),
    /// A list's item, from 0.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Segment::Key(key.to_owned())
    }
}

impl From<String> for Segment {
    fn from(key: String) -> Self {
        Segment::Key(key)
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Segment::Index(index)
    }
}

/// A change of one document. Paths hold at the moment the edit is applied, so an index counts
/// items as the edits before it left them.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Gives the path this value; missing parents become maps (or lists, for index 0). An index
    /// equal to the list's length appends. Nothing is done where the value is equal already.
    Set {
        /// Where; empty means the whole document.
        path: Vec<Segment>,
        /// What.
        value: Value,
    },
    /// Adds an item to the list at the path, which is created where it is missing or null.
    /// Nothing is done where an equal item is in the list already.
    Append {
        /// The list's path.
        path: Vec<Segment>,
        /// The new item.
        value: Value,
    },
    /// Removes a key or an item; nothing is done where there is none.
    Remove {
        /// What to remove; must not be empty.
        path: Vec<Segment>,
    },
}

impl Op {
    /// The path that the edit names.
    #[must_use]
    pub fn path(&self) -> &[Segment] {
        match self {
            Op::Set { path, .. } | Op::Append { path, .. } | Op::Remove { path } => path,
        }
    }
}

/// A change of one document of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct DocEdit {
    /// The document's position in the stream, from 0; broken ones count.
    pub document: usize,
    /// What to do there.
    pub op: Op,
}

/// A path as people write it: `spec.containers[0].env`; keys with dots are put in brackets and
/// quotes, the empty path is `the document`.
#[must_use]
pub fn show_path(path: &[Segment]) -> String {
    if path.is_empty() {
        return "the document".to_owned();
    }
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Index(i) => out.push_str(&format!("[{i}]")),
            Segment::Key(k) => {
                let plain =
                    |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '$' | '<');
                if k.chars().all(plain) && !k.is_empty() {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(k);
                } else {
                    out.push_str(&format!("[{k:?}]"));
                }
            }
        }
    }
    out
}

/// The value at a path.
pub(crate) fn get<'v>(value: &'v Value, path: &[Segment]) -> Option<&'v Value> {
    path.iter().try_fold(value, |v, s| match s {
        Segment::Key(k) => v.as_object()?.get(k),
        Segment::Index(i) => v.as_array()?.get(*i),
    })
}

/// What must be written below a missing place so that `rest` leads to `value`.
pub(crate) fn nest(rest: &[Segment], value: Value) -> Option<Value> {
    rest.iter().rev().try_fold(value, |v, s| match s {
        Segment::Key(k) => Some(Value::Object(Map::from_iter([(k.clone(), v)]))),
        Segment::Index(0) => Some(Value::Array(vec![v])),
        Segment::Index(_) => None,
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn wrong(path: &[Segment], found: &Value, wanted: &'static str) -> EditError {
    EditError::WrongKind { path: show_path(path), line: 0, found: kind(found), wanted }
}

/// Applies one edit to a value: the meaning that the edited text is held against.
pub(crate) fn apply(root: &mut Value, op: &Op) -> Result<(), EditError> {
    match op {
        Op::Set { path, value } => {
            *slot(root, path)? = value.clone();
        }
        Op::Append { path, value } => {
            let list = slot(root, path)?;
            if list.is_null() {
                *list = Value::Array(Vec::new());
            }
            let Value::Array(items) = list else { return Err(wrong(path, list, "a list")) };
            if !items.contains(value) {
                items.push(value.clone());
            }
        }
        Op::Remove { path } => {
            let Some((last, parents)) = path.split_last() else {
                return Err(wrong(path, root, "a key or item that can be removed"));
            };
            let mut at = root;
            for segment in parents {
                let next = match (segment, at) {
                    (Segment::Key(k), Value::Object(m)) => m.get_mut(k),
                    (Segment::Index(i), Value::Array(a)) => a.get_mut(*i),
                    _ => None,
                };
                let Some(next) = next else { return Ok(()) };
                at = next;
            }
            match (last, at) {
                (Segment::Key(k), Value::Object(m)) => {
                    m.remove(k);
                }
                (Segment::Index(i), Value::Array(a)) if *i < a.len() => {
                    a.remove(*i);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn slot<'v>(root: &'v mut Value, path: &[Segment]) -> Result<&'v mut Value, EditError> {
    let mut at = root;
    for (depth, segment) in path.iter().enumerate() {
        if at.is_null() {
            *at = match segment {
                Segment::Key(_) => Value::Object(Map::new()),
                Segment::Index(_) => Value::Array(Vec::new()),
            };
        }
        let here = &path[..depth];
        at = match (segment, at) {
            (Segment::Key(k), Value::Object(m)) => m.entry(k.clone()).or_insert(Value::Null),
            (Segment::Index(i), Value::Array(a)) => {
                let len = a.len();
                if *i == len {
                    a.push(Value::Null);
                }
                a.get_mut(*i).ok_or_else(|| EditError::NoSuchItem { path: show_path(here), len })?
            }
            (Segment::Key(_), other) => return Err(wrong(here, other, "a map")),
            (Segment::Index(_), other) => return Err(wrong(here, other, "a list")),
        };
    }
    Ok(at)
}
