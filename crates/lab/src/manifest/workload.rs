//! The pods that a workload's controller would make: named and owned as in a cluster, made once.

use anyhow::Context as _;
use serde_json::{Value, json};

/// What Kubernetes makes random parts of names from.
const RANDOM: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The pod objects of a Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, or one run of a
/// CronJob, from its pod template, with names and owners as its controller gives them. `next`
/// gives random numbers. `replicas` and `parallelism` are honoured.
///
/// # Errors
/// It has no pod template.
pub fn pods_of(workload: &Value, mut next: impl FnMut() -> u64) -> anyhow::Result<Vec<Value>> {
    let kind = workload["kind"].as_str().context("kind")?;
    let name = workload["metadata"]["name"].as_str().context("metadata.name")?;
    let namespace = workload["metadata"]["namespace"].as_str().unwrap_or("default");
    let spec = &workload["spec"];
    let template = match kind {
        "CronJob" => &spec["jobTemplate"]["spec"]["template"],
        _ => &spec["template"],
    };
    anyhow::ensure!(template["spec"].is_object(), "{kind} {name}: no pod template");
    let count = match kind {
        "Job" => spec["parallelism"].as_u64().unwrap_or(1),
        "DaemonSet" | "CronJob" => 1,
        _ => spec["replicas"].as_u64().unwrap_or(1),
    };
    let hash = hash(template);
    (0..count)
        .map(|index| {
            let (prefix, owner_kind, owner) = match kind {
                "Deployment" => {
                    let owner = format!("{name}-{hash}");
                    (owner.clone(), "ReplicaSet", owner)
                }
                "CronJob" => {
                    let owner = format!("{name}-{}", 29_000_000 + next() % 1_000_000);
                    (owner.clone(), "Job", owner)
                }
                kind => (name.to_owned(), kind, name.to_owned()),
            };
            let last = match kind {
                "StatefulSet" => index.to_string(),
                _ => random(&mut next, 5),
            };
            let mut metadata = template["metadata"].clone();
            if !metadata.is_object() {
                metadata = json!({});
            }
            metadata["name"] = format!("{prefix}-{last}").into();
            metadata["generateName"] = format!("{prefix}-").into();
            metadata["namespace"] = namespace.into();
            let version = if matches!(owner_kind, "Job") { "batch/v1" } else { "apps/v1" };
            metadata["ownerReferences"] = json!([{"apiVersion": version, "kind": owner_kind,
                "name": owner, "uid": uid(&mut next), "controller": true,
                "blockOwnerDeletion": true}]);
            if kind == "Deployment" {
                metadata["labels"]["pod-template-hash"] = hash.clone().into();
            }
            let mut spec = template["spec"].clone();
            if matches!(kind, "Job" | "CronJob") && spec["restartPolicy"].is_null() {
                anyhow::bail!("{kind} {name}: spec.template.spec.restartPolicy is required");
            }
            if spec["restartPolicy"].is_null() {
                spec["restartPolicy"] = "Always".into();
            }
            Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
        })
        .collect()
}

fn random(next: &mut impl FnMut() -> u64, length: usize) -> String {
    (0..length)
        .map(|_| {
            let at = usize::try_from(next() % RANDOM.len() as u64).unwrap_or(0);
            char::from(RANDOM[at])
        })
        .collect()
}

/// A template's hash: as long and of the same letters as in a cluster, and the same for the same
/// template.
fn hash(template: &Value) -> String {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in template.to_string().bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut next = || {
        state = state.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state >> 33
    };
    random(&mut next, 10)
}

/// A unique id in the form of a UUID.
pub(crate) fn uid(next: &mut impl FnMut() -> u64) -> String {
    let (a, b) = (next(), next());
    let (a, b) = (a.rotate_left(32) ^ next(), b.rotate_left(32) ^ next());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | ((b >> 48) & 0x3fff),
        b & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_named_and_owned_as_their_controller_does() {
        let mut n = 0;
        let mut next = || {
            n += 7;
            n
        };
        let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": []}});
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "shop"},
            "spec": {"replicas": 2, "template": template}});
        let pods = pods_of(&deployment, &mut next).expect("pods");
        assert_eq!(pods.len(), 2);
        let owner = pods[0]["metadata"]["ownerReferences"][0]["name"].as_str().expect("owner");
        let name = pods[0]["metadata"]["name"].as_str().expect("name");
        assert!(name.starts_with(owner) && owner.starts_with("shop-"), "{name} {owner}");
        assert_ne!(pods[0]["metadata"]["name"], pods[1]["metadata"]["name"]);
        let hash = pods[0]["metadata"]["labels"]["pod-template-hash"].as_str();
        assert_eq!(hash, owner.strip_prefix("shop-"));
        let job = json!({"kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}});
        let error = pods_of(&job, &mut next).expect_err("no policy").to_string();
        assert!(error.contains("restartPolicy"), "{error}");
    }
}
