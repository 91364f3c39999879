//! What an API server asks about a pod, and what it is answered.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::classic::Mended;
use crate::decide::Decision;
use crate::error::InjectError;
use crate::value::{kind, map_mut, text_at};

/// A pod, and what the API server says beside it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The pod's JSON.
    pub object: &'a str,
    /// The request's namespace; the pod itself may leave it out.
    pub namespace: &'a str,
    /// Annotations of the namespace, where they matter (OpenShift's uid ranges).
    pub namespace_annotations: Option<&'a BTreeMap<String, String>>,
    /// Variables that the URL sets for the proxy.
    pub env: Option<&'a BTreeMap<String, String>>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Yes or no, and why.
    pub decision: Decision,
    /// A JSON Patch that applies to the object as sent; `None` where nothing changes.
    pub patch: Option<Vec<u8>>,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
    /// What a guard did to a classic sidecar, of which its author should hear in the doctor's words.
    pub mended: Option<Mended>,
}

/// Why a pod can't be judged or injected. Retrying doesn't help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// It is no JSON, or nested too deeply to be read.
    #[error("the pod can't be read: {0}")]
    Unreadable(String),
    /// It is refused, as Kubernetes or Istio would refuse it.
    #[error(transparent)]
    Refused(#[from] InjectError),
}

/// The namespace that a pod will be in.
pub(crate) fn namespace<'a>(pod: &'a Value, asked: &Asked<'a>) -> &'a str {
    let own = text_at(pod, &["metadata", "namespace"]);
    own.filter(|n| !n.is_empty()).unwrap_or(asked.namespace)
}

/// The pod, with the request's namespace where it has none. The patch is made from there on, so
/// that it doesn't set the namespace: the API server does.
pub(crate) fn read(asked: &Asked<'_>) -> Result<Value, ReviewError> {
    let unreadable = |e: serde_json::Error| ReviewError::Unreadable(e.to_string());
    let mut pod: Value = serde_json::from_str(asked.object).map_err(unreadable)?;
    if !pod.is_object() {
        let what = kind(&pod);
        return Err(ReviewError::Unreadable(format!("it is {what}, not a map")));
    }
    let missing = |m: &&mut Map<String, Value>| {
        m.get("namespace").and_then(Value::as_str).is_none_or(str::is_empty)
    };
    // Who made which field is of no use here, and can be as large as the pod.
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    // Without metadata the patch has to make them, namespace and all.
    if !asked.namespace.is_empty()
        && pod.get("metadata").is_some_and(Value::is_object)
        && let Some(metadata) = map_mut(&mut pod, "metadata").filter(missing)
    {
        metadata.insert("namespace".to_owned(), asked.namespace.into());
    }
    Ok(pod)
}
