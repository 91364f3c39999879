//! JSON Patch (RFC 6902): the operations that lead from one value to another, and how to apply
//! them. Knows no pods; only that lists of named items are compared by name.
//!
//! Lists are not compared by position: an item inserted at the front would then rewrite every
//! item behind it, and fields we don't know would land in the wrong container. Items that keep
//! their relative order stay; the others are removed and added as a whole.

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonPatchOp {
    /// Adds a member, or inserts an item before the index the path ends in.
    Add {
        /// JSON pointer (RFC 6901).
        path: String,
        /// What to add.
        value: Value,
    },
    /// Replaces what is there.
    Replace {
        /// JSON pointer.
        path: String,
        /// The new value.
        value: Value,
    },
    /// Removes what is there.
    Remove {
        /// JSON pointer.
        path: String,
    },
}

/// As RFC 6902 writes it.
impl Serialize for JsonPatchOp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (op, path, value) = match self {
            JsonPatchOp::Add { path, value } => ("add", path, Some(value)),
            JsonPatchOp::Replace { path, value } => ("replace", path, Some(value)),
            JsonPatchOp::Remove { path } => ("remove", path, None),
        };
        let mut map = serializer.serialize_map(Some(2 + usize::from(value.is_some())))?;
        map.serialize_entry("op", op)?;
        map.serialize_entry("path", path)?;
        if let Some(value) = value {
            map.serialize_entry("value", value)?;
        }
        map.end()
    }
}

/// The operations that turn `from` into `to`; none where they are equal.
#[must_use]
pub fn diff(from: &Value, to: &Value) -> Vec<JsonPatchOp> {
    let mut ops = Vec::new();
    let mut path = String::new();
    diff_value(from, to, &mut path, &mut ops);
    ops
}

fn diff_value(from: &Value, to: &Value, path: &mut String, ops: &mut Vec<JsonPatchOp>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => diff_map(from, to, path, ops),
        (Value::Array(a), Value::Array(b)) => {
            if a != b {
                diff_list(a, b, path, ops);
            }
        }
        (from, to) => {
            if from != to {
                ops.push(JsonPatchOp::Replace { path: path.clone(), value: to.clone() });
            }
        }
    }
}

fn diff_map(
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    path: &mut String,
    ops: &mut Vec<JsonPatchOp>,
) {
    let len = path.len();
    for key in from.keys().filter(|k| !to.contains_key(*k)) {
        push_key(path, key);
        ops.push(JsonPatchOp::Remove { path: path.clone() });
        path.truncate(len);
    }
    for (key, value) in to {
        push_key(path, key);
        match from.get(key) {
            Some(old) => diff_value(old, value, path, ops),
            None => ops.push(JsonPatchOp::Add { path: path.clone(), value: value.clone() }),
        }
        path.truncate(len);
    }
}

fn diff_list(from: &[Value], to: &[Value], path: &mut String, ops: &mut Vec<JsonPatchOp>) {
    let (Some(old), Some(new)) = (names(from), names(to)) else {
        ops.push(JsonPatchOp::Replace { path: path.clone(), value: Value::Array(to.to_vec()) });
        return;
    };
    let place: HashMap<&str, usize> = new.iter().copied().zip(0..).collect();
    let places: Vec<Option<usize>> = old.iter().map(|name| place.get(name).copied()).collect();
    let mut kept = vec![false; old.len()];
    // Of each new item, the old one that stays for it.
    let mut stays: Vec<Option<usize>> = vec![None; new.len()];
    for i in increasing(&places) {
        kept[i] = true;
        if let Some(j) = places[i] {
            stays[j] = Some(i);
        }
    }
    let len = path.len();
    for i in (0..old.len()).rev().filter(|i| !kept[*i]) {
        push_index(path, i);
        ops.push(JsonPatchOp::Remove { path: path.clone() });
        path.truncate(len);
    }
    for (j, item) in to.iter().enumerate() {
        push_index(path, j);
        match stays[j] {
            Some(i) => diff_value(&from[i], item, path, ops),
            None => ops.push(JsonPatchOp::Add { path: path.clone(), value: item.clone() }),
        }
        path.truncate(len);
    }
}

/// The names of a list's items, where all have one and no two are alike.
fn names(list: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<&str> =
        list.iter().map(|item| item.get("name")?.as_str()).collect::<Option<_>>()?;
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.windows(2).all(|w| w[0] != w[1]).then_some(names)
}

/// The indexes of a longest increasing run of places: the items that can stay where they are.
fn increasing(places: &[Option<usize>]) -> Vec<usize> {
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; places.len()];
    for (i, place) in places.iter().enumerate() {
        let Some(place) = place else { continue };
        let at = tails.partition_point(|&t| places[t] < Some(*place));
        before[i] = at.checked_sub(1).map(|b| tails[b]);
        if at == tails.len() {
            tails.push(i);
        } else {
            tails[at] = i;
        }
    }
    let mut run: Vec<usize> =
        std::iter::successors(tails.last().copied(), |&i| before[i]).collect();
    run.reverse();
    run
}

