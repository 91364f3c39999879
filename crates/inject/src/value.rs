//! Small steps through a `serde_json::Value` that is a pod. Knows no Istio.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::InjectError;

/// Levels of nesting a pod may have. The deepest field of the Pod API is about 15 levels down;
/// annotations hold text, not structure.
pub(crate) const DEPTH_MAX: usize = 64;

/// The kind of a value, in the words of an error message.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean (write it in quotes where a string is meant)",
        Value::Number(_) => "a number (write it in quotes where a string is meant)",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// The value at a path of keys; `None` where a step is missing or leads through a scalar.
pub(crate) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |v, key| v.get(key)).filter(|v| !v.is_null())
}

/// The string at a path of keys.
pub(crate) fn text_at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    at(value, path)?.as_str()
}

/// The list at a path of keys; empty where there is none.
pub(crate) fn list_at<'v>(value: &'v Value, path: &[&str]) -> &'v [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The name of a container or volume.
pub(crate) fn name(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The containers of one list (`containers`, `initContainers`) of a pod.
pub(crate) fn containers<'v>(pod: &'v Value, list: &str) -> &'v [Value] {
    list_at(pod, &["spec", list])
}

/// A container by its name.
pub(crate) fn find<'v>(list: &'v [Value], wanted: &str) -> Option<&'v Value> {
    list.iter().find(|c| name(c) == wanted)
}

/// A container by its name, to change it: ordinary ones first, then init containers.
pub(crate) fn find_mut<'v>(pod: &'v mut Value, wanted: &str) -> Option<&'v mut Value> {
    let spec = pod.get_mut("spec")?.as_object_mut()?;
    let list = ["containers", "initContainers"].into_iter().find(|list| {
        spec.get(*list).and_then(Value::as_array).is_some_and(|l| find(l, wanted).is_some())
    })?;
    spec.get_mut(list)?.as_array_mut()?.iter_mut().find(|c| name(c) == wanted)
}

/// The map behind a key, made where it is missing or null.
///
/// `None` where something else than a map stands there.
pub(crate) fn map_mut<'v>(value: &'v mut Value, key: &str) -> Option<&'v mut Map<String, Value>> {
    let map = value.as_object_mut()?;
    let slot = map.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut()
}

/// The list behind a key, made where it is missing or null.
pub(crate) fn list_mut<'v>(value: &'v mut Value, key: &str) -> Option<&'v mut Vec<Value>> {
    let map = value.as_object_mut()?;
    let slot = map.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut()
}

/// A pod's annotation.
pub(crate) fn annotation<'v>(pod: &'v Value, key: &str) -> Option<&'v str> {
    pod.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// A pod's label.
pub(crate) fn label<'v>(pod: &'v Value, key: &str) -> Option<&'v str> {
    pod.get("metadata")?.get("labels")?.get(key)?.as_str()
}

/// Sets a pod's annotation.
pub(crate) fn set_annotation(pod: &mut Value, key: &str, value: String) {
    set_meta(pod, "annotations", key, value);
}

/// Sets a pod's label.
pub(crate) fn set_label(pod: &mut Value, key: &str, value: String) {
    set_meta(pod, "labels", key, value);
}

fn set_meta(pod: &mut Value, map: &str, key: &str, value: String) {
    let Some(map) = map_mut(pod, "metadata").and_then(|m| {
        let slot = m.entry(map).or_insert(Value::Null);
        if slot.is_null() {
            *slot = Value::Object(Map::new());
        }
        slot.as_object_mut()
    }) else {
        return;
    };
    map.insert(key.to_owned(), Value::String(value));
}

/// A scalar as Go's `fmt.Sprint` and Helm write it; `None` for null, lists and maps.
pub(crate) fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(s) => Some(Cow::Borrowed(s)),
        Value::Bool(b) => Some(Cow::Borrowed(if *b { "true" } else { "false" })),
        Value::Number(n) => Some(Cow::Owned(n.to_string())),
        _ => None,
    }
}

