//! Whose pod it is: the workload that names and canonical labels come from.
//!
//! # Sources
//! `GetDeployMetaFromPod` of istio/istio `pkg/kube/util.go` (86c9f01).

use serde_json::Value;

use crate::value::{at, label, list_at, text_at};

/// The object a pod belongs to, as far as the pod tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace; empty where nothing says it.
    pub namespace: String,
}

impl Owner {
    /// The owner of a pod as an API server sends it, by Istio's heuristics on names.
    #[must_use]
    pub fn of_pod(pod: &Value) -> Owner {
        let text = |key| text_at(pod, &["metadata", key]).unwrap_or_default();
        let mut owner = Owner {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: text("name").to_owned(),
            namespace: text("namespace").to_owned(),
        };
        let controller = list_at(pod, &["metadata", "ownerReferences"])
            .iter()
            .find(|o| at(o, &["controller"]).and_then(Value::as_bool) == Some(true));
        let Some(controller) = controller.filter(|_| !text("generateName").is_empty()) else {
            return owner;
        };
        let of = |key| text_at(controller, &[key]).unwrap_or_default().to_owned();
        owner.api_version = of("apiVersion");
        owner.kind = of("kind");
        owner.name = of("name");
        owner.climb(pod);
        if owner.name.is_empty() {
            owner.name = text("name").to_owned();
        }
        owner
    }

    /// From the controller to what people wrote: ReplicaSet to Deployment, Job to CronJob.
    fn climb(&mut self, pod: &Value) {
        let hash = |key| label(pod, key).filter(|h| !h.is_empty() && self.name.ends_with(*h));
        let without = |hash: &str| {
            self.name.strip_suffix(&format!("-{hash}")).unwrap_or(&self.name).to_owned()
        };
        match self.kind.as_str() {
            "ReplicaSet" => {
                if let Some(h) = hash("pod-template-hash") {
                    (self.name, self.kind) = (without(h), "Deployment".to_owned());
                } else if let Some(h) = hash("rollouts-pod-template-hash") {
                    (self.name, self.kind) = (without(h), "Rollout".to_owned());
                    self.api_version = "v1alpha1".to_owned();
                }
            }
            "ReplicationController" => {
                if let Some(config) = label(pod, "deploymentconfig").filter(|c| !c.is_empty()) {
                    self.name = config.to_owned();
                    self.kind = "DeploymentConfig".to_owned();
                }
            }
            "Job" => {
                // A CronJob's Jobs are named after it and the minute they are due.
                let timed = self.name.rsplit_once('-').filter(|(name, time)| {
                    !name.is_empty()
                        && (8..=10).contains(&time.len())
                        && time.bytes().all(|b| b.is_ascii_digit())
                });
                if let Some((name, _)) = timed {
                    self.name = name.to_owned();
                    self.kind = "CronJob".to_owned();
                    self.api_version = "batch/v1".to_owned();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner(kind: &str, name: &str, labels: Value) -> (String, String) {
        let pod = json!({"metadata": {"generateName": "x-", "labels": labels, "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": true}]}});
        let o = Owner::of_pod(&pod);
        (o.kind, o.name)
    }

    #[test]
    fn controllers_lead_to_what_people_wrote() {
        let is = |got: (String, String), kind: &str, name: &str| {
            assert_eq!((got.0.as_str(), got.1.as_str()), (kind, name));
        };
        is(
            owner("ReplicaSet", "web-5d4f", json!({"pod-template-hash": "5d4f"})),
            "Deployment",
            "web",
        );
        is(owner("ReplicaSet", "web-5d4f", json!({})), "ReplicaSet", "web-5d4f");
        is(owner("Job", "tick-28391040", json!({})), "CronJob", "tick");
        is(owner("Job", "tick-2839104", json!({})), "Job", "tick-2839104");
        is(owner("StatefulSet", "db", json!({})), "StatefulSet", "db");
    }

    #[test]
    fn a_pod_with_a_name_of_its_own_is_its_own_owner() {
        let pod = json!({"metadata": {"name": "p", "ownerReferences": [
            {"kind": "ReplicaSet", "name": "x", "controller": true}]}});
        assert_eq!(Owner::of_pod(&pod).name, "p");
    }
}
