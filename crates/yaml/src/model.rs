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
    /// Removes a key or an item, and with it, key and all, every map or list that becomes empty by
    /// it; the document itself stays.
    Prune {
        /// What to remove; must not be empty.
        path: Vec<Segment>,
    },
    /// Gives a key another name where it stands: value, comments, order and quoting stay. Nothing
    /// is done where there is no such key.
    Rename {
        /// The key as it is.
        path: Vec<Segment>,
        /// Its new name, which the map must not have yet.
        key: String,
    },
    /// Takes an entry to another map, with the comment lines right above it and the comment behind
    /// it, and removes it as [`Op::Prune`] does. Nothing is done where there is no such entry.
    Move {
        /// The entry as it is.
        path: Vec<Segment>,
        /// Where it goes; nothing must be there yet. Missing parents become maps.
        to: Vec<Segment>,
    },
}

impl Op {
    /// The path that the edit names.
    #[must_use]
    pub fn path(&self) -> &[Segment] {
        match self {
            Op::Set { path, .. }
            | Op::Append { path, .. }
            | Op::Remove { path }
            | Op::Prune { path }
            | Op::Rename { path, .. }
            | Op::Move { path, .. } => path,
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
        Op::Remove { path } => drop(take(root, path)?),
        Op::Prune { path } => prune(root, path)?,
        Op::Rename { path, key } => {
            if get(root, path).is_none() {
                return Ok(());
            }
            let to = beside(path, key);
            if get(root, &to).is_some() {
                return Err(EditError::Taken { path: show_path(&to) });
            }
            if let Some(value) = take(root, path)? {
                *slot(root, &to)? = value;
            }
        }
        Op::Move { path, to } => {
            let Some(value) = get(root, path).cloned() else { return Ok(()) };
            if to.starts_with(path) || get(root, to).is_some_and(|there| !there.is_null()) {
                return Err(EditError::Taken { path: show_path(to) });
            }
            *slot(root, to)? = value;
            prune(root, path)?;
        }
    }
    Ok(())
}

/// The path of another key of the same map.
fn beside(path: &[Segment], key: &str) -> Vec<Segment> {
    let parents = path.split_last().map_or(&[][..], |(_, parents)| parents);
    parents.iter().cloned().chain([Segment::from(key)]).collect()
}

/// What goes where a path is pruned: the path, or the topmost of its parents that holds nothing
/// else.
pub(crate) fn emptied<'p>(root: &Value, path: &'p [Segment]) -> &'p [Segment] {
    let alone = |parents: &[Segment]| match get(root, parents) {
        Some(Value::Object(map)) => map.len() == 1,
        Some(Value::Array(items)) => items.len() == 1,
        _ => false,
    };
    let mut len = path.len();
    while len > 1 && alone(&path[..len - 1]) {
        len -= 1;
    }
    &path[..len]
}

fn prune(root: &mut Value, path: &[Segment]) -> Result<(), EditError> {
    if get(root, path).is_none() {
        return Ok(());
    }
    let top = emptied(root, path).to_vec();
    take(root, &top).map(drop)
}

/// Takes a key or an item out, where there is one.
fn take(root: &mut Value, path: &[Segment]) -> Result<Option<Value>, EditError> {
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
        let Some(next) = next else { return Ok(None) };
        at = next;
    }
    Ok(match (last, at) {
        (Segment::Key(k), Value::Object(m)) => m.remove(k),
        (Segment::Index(i), Value::Array(a)) if *i < a.len() => Some(a.remove(*i)),
        _ => None,
    })
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
