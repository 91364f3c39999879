//! What controllers of Jobs and StatefulSets do with their pods, where the API server of a test has
//! none: as Kubernetes documents it, one pod each.

use serde_json::{Value, json};

use super::cluster::Cluster;

/// How long a cluster's own controllers are given to show that they are there, in seconds.
const OWN: i64 = 2;

/// Makes, replaces and takes away the pods of one namespace's Jobs and StatefulSets.
pub(crate) fn step(cluster: &Cluster) {
    let pods = format!("/api/v1/namespaces/{}/pods", cluster.namespace);
    let all = cluster.send("GET", &pods, &Value::Null);
    let mut owners = Vec::new();
    for (group, plural) in [("batch", "jobs"), ("apps", "statefulsets")] {
        let path = format!("/apis/{group}/v1/namespaces/{}/{plural}", cluster.namespace);
        let list = cluster.send("GET", &path, &Value::Null);
        for owner in list["items"].as_array().expect("a list") {
            let uid = owner["metadata"]["uid"].as_str().expect("a uid");
            owners.push(uid.to_owned());
            let of = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["uid"] == *uid;
            let pod = all["items"].as_array().expect("a list").iter().find(of);
            match pod {
                None if elsewhere(owner) => {}
                None => {
                    cluster.send("POST", &pods, &made(owner, plural));
                }
                Some(pod) if plural == "statefulsets" && to_be_replaced(pod, owner) => {
                    let name = pod["metadata"]["name"].as_str().expect("a name");
                    cluster.send("DELETE", &format!("{pods}/{name}"), &Value::Null);
                }
                Some(_) => {}
            }
        }
    }
    // What garbage collection does.
    for pod in all["items"].as_array().expect("a list") {
        let owner = &pod["metadata"]["ownerReferences"][0];
        let ours = matches!(owner["kind"].as_str(), Some("Job" | "StatefulSet"));
        let gone = !owners.iter().any(|uid| owner["uid"] == *uid);
        if ours && gone && pod["metadata"]["annotations"]["made"] == "by the test" {
            let name = pod["metadata"]["name"].as_str().expect("a name");
            cluster.send("DELETE", &format!("{pods}/{name}"), &Value::Null);
        }
    }
}

/// Whether somebody else makes its pods, or may yet.
fn elsewhere(owner: &Value) -> bool {
    let made: jiff::Timestamp =
        owner["metadata"]["creationTimestamp"].as_str().expect("a time").parse().expect("a time");
    let known = owner["status"].as_object().is_some_and(|status| {
        // Defaults of the server say nothing.
        status.values().any(|value| !value.is_null() && *value != 0)
    });
    known || jiff::Timestamp::now().as_second() - made.as_second() < OWN
}

/// A pod that its StatefulSet replaces: it is ready, and of another template. One that isn't ready
/// is waited for (Kubernetes, "StatefulSets", "Forced rollback").
fn to_be_replaced(pod: &Value, owner: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.any(|c| c["type"] == "Ready" && c["status"] == "True");
    ready && pod["metadata"]["annotations"]["template"] != template(owner)
}

fn template(owner: &Value) -> String {
    owner["spec"]["template"].to_string()
}

fn made(owner: &Value, plural: &str) -> Value {
    let (meta, template_of) = (&owner["metadata"], &owner["spec"]["template"]);
    let name = meta["name"].as_str().expect("a name");
    let (kind, version, name) = match plural {
        "jobs" => {
            ("Job", "batch/v1", format!("{name}-{}", &meta["uid"].as_str().expect("uid")[..5]))
        }
        _ => ("StatefulSet", "apps/v1", format!("{name}-0")),
    };
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template_of["metadata"],
        "spec": template_of["spec"]});
    let own = &mut pod["metadata"];
    own["name"] = name.into();
    own["annotations"]["made"] = "by the test".into();
    own["annotations"]["template"] = template(owner).into();
    if kind == "Job" {
        own["labels"]["job-name"] = meta["name"].clone();
    }
    own["ownerReferences"] = json!([{"apiVersion": version, "kind": kind, "controller": true,
        "name": meta["name"], "uid": meta["uid"]}]);
    pod
}
