//! The rights that mending takes beside those of looking: each is used, and whoever hasn't it reads
//! which one is missing, with nothing lost.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sunup_kube::rbac::{Task, rules};

use super::cluster::Cluster;
use super::mending::{Fate, deployment, finite, held, template, with_kubelet, workload};

/// Group, resource and verb.
type Right = (&'static str, &'static str, &'static str);

/// What `sunup rbac --fix` prints beside what `sunup rbac` does.
fn to_mend() -> BTreeSet<Right> {
    let all = |task| {
        let rules = rules(task).into_iter();
        let each = rules.flat_map(|rule| {
            let verbs = rule.verbs.iter().map(|(verb, _)| *verb).collect::<Vec<_>>();
            verbs.into_iter().map(move |verb| (rule.group, rule.resource, verb))
        });
        each.collect::<BTreeSet<Right>>()
    };
    all(Task::Fix).difference(&all(Task::Doctor)).copied().collect()
}

/// A workload of a kind with a pod whose application is refused.
fn faulty(cluster: &Cluster, kind: &str) {
    let selector = json!({"matchLabels": {"app": "orders"}});
    match kind {
        "deployment" => drop(cluster.create("deployments", &deployment(json!({})))),
        "statefulset" => {
            let spec = json!({"serviceName": "orders", "replicas": 1, "selector": selector});
            cluster.create("statefulsets", &workload("StatefulSet", "apps/v1", spec));
        }
        "daemonset" => {
            let spec = json!({"selector": selector});
            let made = cluster.create("daemonsets", &workload("DaemonSet", "apps/v1", spec));
            pod_of(cluster, "DaemonSet", "apps/v1", &made);
        }
        "job" => {
            let spec = json!({"manualSelector": true, "selector": selector});
            let mut job = workload("Job", "batch/v1", spec);
            job["spec"] = finite(job["spec"].take());
            cluster.create("jobs", &job);
        }
        "cronjob" => {
            let spec = finite(json!({"template": template(json!({})), "manualSelector": true,
                "selector": selector}));
            let cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob",
                "metadata": {"name": "orders"},
                "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": spec}}});
            let made = cluster.create("cronjobs", &cron_job);
            let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": spec,
                "metadata": {"name": "orders-1"}});
            job["metadata"]["namespace"] = cluster.namespace.clone().into();
            job["metadata"]["ownerReferences"] = owned("CronJob", "batch/v1", &made);
            let jobs = format!("/apis/batch/v1/namespaces/{}/jobs", cluster.namespace);
            cluster.send("POST", &jobs, &job);
        }
        _ => {
            let made = template(json!({}));
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": made["spec"],
                "metadata": {"name": "orders", "labels": {"app": "orders"}}});
            cluster.create("pods", &pod);
        }
    }
}

fn owned(kind: &str, version: &str, owner: &Value) -> Value {
    json!([{"apiVersion": version, "kind": kind, "name": "orders", "controller": true,
        "uid": owner["metadata"]["uid"]}])
}

fn pod_of(cluster: &Cluster, kind: &str, version: &str, owner: &Value) {
    let made = template(json!({}));
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": made["spec"],
        "metadata": {"name": "orders-x7k2p", "labels": {"app": "orders"}}});
    pod["metadata"]["ownerReferences"] = owned(kind, version, owner);
    let pods = format!("/api/v1/namespaces/{}/pods", cluster.namespace);
    cluster.send("POST", &pods, &pod);
}

/// By which workload each right is shown to be needed.
const SHOWN: [(Right, &str, &[&str]); 9] = [
    (("apps", "deployments", "patch"), "deployment", &[]),
    (("", "pods", "watch"), "deployment", &[]),
    (("apps", "statefulsets", "patch"), "statefulset", &[]),
    (("apps", "daemonsets", "patch"), "daemonset", &[]),
    (("batch", "cronjobs", "patch"), "cronjob", &["--fix", "hold-application"]),
    (("batch", "jobs", "create"), "job", &["--fix", "hold-application", "--recreate"]),
    (("batch", "jobs", "delete"), "job", &["--fix", "hold-application", "--recreate"]),
    (("", "pods", "create"), "pod", &["--recreate"]),
    (("", "pods", "delete"), "pod", &["--recreate"]),
];

#[test]
fn each_right_to_mend_is_needed_and_missed_by_name() {
    let test = "each_right_to_mend_is_needed_and_missed_by_name";
    let shown: BTreeSet<Right> = SHOWN.iter().map(|(right, ..)| *right).collect();
    assert_eq!(shown, to_mend(), "each right has its row");
    for (right, kind, more) in SHOWN {
        let Some(cluster) = Cluster::new(test) else { return };
        faulty(&cluster, kind);
        let plural = format!("{kind}s");
        let group = if kind == "pod" { "api/v1" } else { workload_group(kind) };
        let path = format!("/{group}/namespaces/{}/{plural}/orders", cluster.namespace);
        // What is made with the fix is not heard of again: nothing but a watch would tell.
        let fate = |pod: &Value, _| if held(pod) { Fate::Silence } else { Fate::Fault };
        with_kubelet(&cluster, fate, |wait| {
            wait(1);
            let before = cluster.send("GET", &path, &Value::Null);
            *cluster.logs.without.lock().expect("no panic") = Some(right);
            let named = format!("{kind}/orders");
            let arguments = [&["fix", "--live", "--wait", "20", "-w", &named], more].concat();
            let run = cluster.run(&arguments);
            assert_ne!(run.code, 0, "{right:?}: {}{}", run.out, run.err);
            let (_, resource, verb) = right;
            let said = format!("{}{}", run.out, run.err);
            let names = said.contains(resource) && (said.contains(verb) || said.contains("403"));
            assert!(names, "{right:?}: {said}");
            let after = cluster.send("GET", &path, &Value::Null);
            assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "{right:?}: {said}");
        });
    }
}

fn workload_group(kind: &str) -> &'static str {
    if matches!(kind, "job" | "cronjob") { "apis/batch/v1" } else { "apis/apps/v1" }
}