/// Lays `over` on `base` as Helm lays values: maps are merged, null removes, all else replaces.
pub(crate) fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                    continue;
                }
                match base.get_mut(key) {
                    Some(slot) => overlay(slot, value),
                    None => {
                        base.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// Checks that the fields the injector reads and writes have the types Kubernetes gives them,
/// so that every later step may rely on it and a hostile pod gets a clear answer.
///
/// # Errors
/// The first wrong field, or too deep a nesting.
pub(crate) fn check_pod(pod: &Value) -> Result<(), InjectError> {
    check_depth(pod, DEPTH_MAX)?;
    object(pod, || "the pod".to_owned())?;
    let metadata = field(pod, "metadata");
    object(metadata, || "metadata".to_owned())?;
    for key in ["labels", "annotations"] {
        strings(field(metadata, key), key)?;
    }
    for key in ["name", "namespace", "generateName"] {
        string(field(metadata, key), || format!("metadata.{key}"))?;
    }
    let owners = field(metadata, "ownerReferences");
    for (i, owner) in list(owners, || "metadata.ownerReferences".to_owned())?.iter().enumerate() {
        object(owner, || format!("metadata.ownerReferences[{i}]"))?;
    }
    let spec = field(pod, "spec");
    object(spec, || "spec".to_owned())?;
    boolean(field(spec, "hostNetwork"), || "spec.hostNetwork".to_owned())?;
    let security = field(spec, "securityContext");
    object(security, || "spec.securityContext".to_owned())?;
    let sysctls = || "spec.securityContext.sysctls".to_owned();
    for (i, sysctl) in list(field(security, "sysctls"), sysctls)?.iter().enumerate() {
        named(sysctl, || format!("{}[{i}]", sysctls()))?;
    }
    string(field(spec, "serviceAccountName"), || "spec.serviceAccountName".to_owned())?;
    for key in ["volumes", "imagePullSecrets"] {
        for (i, item) in list(field(spec, key), || format!("spec.{key}"))?.iter().enumerate() {
            named(item, || format!("spec.{key}[{i}]"))?;
        }
    }
    for key in ["containers", "initContainers"] {
        for (i, c) in list(field(spec, key), || format!("spec.{key}"))?.iter().enumerate() {
            check_container(c, &|| format!("spec.{key}[{i}]"))?;
        }
    }
    Ok(())
}

/// Checks one container; `path` is its place in the error.
pub(crate) fn check_container(
    container: &Value,
    path: &dyn Fn() -> String,
) -> Result<(), InjectError> {
    named(container, path)?;
    let sub = |key: &str| format!("{}.{key}", path());
    string(field(container, "image"), || sub("image"))?;
    for key in ["env", "volumeMounts", "ports", "envFrom", "volumeDevices"] {
        for (i, item) in list(field(container, key), || sub(key))?.iter().enumerate() {
            object(item, || format!("{}[{i}]", sub(key)))?;
        }
    }
    for key in ["args", "command"] {
        for (i, item) in list(field(container, key), || sub(key))?.iter().enumerate() {
            string(item, || format!("{}[{i}]", sub(key)))?;
        }
    }
    for key in ["resources", "securityContext", "lifecycle"] {
        object(field(container, key), || sub(key))?;
    }
    for key in ["readinessProbe", "livenessProbe", "startupProbe"] {
        handler(field(container, key), &|| sub(key))?;
    }
    let lifecycle = field(container, "lifecycle");
    for key in ["preStop", "postStart"] {
        handler(field(lifecycle, key), &|| sub(&format!("lifecycle.{key}")))?;
    }
    Ok(())
}

fn handler(value: &Value, path: &dyn Fn() -> String) -> Result<(), InjectError> {
    if value.is_null() {
        return Ok(());
    }
    object(value, path)?;
    for key in ["httpGet", "tcpSocket", "grpc", "exec"] {
        object(field(value, key), || format!("{}.{key}", path()))?;
    }
    Ok(())
}

fn check_depth(value: &Value, left: usize) -> Result<(), InjectError> {
    let Some(left) = left.checked_sub(1) else {
        return Err(InjectError::TooDeep { limit: DEPTH_MAX });
    };
    match value {
        Value::Array(items) => items.iter().try_for_each(|v| check_depth(v, left)),
        Value::Object(map) => map.values().try_for_each(|v| check_depth(v, left)),
        _ => Ok(()),
    }
}

fn field<'v>(value: &'v Value, key: &str) -> &'v Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn wrong(path: impl FnOnce() -> String, found: &Value, wanted: &'static str) -> InjectError {
    InjectError::WrongType { path: path(), found: kind(found), wanted }
}

fn object(value: &Value, path: impl FnOnce() -> String) -> Result<(), InjectError> {
    match value {
        Value::Null | Value::Object(_) => Ok(()),
        other => Err(wrong(path, other, "a map")),
    }
}

fn named(value: &Value, path: impl Fn() -> String) -> Result<(), InjectError> {
    if !value.is_object() {
        return Err(wrong(path, value, "a map"));
    }
    string(field(value, "name"), || format!("{}.name", path()))
}

fn string(value: &Value, path: impl FnOnce() -> String) -> Result<(), InjectError> {
    match value {
        Value::Null | Value::String(_) => Ok(()),
        other => Err(wrong(path, other, "a string")),
    }
}

fn boolean(value: &Value, path: impl FnOnce() -> String) -> Result<(), InjectError> {
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        other => Err(wrong(path, other, "true or false")),
    }
}

fn list(value: &Value, path: impl FnOnce() -> String) -> Result<&[Value], InjectError> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        other => Err(wrong(path, other, "a list")),
    }
}

/// A map of strings below `metadata`.
fn strings(value: &Value, key: &str) -> Result<(), InjectError> {
    object(value, || format!("metadata.{key}"))?;
    let mut entries = value.as_object().into_iter().flatten();
    match entries.find(|(_, v)| !v.is_string()) {
        Some((name, v)) => Err(wrong(|| format!("metadata.{key}[{name:?}]"), v, "a string")),
        None => Ok(()),
    }
}

/// What a Go template takes for true.
pub(crate) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(m) => !m.is_empty(),
    }
}
