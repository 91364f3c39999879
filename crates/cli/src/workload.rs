//! `KIND/NAME` as people type it, with kubectl's short kinds.

use std::fmt;
use std::str::FromStr;

/// A workload that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workload {
    /// Kind as manifests spell it.
    pub(crate) kind: String,
    /// Name.
    pub(crate) name: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// Kinds that own pods, with what kubectl takes for them.
const KINDS: [(&str, &[&str]); 8] = [
    ("Deployment", &["deploy", "deployment", "deployments"]),
    ("StatefulSet", &["sts", "statefulset", "statefulsets"]),
    ("DaemonSet", &["ds", "daemonset", "daemonsets"]),
    ("ReplicaSet", &["rs", "replicaset", "replicasets"]),
    ("ReplicationController", &["rc", "replicationcontroller", "replicationcontrollers"]),
    ("Job", &["job", "jobs"]),
    ("CronJob", &["cj", "cronjob", "cronjobs"]),
    ("Pod", &["po", "pod", "pods"]),
];

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "give it as KIND/NAME, such as deploy/checkout".to_owned();
        let (kind, name) = text.split_once('/').ok_or_else(form)?;
        if kind.is_empty() || name.is_empty() || name.contains('/') {
            return Err(form());
        }
        // `kubectl get -o name` prints `deployment.apps/checkout`.
        let kind = kind.split_once('.').map_or(kind, |(kind, _group)| kind);
        Ok(Workload { kind: canonical(kind)?, name: name.to_owned() })
    }
}

fn canonical(kind: &str) -> Result<String, String> {
    let lower = kind.to_ascii_lowercase();
    if let Some((known, _)) = KINDS.iter().find(|(_, forms)| forms.contains(&lower.as_str())) {
        return Ok((*known).to_owned());
    }
    // A custom resource (an Argo Rollout, say) can own pods too; it must be spelled as manifests
    // do, so that a slip of the pen in a known kind is not taken for one.
    if kind.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Ok(kind.to_owned());
    }
    let short: Vec<&str> = KINDS.iter().map(|(_, forms)| forms[0]).collect();
    Err(format!(
        "unknown kind `{kind}`: use one of {}, or a custom kind spelled as in its manifest",
        short.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_long_plural_and_printed_kinds_mean_the_same() {
        for text in ["deploy/a", "Deployment/a", "deployments/a", "deployment.apps/a", "DEPLOY/a"] {
            let workload: Workload = text.parse().unwrap();
            assert_eq!((workload.kind.as_str(), workload.name.as_str()), ("Deployment", "a"));
        }
        assert_eq!("Rollout/a".parse::<Workload>().unwrap().kind, "Rollout");
    }

    #[test]
    fn what_names_no_workload_is_refused_with_the_form() {
        for text in ["checkout", "/checkout", "deploy/", "a/b/c", ""] {
            let error = text.parse::<Workload>().unwrap_err();
            assert!(error.contains("KIND/NAME"), "{text}: {error}");
        }
        let error = "deplyment/a".parse::<Workload>().unwrap_err();
        assert!(error.contains("deploy, sts"), "{error}");
    }
}
