//! One pod as an API server sends it: text in, the text of a JSON Patch out.
//!
//! # Sources
//! `inject` of istio/istio `pkg/kube/inject/webhook.go` (86c9f01).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::decide::Decision;
use crate::error::InjectError;
use crate::injector::{Context, Injector};
use crate::reason::Level;
use crate::value::map_mut;

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

impl Injector {
    /// Decides on a pod that the API server's selectors have sent, and injects it.
    ///
    /// # Errors
    /// A pod that can't be read or injected.
    pub fn review(&self, asked: &Asked<'_>) -> Result<Answer, ReviewError> {
        self.recall(asked)
    }

    /// The same without any memory of other pods.
    pub(crate) fn review_anew(&self, asked: &Asked<'_>) -> Result<Answer, ReviewError> {
        let pod = read(asked)?;
        let context = Context {
            owner: None,
            native: None,
            namespace_annotations: asked.namespace_annotations,
            env: asked.env,
            asked_again: true,
        };
        self.answer(&pod, namespace(&pod, asked), &context)
    }

    pub(crate) fn answer(
        &self,
        pod: &Value,
        namespace: &str,
        context: &Context<'_>,
    ) -> Result<Answer, ReviewError> {
        let decision = self.settings().policy.decide_selected(namespace, pod);
        if !decision.inject {
            return Ok(Answer { decision, patch: None, warnings: Vec::new() });
        }
        let injection = self.inject(pod, context)?;
        let warnings = injection.reasons.iter().filter(|r| r.level == Level::Warning);
        let warnings = warnings.map(ToString::to_string).collect();
        let patch = (!injection.patch.is_empty())
            .then(|| serde_json::to_vec(&injection.patch))
            .transpose()
            .map_err(|e| ReviewError::Unreadable(e.to_string()))?;
        Ok(Answer { decision, patch, warnings })
    }
}

fn namespace<'a>(pod: &'a Value, asked: &Asked<'a>) -> &'a str {
    let own = crate::value::text_at(pod, &["metadata", "namespace"]);
    own.filter(|n| !n.is_empty()).unwrap_or(asked.namespace)
}

/// The pod, with the request's namespace where it has none. The patch is made from there on, so
/// that it doesn't set the namespace: the API server does.
pub(crate) fn read(asked: &Asked<'_>) -> Result<Value, ReviewError> {
    let unreadable = |e: serde_json::Error| ReviewError::Unreadable(e.to_string());
    let mut pod: Value = serde_json::from_str(asked.object).map_err(unreadable)?;
    if !pod.is_object() {
        let what = crate::value::kind(&pod);
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
