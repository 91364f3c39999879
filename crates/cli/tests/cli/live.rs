//! `sunup doctor --live`, `--save` and reading that back; clusters that were not named.

use std::fs;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::kit;

fn example(name: &str) -> std::path::PathBuf {
    sunup_testkit::workspace_root().join("examples").join(name)
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("readable")).expect("JSON")
}

/// An incident's pod, events and logs as a cluster has them.
fn incident(cluster: &Cluster, name: &str) -> String {
    let folder = example(name);
    let mut pod = read(&folder.join("pod.json"));
    // Nobody is to run it: what became of it is known.
    pod["spec"]["schedulerName"] = json!("nobody");
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("nodeName");
        spec.remove("serviceAccountName");
        spec.remove("serviceAccount");
    }
    let pod = cluster.create("pods", &pod);
    let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
    for event in read(&folder.join("events.json"))["items"].as_array().expect("a list") {
        cluster.create("events", event);
    }
    for log in fs::read_dir(folder.join("logs")).expect("logs").flatten() {
        let text = fs::read_to_string(log.path()).expect("a log");
        let of = log.file_name().into_string().expect("UTF-8");
        let container = of.strip_prefix(&format!("{name}.")).expect("the pod's");
        cluster.log(&name, container.strip_suffix(".log").expect("a log"), text);
    }
    let labels = json!({"app": "orders"});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "orders"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "orders", "image": "orders"}]}}}});
    cluster.create("deployments", &deployment);
    name
}

#[test]
fn a_live_report_and_one_of_what_was_kept_are_the_same() {
    let Some(cluster) = Cluster::new("a_live_report_and_one_of_what_was_kept_are_the_same") else {
        return;
    };
    let pod = incident(&cluster, "app-before-proxy");
    let live = cluster.run(&["doctor", "--live", "--save", "kept", "--format", "json"]);
    assert_eq!(live.code, 1, "{}", live.err);
    let asking = "note: asking context test, cluster c (http://127.0.0.1:";
    assert!(live.err.starts_with(asking), "{}", live.err);
    let kept = kit::run(cluster.folder.path(), &["doctor", "kept", "--format", "json"]);
    assert_eq!((kept.code, &kept.out), (1, &live.out));
    let report: Value = serde_json::from_str(&live.out).expect("JSON");
    let finding = &report["findings"][0];
    // The node's clock is weeks behind the API server's: logs and what the kubelet says of the pod
    // are compared with each other, never with what the API server stamps.
    assert_eq!(
        (&finding["rule"], &finding["verdict"]),
        (&json!("app-before-proxy"), &json!("confirmed"))
    );
    assert_eq!(finding["subject"]["pods"], json!([pod]));
    assert_eq!(finding["subject"]["kind"], "Deployment");
    let command = finding["fixes"][0]["command"].as_str().expect("a command");
    assert!(command.contains(&format!("kubectl -n {} patch deployment/orders", cluster.namespace)));
    let all = ["doctor", "kept", "--format", "json", "--fail-on", "never"];
    assert_eq!(kit::run(cluster.folder.path(), &all).code, 0);
    // A second run into the same folder would mix two runs' evidence.
    let again = cluster.run(&["doctor", "--live", "--save", "kept"]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("kept is not empty"), "{}", again.err);
}

#[test]
fn what_is_kept_to_be_shared_is_redacted_and_says_the_same() {
    let Some(cluster) = Cluster::new("what_is_kept_to_be_shared_is_redacted_and_says_the_same")
    else {
        return;
    };
    let pod = incident(&cluster, "app-before-proxy");
    let live = cluster.run(&["doctor", "--live", "--redact", "--save", "kept"]);
    assert_eq!(live.code, 1, "{}", live.err);
    let mut files = vec![cluster.folder.path().join("kept")];
    let mut read = 0;
    while let Some(path) = files.pop() {
        assert!(!path.to_string_lossy().contains(&pod), "{path:?} names the pod");
        if path.is_dir() {
            files.extend(fs::read_dir(path).expect("a folder").flatten().map(|entry| entry.path()));
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        assert!(!text.contains(&pod), "{path:?} names the pod");
        read += 1;
    }
    assert!(read > 3, "{read} files were kept");
    let kept = kit::run(cluster.folder.path(), &["doctor", "kept", "--format", "json"]);
    let report: Value = serde_json::from_str(&kept.out).expect("JSON");
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["rule"], &finding["verdict"]),
        (&json!("app-before-proxy"), &json!("confirmed"))
    );
}

