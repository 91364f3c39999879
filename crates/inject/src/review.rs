//! One pod as an API server sends it: text in, the text of a JSON Patch out.
//!
//! # Sources
//! `inject` of istio/istio `pkg/kube/inject/webhook.go` (86c9f01).

use serde_json::Value;

use crate::injector::{Context, Injector};
use crate::reason::Level;
use crate::request::{Answer, Asked, ReviewError, namespace, read};

impl Injector {
    /// Decides on a pod and injects it, without any memory of other pods.
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
            return Ok(Answer { decision, patch: None, warnings: Vec::new(), mended: None });
        }
        let injection = self.inject(pod, context)?;
        let warnings = injection.reasons.iter().filter(|r| r.level == Level::Warning);
        let warnings = warnings.map(ToString::to_string).collect();
        let patch = (!injection.patch.is_empty())
            .then(|| serde_json::to_vec(&injection.patch))
            .transpose()
            .map_err(|e| ReviewError::Unreadable(e.to_string()))?;
        Ok(Answer { decision, patch, warnings, mended: None })
    }
}
