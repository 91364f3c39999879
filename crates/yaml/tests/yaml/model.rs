//! What an edit comes to, told from the values before and after it alone. The fuzz target asks the same
//! (`fuzz/src/yaml.rs`).

use serde_json::Value;
use sunup_yaml::{Op, Segment};

/// Every path of a value, or the first so many.
pub(crate) fn paths(value: &Value, most: usize) -> Vec<Vec<Segment>> {
    let mut out = Vec::new();
    below(value, most, &mut Vec::new(), &mut out);
    out
}

fn below(value: &Value, most: usize, here: &mut Vec<Segment>, out: &mut Vec<Vec<Segment>>) {
    if out.len() >= most {
        return;
    }
    out.push(here.clone());
    let inner: Vec<(Segment, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (Segment::from(k.clone()), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.into(), v)).collect(),
        _ => Vec::new(),
    };
    for (segment, value) in inner {
        here.push(segment);
        below(value, most, here, out);
        here.pop();
    }
}

/// What a value has at a path.
pub(crate) fn at<'v>(value: &'v Value, path: &[Segment]) -> Option<&'v Value> {
    path.iter().try_fold(value, |v, s| match s {
        Segment::Key(k) => v.get(k),
        Segment::Index(i) => v.get(i),
    })
}

/// An edit has made one value of another: what it names is as it says.
pub(crate) fn holds(op: &Op, before: &Value, after: &Value) {
    match op {
        Op::Set { path, value } => assert_eq!(at(after, path), Some(value)),
        Op::Append { path, value } => {
            let list = at(after, path).and_then(Value::as_array).expect("a list");
            assert!(list.contains(value), "{list:?}");
        }
        Op::Rename { path, key } => {
            let (_, parents) = path.split_last().expect("a key");
            let to = [parents, &[Segment::from(key.as_str())]].concat();
            assert_eq!(at(after, &to), at(before, path));
        }
        Op::Move { path, to } => assert_eq!(at(after, to), at(before, path)),
        Op::Remove { .. } | Op::Prune { .. } => {}
    }
}

/// Whether the edit changes nothing the second time. Taking an item out does: the next has its place.
pub(crate) fn is_done_once(op: &Op) -> bool {
    match op {
        Op::Remove { path } | Op::Prune { path } | Op::Move { path, .. } => {
            !matches!(path.last(), Some(Segment::Index(_)))
        }
        _ => true,
    }
}