#[test]
fn one_workload_or_some_labels_are_asked_for_alone() {
    let Some(cluster) = Cluster::new("one_workload_or_some_labels_are_asked_for_alone") else {
        return;
    };
    incident(&cluster, "app-before-proxy");
    for some in [&["-w", "deploy/orders"][..], &["-l", "app=orders"], &["-l", "app in (orders)"]] {
        let run = cluster.run(&[&["doctor", "--live", "-q"], some].concat());
        assert_eq!(run.code, 1, "{some:?} {}", run.err);
        assert!(run.out.contains("app-before-proxy"), "{some:?} {}", run.out);
    }
    let other = cluster.run(&["doctor", "--live", "-l", "app=other"]);
    assert_eq!((other.code, other.out.contains("app-before-proxy")), (2, false), "{}", other.err);
    assert!(other.err.contains("no pod has the labels app=other"), "{}", other.err);
    let none = cluster.run(&["doctor", "--live", "-w", "deploy/ordres"]);
    assert_eq!(none.code, 2);
    let namespace = &cluster.namespace;
    let there = format!("there is no Deployment `ordres` in namespace {namespace}");
    assert!(none.err.contains(&there), "{}", none.err);
}

#[test]
fn a_manifest_beside_a_live_cluster_is_what_is_edited() {
    let Some(cluster) = Cluster::new("a_manifest_beside_a_live_cluster_is_what_is_edited") else {
        return;
    };
    incident(&cluster, "app-before-proxy");
    let manifest = fs::read_to_string(example("app-before-proxy").join("deploy.yaml"));
    let manifest = manifest.expect("readable").replace("shop", &cluster.namespace);
    let path = cluster.folder.path().join("deploy.yaml");
    fs::write(&path, &manifest).expect("written");
    let run = cluster.run(&["doctor", "--live", "deploy.yaml", "--fix"]);
    assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
    let after = fs::read_to_string(&path).expect("readable");
    assert!(after.contains("holdApplicationUntilProxyStarts"), "{after}");
}

#[test]
fn where_there_are_no_pods_that_is_said_and_no_file_asked_for() {
    let Some(cluster) = Cluster::new("where_there_are_no_pods_that_is_said_and_no_file_asked_for")
    else {
        return;
    };
    let run = cluster.run(&["doctor", "--live"]);
    assert_eq!(run.code, 2, "{}{}", run.out, run.err);
    assert!(run.err.contains("there is no pod and no workload"), "{}", run.err);
    assert!(!run.out.contains("To add it"), "{}", run.out);
    // One that asks for no pods is a workload all the same.
    let empty = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "idle"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "idle"}},
            "template": {"metadata": {"labels": {"app": "idle"}},
                "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}}}});
    cluster.create("deployments", &empty);
    for narrow in [&["doctor", "--live"][..], &["doctor", "--live", "-w", "deploy/idle"]] {
        let run = cluster.run(narrow);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    }
}

#[test]
fn no_cluster_is_asked_that_was_not_named() {
    let two = "{apiVersion: v1, kind: Config, current-context: prod, clusters: [{name: c, cluster: \
        {server: 'http://127.0.0.1:1'}}], users: [], contexts: [{name: prod, context: \
        {cluster: c}}, {name: dev, context: {cluster: c}}]}";
    let folder = kit::folder(&[("config", two)]);
    let run = |arguments: &[&str]| {
        let mut command = kit::sunup(folder.path(), arguments);
        command.env("KUBECONFIG", "config").env_remove("KUBERNETES_SERVICE_HOST");
        kit::Run::from(command.output().expect("the binary starts"))
    };
    let unnamed = run(&["doctor", "--live"]);
    assert_eq!(unnamed.code, 2);
    let said = "which cluster? Name one with --context; there are:\n  --context prod  (kubectl's";
    assert!(unnamed.err.contains(said), "{}", unnamed.err);
    let unreachable = run(&["doctor", "--live", "--context", "dev"]);
    assert_eq!(unreachable.code, 2);
    let said = "context dev, cluster c (http://127.0.0.1:1)";
    assert!(unreachable.err.contains(said), "{}", unreachable.err);
    assert!(
        unreachable.err.contains("can't be reached: Connection refused"),
        "{}",
        unreachable.err
    );
}

#[test]
fn roles_are_printed_with_reasons_and_bindings() {
    let folder = kit::folder(&[]);
    let plain = kit::run(folder.path(), &["rbac"]);
    assert_eq!(plain.code, 0);
    assert!(plain.out.contains("  # list: ") && !plain.out.contains("Binding"), "{}", plain.out);
    assert!(!plain.out.contains("patch"), "{}", plain.out);
    let bound = kit::run(folder.path(), &["rbac", "--fix", "-n", "shop", "--to", "sa:ops/sunup"]);
    assert!(
        bound.out.contains("kind: RoleBinding\nmetadata:\n  name: sunup-fix\n  namespace: shop")
    );
    assert!(bound.out.contains("verbs: [\"patch\"]") || bound.out.contains("\"patch\"]"));
    let wrong = kit::run(folder.path(), &["rbac", "--to", "jane"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("user:NAME"), "{}", wrong.err);
}
