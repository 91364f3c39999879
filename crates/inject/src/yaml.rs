//! YAML and JSON texts to values: settings, annotations, and what templates render.

use serde_json::Value;
use sunup_yaml::Limits;

use crate::fast;

/// The values of all documents of a text.
pub(crate) fn values(text: &str) -> Result<Vec<Value>, String> {
    let stream = sunup_yaml::read_values(text, &Limits::default());
    match stream.errors.first() {
        Some(error) => Err(error.to_string()),
        None => Ok(stream.documents.into_iter().map(|d| d.value).collect()),
    }
}

/// The value of a text of one document; null where it is empty.
pub(crate) fn value(text: &str) -> Result<Value, String> {
    if let Some(value) = fast::parse(text) {
        return Ok(value);
    }
    let mut all = values(text)?;
    match all.len() {
        0 => Ok(Value::Null),
        1 => Ok(all.swap_remove(0)),
        n => Err(format!("{n} documents where one is meant")),
    }
}

/// The value of what a template renders, read as Istio reads it: of duplicate keys the last counts.
///
/// # Sources
/// `applyOverlayYAML` of `pkg/kube/inject/webhook.go`: `sigs.k8s.io/yaml`, not strict. A list in
/// `sidecar.istio.io/userVolumeMount` renders each item's number and its own `name` as one key.
pub(crate) fn rendered(text: &str) -> Result<Value, String> {
    if let Some(value) = fast::parse(text) {
        return Ok(value);
    }
    let mut stream = sunup_yaml::read_values(text, &Limits::default());
    if let Some(error) = stream.errors.iter().find(|e| !e.why.starts_with("duplicate key")) {
        return Err(error.to_string());
    }
    match stream.documents.len() {
        0 => Ok(Value::Null),
        1 => Ok(stream.documents.swap_remove(0).value),
        n => Err(format!("{n} documents where one is meant")),
    }
}