fn push_key(path: &mut String, key: &str) {
    path.push('/');
    for c in key.chars() {
        match c {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            c => path.push(c),
        }
    }
}

fn push_index(path: &mut String, index: usize) {
    path.push('/');
    path.push_str(&index.to_string());
}

/// Applies operations to a value.
///
/// # Errors
/// The first operation that doesn't fit, in words; the value is half changed then.
pub fn apply(value: &mut Value, ops: &[JsonPatchOp]) -> Result<(), String> {
    ops.iter().try_for_each(|op| apply_one(value, op))
}

fn apply_one(root: &mut Value, op: &JsonPatchOp) -> Result<(), String> {
    let (path, value) = match op {
        JsonPatchOp::Add { path, value } | JsonPatchOp::Replace { path, value } => {
            (path, Some(value))
        }
        JsonPatchOp::Remove { path } => (path, None),
    };
    if path.is_empty() {
        *root = value.cloned().ok_or("the whole document can't be removed")?;
        return Ok(());
    }
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| format!("{path} is no pointer"))?;
    let missing = || format!("there is nothing at {path}");
    let last = last.replace("~1", "/").replace("~0", "~");
    match root.pointer_mut(parent).ok_or_else(missing)? {
        Value::Object(map) => match (op, value) {
            (JsonPatchOp::Add { .. }, Some(v)) => {
                map.insert(last, v.clone());
            }
            (_, Some(v)) => *map.get_mut(&last).ok_or_else(missing)? = v.clone(),
            (_, None) => {
                map.remove(&last).ok_or_else(missing)?;
            }
        },
        Value::Array(list) => {
            let index: usize =
                if last == "-" { list.len() } else { last.parse().map_err(|_| missing())? };
            let adds = matches!(op, JsonPatchOp::Add { .. });
            if index > list.len() || (index == list.len() && !adds) {
                return Err(missing());
            }
            match value {
                Some(v) if adds => list.insert(index, v.clone()),
                Some(v) => list[index] = v.clone(),
                None => {
                    list.remove(index);
                }
            }
        }
        _ => return Err(missing()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(from: Value, to: Value) -> Vec<JsonPatchOp> {
        let ops = diff(&from, &to);
        let mut got = from;
        apply(&mut got, &ops).unwrap();
        assert_eq!(got, to);
        ops
    }

    #[test]
    fn an_item_put_first_is_one_operation() {
        let from = json!({"c": [{"name": "a", "x": {"~/": 1}}, {"name": "b"}]});
        let to = json!({"c": [{"name": "p"}, {"name": "a", "x": {"~/": 1}}, {"name": "b"}]});
        let want = JsonPatchOp::Add { path: "/c/0".into(), value: json!({"name": "p"}) };
        assert_eq!(check(from, to), [want]);
    }

    #[test]
    fn moves_removals_and_changes_in_one_list() {
        let list = |names: &str| -> Value {
            names.chars().map(|c| json!({"name": c.to_string(), "v": 1})).collect()
        };
        for (from, to) in
            [("abcd", "dabc"), ("abc", ""), ("", "abc"), ("abcde", "edxba"), ("ab", "ba")]
        {
            check(json!({ "l": list(from) }), json!({ "l": list(to) }));
        }
        let ops = check(
            json!({"l": [{"name": "a", "v": 1}, {"name": "b"}]}),
            json!({"l": [{"name": "x"}, {"name": "a", "v": 2}]}),
        );
        assert!(ops.contains(&JsonPatchOp::Replace { path: "/l/1/v".into(), value: json!(2) }));
    }

    #[test]
    fn scalars_and_unnamed_lists_are_replaced_whole() {
        let ops = check(json!({"a": ["x"], "b": null}), json!({"a": ["y", "x"], "b": {"c/d": 1}}));
        assert_eq!(ops.len(), 2);
    }

    #[test]
    fn operations_are_written_as_the_rfc_has_them() {
        let ops = check(json!({"a": 1, "b": 2}), json!({"a": 3, "c": null}));
        let want = json!([{"op": "remove", "path": "/b"},
            {"op": "replace", "path": "/a", "value": 3},
            {"op": "add", "path": "/c", "value": null}]);
        assert_eq!(serde_json::to_value(&ops).unwrap(), want);
    }

    #[test]
    fn a_patch_that_does_not_fit_is_refused() {
        let mut value = json!({"a": [1]});
        let gone = [JsonPatchOp::Remove { path: "/a/3".into() }];
        assert!(apply(&mut value, &gone).is_err());
        let gone = [JsonPatchOp::Replace { path: "/b".into(), value: json!(1) }];
        assert!(apply(&mut value, &gone).unwrap_err().contains("/b"));
    }
}
