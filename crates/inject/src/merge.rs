//! Strategic merge of a pod overlay, as Kubernetes' `StrategicMergeMapPatch` does it for the Pod
//! API, on untyped values: unknown fields are kept. Knows no Istio.
//!
//! # Sources
//! `k8s.io/apimachinery/pkg/util/strategicpatch/patch.go` (`mergeMap`, `mergeSlice`,
//! `normalizeElementOrder`, with `MergeParallelList` and `IgnoreUnmatchedNulls`); the merge keys
//! are the `patchStrategy`/`patchMergeKey` tags of `k8s.io/api/core/v1` (1.33).

use serde_json::{Map, Value};

/// How a list below a given key is merged.
enum ListRule {
    /// Replaced as a whole.
    Atomic,
    /// Items are matched by this field.
    ByKey(&'static str),
    /// A set of scalars.
    Set,
}

/// The rule of a list, told by its own key and the key of the object it stands in: enough to
/// tell the Pod API's lists apart.
fn list_rule(parent: &str, key: &str) -> ListRule {
    match (parent, key) {
        (
            "spec",
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "imagePullSecrets"
            | "schedulingGates"
            | "resourceClaims",
        ) => ListRule::ByKey("name"),
        ("spec", "hostAliases") => ListRule::ByKey("ip"),
        ("spec", "topologySpreadConstraints") => ListRule::ByKey("topologyKey"),
        ("containers" | "initContainers" | "ephemeralContainers", "env") => ListRule::ByKey("name"),
        ("containers" | "initContainers" | "ephemeralContainers", "ports") => {
            ListRule::ByKey("containerPort")
        }
        ("containers" | "initContainers" | "ephemeralContainers", "volumeMounts") => {
            ListRule::ByKey("mountPath")
        }
        ("containers" | "initContainers" | "ephemeralContainers", "volumeDevices") => {
            ListRule::ByKey("devicePath")
        }
        ("metadata", "ownerReferences") => ListRule::ByKey("uid"),
        ("metadata", "finalizers") => ListRule::Set,
        _ => ListRule::Atomic,
    }
}

/// Lays `patch` over `pod`.
///
/// # Errors
/// Where a list's item has no merge key; the message names the list.
pub(crate) fn strategic(pod: &mut Value, patch: Value) -> Result<(), String> {
    match (pod, patch) {
        (Value::Object(pod), Value::Object(patch)) => merge_map(pod, patch, ""),
        (_, Value::Null) => Ok(()),
        (_, other) => Err(format!("it is {}, not a map", crate::value::kind(&other))),
    }
}

fn merge_map(
    base: &mut Map<String, Value>,
    patch: Map<String, Value>,
    parent: &str,
) -> Result<(), String> {
    for (key, value) in patch {
        if value.is_null() {
            base.remove(&key);
            continue;
        }
        match (base.get_mut(&key), value) {
            (Some(Value::Object(slot)), Value::Object(value)) => {
                if value.get("$patch").and_then(Value::as_str) == Some("replace") {
                    *slot = value;
                    slot.remove("$patch");
                    continue;
                }
                if value.get("$patch").and_then(Value::as_str) == Some("delete") {
                    base.remove(&key);
                    continue;
                }
                merge_map(slot, value, &key)?;
            }
            (Some(Value::Array(slot)), Value::Array(value)) => {
                merge_list(slot, value, parent, &key)?;
            }
            (Some(slot), value) => *slot = without_nulls(value),
            (None, value) => {
                base.insert(key, without_nulls(value));
            }
        }
    }
    Ok(())
}

fn merge_list(
    base: &mut Vec<Value>,
    patch: Vec<Value>,
    parent: &str,
    key: &str,
) -> Result<(), String> {
    match list_rule(parent, key) {
        ListRule::Atomic => *base = patch.into_iter().map(without_nulls).collect(),
        ListRule::Set => {
            for item in patch {
                if !base.contains(&item) {
                    base.push(item);
                }
            }
        }
        ListRule::ByKey(by) => merge_keyed(base, patch, key, by)?,
    }
    Ok(())
}

/// Merges by key, and orders as Kubernetes does: an item of the patch comes before an item that
/// only the object has, unless the object has both in the other order.
fn merge_keyed(
    base: &mut Vec<Value>,
    patch: Vec<Value>,
    list: &str,
    by: &'static str,
) -> Result<(), String> {
    let key_of = |item: &Value| item.get(by).filter(|k| !k.is_null()).cloned();
    let mut slots: Vec<Option<Value>> = std::mem::take(base).into_iter().map(Some).collect();
    let order: Vec<Option<Value>> = slots.iter().map(|s| s.as_ref().and_then(key_of)).collect();
    let place = |key: &Value| order.iter().position(|k| k.as_ref() == Some(key));
    // The patch's items in its order, each with its place among the object's own.
    let mut merged: Vec<(Option<usize>, Value)> = Vec::with_capacity(patch.len());
    for item in patch {
        let Some(key) = key_of(&item) else {
            return Err(format!("an item of {list} has no {by}"));
        };
        let at = place(&key);
        let directive = item.get("$patch").and_then(Value::as_str).map(str::to_owned);
        if directive.as_deref() == Some("delete") {
            if let Some(i) = at {
                slots[i] = None;
            }
            continue;
        }
        let own = at.and_then(|i| slots[i].take());
        if let Some(twin) = merged.iter_mut().find(|(_, m)| key_of(m).as_ref() == Some(&key)) {
            merge_item(&mut twin.1, item, list)?;
            continue;
        }
        match own {
            Some(mut own) if directive.is_none() => {
                merge_item(&mut own, item, list)?;
                merged.push((at, own));
            }
            _ => merged.push((at, without_nulls(item))),
        }
    }
    let mut left = slots.into_iter().enumerate().filter_map(|(i, s)| Some((i, s?))).peekable();
    for (at, item) in merged {
        if let Some(at) = at {
            while let Some((_, own)) = left.next_if(|(i, _)| *i < at) {
                base.push(own);
            }
        }
        base.push(item);
    }
    base.extend(left.map(|(_, own)| own));
    Ok(())
}

fn merge_item(base: &mut Value, patch: Value, list: &str) -> Result<(), String> {
    match (base, patch) {
        (Value::Object(base), Value::Object(mut patch)) => {
            patch.remove("$patch");
            merge_map(base, patch, list)
        }
        (base, patch) => {
            *base = patch;
            Ok(())
        }
    }
}

/// A new value, without the nulls that would have removed something.
fn without_nulls(mut value: Value) -> Value {
    drop_nulls(&mut value);
    value
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // Rare, so that the map need not be rebuilt for it.
            if map.iter().any(|(key, v)| v.is_null() || key == "$patch") {
                map.retain(|key, v| !v.is_null() && key != "$patch");
            }
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut pod: Value, patch: Value) -> Value {
        strategic(&mut pod, patch).unwrap();
        pod
    }

    #[test]
    fn items_of_the_patch_come_first_and_known_ones_keep_their_place() {
        let pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}});
        let patch = json!({"spec": {"containers": [{"name": "new"}, {"name": "b", "image": "x"}]}});
        let got = merged(pod, patch);
        // As Kubernetes: `new` is in nobody's order, so it precedes; `a` stands before `b`.
        assert_eq!(
            got["spec"]["containers"],
            json!([{"name": "new"}, {"name": "a"}, {"name": "b", "image": "x"}, {"name": "c"}])
        );
    }

    #[test]
    fn null_removes_what_is_there_and_adds_nothing() {
        let pod = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        let patch = json!({"metadata": {"labels": {"a": null, "c": null}},
            "spec": {"volumes": [{"name": "v", "emptyDir": null}]}});
        let want = json!({"metadata": {"labels": {"b": "2"}},
            "spec": {"volumes": [{"name": "v"}]}});
        assert_eq!(merged(pod, patch), want);
    }

    #[test]
    fn lists_without_a_merge_key_are_replaced_and_unknown_fields_stay() {
        let pod = json!({"spec": {"containers": [
            {"name": "p", "args": ["a", "b"], "futureField": {"x": 1},
             "env": [{"name": "A", "value": "1"}]}]}});
        let patch = json!({"spec": {"containers": [
            {"name": "p", "args": ["c"], "env": [{"name": "B", "value": "2"}]}]}});
        let c = &merged(pod, patch)["spec"]["containers"][0];
        assert_eq!(c["args"], json!(["c"]));
        assert_eq!(c["futureField"], json!({"x": 1}));
        let env = json!([{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]);
        assert_eq!(c["env"], env);
    }

    #[test]
    fn an_item_without_its_key_is_an_error() {
        let mut pod = json!({"spec": {"containers": [{"name": "p"}]}});
        let patch = json!({"spec": {"containers": [{"image": "x"}]}});
        assert!(strategic(&mut pod, patch).unwrap_err().contains("containers"));
    }
}
