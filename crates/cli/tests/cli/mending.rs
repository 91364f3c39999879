//! `sunup fix --live` against an API server: what is changed, what is left alone, and what is said.
//!
//! The pods run nowhere. A kubelet of the test's own says what became of each, and how that
//! depends on the template: this shows what the command makes of it, not that a fix helps. That is
//! for the lab to show. Nobody else may speak for pods of the scheduler `nobody`: no real kubelet
//! does, but an API server's `--fake-kubelet` would call them ready at once.

use std::collections::HashSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::controllers;
use super::kit::{self, Run};

const HOLD: &str = "holdApplicationUntilProxyStarts";

/// The incident whose pod, status and logs are used.
fn incident(name: &str) -> Value {
    let path = sunup_testkit::workspace_root().join("examples/app-before-proxy").join(name);
    serde_json::from_slice(&fs::read(path).expect("readable")).expect("JSON")
}

fn log(name: &str) -> String {
    let folder = sunup_testkit::workspace_root().join("examples/app-before-proxy/logs");
    fs::read_to_string(folder.join(format!("orders-7f8d6c5b9d-q4w8z.{name}.log"))).expect("a log")
}

/// The incident's pod as a template, under these annotations.
pub(crate) fn template(annotations: Value) -> Value {
    let mut pod = incident("pod.json");
    pod["spec"]["schedulerName"] = json!("nobody");
    for field in ["nodeName", "serviceAccountName", "serviceAccount", "volumes"] {
        pod["spec"].as_object_mut().expect("a spec").remove(field);
    }
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().expect("a list") {
            container.as_object_mut().expect("a container").remove("volumeMounts");
        }
    }
    json!({"metadata": {"labels": {"app": "orders"}, "annotations": annotations},
        "spec": pod["spec"]})
}

pub(crate) fn deployment(annotations: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "orders"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "orders"}},
            "template": template(annotations)}})
}

/// What becomes of a pod.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    /// Its application is faster than its proxy.
    Fault,
    /// The same, and it never comes up.
    Stuck,
    /// All is well.
    Well,
    /// Nothing is heard of it.
    Silence,
}

pub(crate) fn held(pod: &Value) -> bool {
    let config = pod["metadata"]["annotations"]["proxy.istio.io/config"].as_str();
    config.is_some_and(|config| config.contains(HOLD))
}

/// Pods that are told of once each; `fate` says how.
fn kubelet(cluster: &Cluster, told: &mut HashSet<String>, fate: &dyn Fn(&Value, usize) -> Fate) {
    let path = format!("/api/v1/namespaces/{}/pods", cluster.namespace);
    let list = cluster.send("GET", &path, &Value::Null);
    for pod in list["items"].as_array().expect("a list") {
        let number = told.len();
        let uid = pod["metadata"]["uid"].as_str().expect("a uid");
        if !told.insert(uid.to_owned()) {
            continue;
        }
        let name = pod["metadata"]["name"].as_str().expect("a name");
        let mut status = incident("pod.json")["status"].clone();
        let app = &mut status["containerStatuses"][0];
        let fate = fate(pod, number);
        match fate {
            Fate::Silence => continue,
            Fate::Fault | Fate::Stuck => {
                cluster.log(name, "orders.previous", log("orders.previous"));
                cluster.log(name, "orders", log("orders"));
            }
            Fate::Well => {
                app["restartCount"] = json!(0);
                app["lastState"] = json!({});
                cluster.log(name, "orders", log("orders"));
            }
        }
        if fate == Fate::Stuck {
            app["ready"] = json!(false);
            app["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
            status["conditions"] = json!([{"type": "Ready", "status": "False"}]);
        }
        cluster.log(name, "istio-proxy", log("istio-proxy"));
        cluster.send("PATCH", &format!("{path}/{name}/status"), &json!({"status": status}));
    }
}

/// Runs something while the kubelet is at work.
pub(crate) fn with_kubelet<T>(
    cluster: &Cluster,
    fate: impl Fn(&Value, usize) -> Fate + Sync,
    run: impl FnOnce(&dyn Fn(usize)) -> T,
) -> T {
    let (over, seen) = (AtomicBool::new(false), std::sync::Mutex::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut told = HashSet::new();
            while !over.load(Ordering::Relaxed) {
                controllers::step(cluster);
                kubelet(cluster, &mut told, &fate);
                *seen.lock().expect("no panic") = told.len();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        // Ends the kubelet whatever the run does.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _over = Over(&over);
        let wait = |pods: usize| {
            let end = Instant::now() + Duration::from_secs(60);
            while *seen.lock().expect("no panic") < pods {
                assert!(Instant::now() < end, "no pod was made");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        run(&wait)
    })
}

fn fix(cluster: &Cluster, more: &[&str]) -> Run {
    cluster.run(&[&["fix", "--live", "-w", "deploy/orders"], more].concat())
}

fn live(cluster: &Cluster) -> Value {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/orders", cluster.namespace);
    cluster.send("GET", &path, &Value::Null)
}

/// What only a change of ours would change.
fn spec(object: &Value) -> (&Value, &Value) {
    (&object["spec"], &object["metadata"]["generation"])
}

fn helps(pod: &Value, _: usize) -> Fate {
    if held(pod) { Fate::Well } else { Fate::Fault }
}

#[test]
fn a_fix_that_helps_is_applied_once_and_said_to_help() {
    let Some(cluster) = Cluster::new("a_fix_that_helps_is_applied_once_and_said_to_help") else {
        return;
    };
    cluster.create("deployments", &deployment(json!({})));
    with_kubelet(&cluster, helps, |wait| {
        wait(1);
        let before = live(&cluster);
        let dry = fix(&cluster, &["--dry-run"]);
        assert_eq!(dry.code, 0, "{}{}", dry.out, dry.err);
        let added = |line: &str| line.starts_with('+') && line.contains(HOLD);
        assert!(dry.out.lines().any(added), "{}", dry.out);
        assert_eq!(spec(&live(&cluster)), spec(&before), "a dry run changed something");
        let run = fix(&cluster, &[]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let said = "fixed: 1 of 1 pods ready, the slowest 0 s after its start, no restarts; \
                    app-before-proxy is not seen in the new pods. Before: 1 of 1 pods ready, the \
                    slowest 0 s after its start, 1 restart";
        assert!(run.out.contains(said), "{}", run.out);
    });
    let after = live(&cluster);
    assert!(held(&after["spec"]["template"]), "{after}");
    let managers = after["metadata"]["managedFields"].as_array().expect("managers");
    let own: Vec<_> =
        managers.iter().filter(|m| m["manager"] == "sunup-hold-application").collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["operation"], "Apply");
    with_kubelet(&cluster, helps, |wait| {
        wait(1);
        let again = fix(&cluster, &[]);
        assert_eq!(again.code, 0, "{}{}", again.out, again.err);
        assert!(again.out.contains("nothing to fix"), "{}", again.out);
    });
    assert_eq!(live(&cluster)["metadata"]["generation"], after["metadata"]["generation"]);
}

/// A run of a fix that does not help; the template before and after it.
fn in_vain(test: &str, more: &[&str]) -> Option<(Run, Value, Value)> {
    let cluster = Cluster::new(test)?;
    cluster.create("deployments", &deployment(json!({"kept": "yes"})));
    Some(with_kubelet(
        &cluster,
        |_, _| Fate::Fault,
        |wait| {
            wait(1);
            let before = live(&cluster)["spec"]["template"].clone();
            let run = fix(&cluster, more);
            assert_eq!(run.code, 1, "{}{}", run.out, run.err);
            let said = "not fixed, because the same fault is seen in the new pods (1 of 1 pods";
            assert!(run.out.contains(said), "{}", run.out);
            (run, before, live(&cluster)["spec"]["template"].clone())
        },
    ))
}

#[test]
fn a_fix_that_does_not_help_is_said_so_and_stays() {
    let test = "a_fix_that_does_not_help_is_said_so_and_stays";
    let Some((run, before, after)) = in_vain(test, &[]) else { return };
    assert!(run.out.contains("the change stays; to take it back: kubectl "), "{}", run.out);
    assert!(held(&after) && !held(&before));
}

#[test]
fn a_fix_that_does_not_help_is_taken_back_where_that_was_asked_for() {
    let test = "a_fix_that_does_not_help_is_taken_back_where_that_was_asked_for";
    let Some((run, before, after)) = in_vain(test, &["--rollback-on-failure"]) else { return };
    assert!(run.out.contains("taken back"), "{}", run.out);
    assert_eq!(after, before);
}

#[test]
fn a_template_that_has_the_fix_is_restarted() {
    let Some(cluster) = Cluster::new("a_template_that_has_the_fix_is_restarted") else { return };
    let hold = json!({"proxy.istio.io/config": format!("{{\"{HOLD}\":true}}")});
    cluster.create("deployments", &deployment(hold));
    let first = |_: &Value, number: usize| if number == 0 { Fate::Fault } else { Fate::Well };
    with_kubelet(&cluster, first, |wait| {
        wait(1);
        // Applied by somebody without a name of ours, so that it is ours only from now on.
        let run = fix(&cluster, &["--force-conflicts"]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        assert!(run.out.contains("the template has the fix already: restarting"), "{}", run.out);
        assert!(run.out.contains("fixed: 1 of 1 pods ready"), "{}", run.out);
    });
    let annotations = &live(&cluster)["spec"]["template"]["metadata"]["annotations"];
    assert!(!annotations["kubectl.kubernetes.io/restartedAt"].is_null(), "{annotations}");
}

#[test]
fn what_somebody_else_owns_is_left_alone_and_the_owner_named() {
    let Some(cluster) = Cluster::new("what_somebody_else_owns_is_left_alone_and_the_owner_named")
    else {
        return;
    };
    let own = json!({"proxy.istio.io/config": "{\"concurrency\":2}"});
    cluster.apply("deployments", &deployment(own), "argocd-controller");
    with_kubelet(&cluster, helps, |wait| {
        wait(1);
        let before = live(&cluster);
        let run = fix(&cluster, &[]);
        assert_eq!(run.code, 1, "{}{}", run.out, run.err);
        assert!(run.err.contains("Argo CD manages this object"), "{}", run.err);
        assert!(run.out.contains("not fixed, because somebody else owns"), "{}", run.out);
        assert!(run.out.contains("argocd-controller"), "{}", run.out);
        let said = "Argo CD manages this; here is the patch for your repository:\n  {\"spec\":";
        assert!(run.out.contains(said), "{}", run.out);
        assert_eq!(spec(&live(&cluster)), spec(&before), "something was changed");
        let run = fix(&cluster, &["--force-conflicts"]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    });
    let template = &live(&cluster)["spec"]["template"];
    let config = template["metadata"]["annotations"]["proxy.istio.io/config"].to_string();
    assert!(config.contains(HOLD) && config.contains("concurrency"), "{config}");
}

#[test]
fn ctrl_c_says_in_which_condition_the_cluster_is_left() {
    let Some(cluster) = Cluster::new("ctrl_c_says_in_which_condition_the_cluster_is_left") else {
        return;
    };
    cluster.create("deployments", &deployment(json!({})));
    let first = |_: &Value, number: usize| if number == 0 { Fate::Fault } else { Fate::Silence };
    with_kubelet(&cluster, first, |wait| {
        wait(1);
        let arguments = ["fix", "--live", "-w", "deploy/orders", "--kubeconfig", "kubeconfig"];
        let mut command = kit::sunup(cluster.folder.path(), &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("it starts");
        // The second pod is the new template's.
        wait(2);
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
        let run = Run::from(child.wait_with_output().expect("it ends"));
        assert_eq!(run.code, 130, "{}{}", run.out, run.err);
        assert!(run.err.contains("interrupted: the fix is applied and stays"), "{}", run.err);
        assert!(run.err.contains("rollout undo deployment/orders"), "{}", run.err);
    });
    assert!(held(&live(&cluster)["spec"]["template"]));
}

#[test]
fn pods_that_do_not_come_are_waited_for_only_so_long() {
    let Some(cluster) = Cluster::new("pods_that_do_not_come_are_waited_for_only_so_long") else {
        return;
    };
    cluster.create("deployments", &deployment(json!({})));
    let first = |_: &Value, number: usize| if number == 0 { Fate::Fault } else { Fate::Silence };
    with_kubelet(&cluster, first, |wait| {
        wait(1);
        let run = fix(&cluster, &["--wait", "2"]);
        assert_eq!(run.code, 1, "{}{}", run.out, run.err);
        assert!(run.out.contains("not fixed, because after 2 s: 0 of 1 pods ready"), "{}", run.out);
    });
}

/// A rollout of a broken template is stuck beside a pod of the one before; the fix makes that one
/// again, so that no new pod comes.
#[test]
fn pods_that_were_kept_of_the_mended_template_are_the_proof() {
    let test = "pods_that_were_kept_of_the_mended_template_are_the_proof";
    let Some(cluster) = Cluster::new(test) else { return };
    let mut set = deployment(json!({}));
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("orders");
    let made_set = cluster.create("statefulsets", &set);
    for name in ["orders-0", "orders-1"] {
        let made = template(json!({}));
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": made["metadata"],
            "spec": made["spec"]});
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1",
            "kind": "StatefulSet", "controller": true, "name": "orders",
            "uid": made_set["metadata"]["uid"]}]);
        let pods = format!("/api/v1/namespaces/{}/pods", cluster.namespace);
        cluster.send("POST", &pods, &pod);
    }
    let path = format!("/apis/apps/v1/namespaces/{}/statefulsets/orders", cluster.namespace);
    let over = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut told = HashSet::new();
            let fate = |pod: &Value, _| match pod["metadata"]["name"].as_str() {
                Some("orders-0") => Fate::Well,
                _ => Fate::Stuck,
            };
            while !over.load(Ordering::Relaxed) {
                kubelet(&cluster, &mut told, &fate);
                let now = cluster.send("GET", &path, &Value::Null);
                if held(&now["spec"]["template"]) {
                    let seen = &now["metadata"]["generation"];
                    let status = json!({"observedGeneration": seen, "replicas": 1,
                        "updatedReplicas": 1});
                    cluster.send("PATCH", &format!("{path}/status"), &json!({"status": status}));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        std::thread::sleep(Duration::from_millis(500));
        let run = cluster.run(&["fix", "--live", "-w", "statefulset/orders", "--wait", "60"]);
        over.store(true, Ordering::Relaxed);
        run
    });
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("has kept pods of it"), "{}", run.out);
    assert!(run.out.contains("fixed: 1 of 1 pods ready"), "{}", run.out);
}

#[test]
fn a_pod_of_its_own_is_made_anew_with_consent_only() {
    let Some(cluster) = Cluster::new("a_pod_of_its_own_is_made_anew_with_consent_only") else {
        return;
    };
    let made = template(json!({}));
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": made["metadata"],
        "spec": made["spec"]});
    pod["metadata"]["name"] = json!("orders");
    cluster.create("pods", &pod);
    let path = format!("/api/v1/namespaces/{}/pods/orders", cluster.namespace);
    with_kubelet(&cluster, helps, |wait| {
        wait(1);
        let before = cluster.send("GET", &path, &Value::Null);
        let arguments = ["fix", "--live", "-w", "pod/orders"];
        let asked = cluster.run(&arguments);
        assert_eq!(asked.code, 1, "{}{}", asked.out, asked.err);
        assert!(asked.out.contains("--recreate deletes it"), "{}", asked.out);
        let after = cluster.send("GET", &path, &Value::Null);
        assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
        let run = cluster.run(&[&arguments[..], &["--recreate"]].concat());
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        assert!(run.out.contains("deleted, and created with the fix"), "{}", run.out);
        let after = cluster.send("GET", &path, &Value::Null);
        assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
        assert!(held(&after));
    });
}

/// The template of `orders` as a workload of another kind, under its name.
pub(crate) fn workload(kind: &str, version: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "orders"},
        "spec": {"template": template(json!({}))}});
    for (key, value) in spec.as_object().expect("fields") {
        object["spec"][key] = value.clone();
    }
    object
}

#[test]
fn a_stateful_sets_pod_that_never_comes_up_is_replaced() {
    let Some(cluster) = Cluster::new("a_stateful_sets_pod_that_never_comes_up_is_replaced") else {
        return;
    };
    let spec = json!({"serviceName": "orders", "replicas": 1, "podManagementPolicy": "OrderedReady",
        "selector": {"matchLabels": {"app": "orders"}}, "updateStrategy": {"type": "RollingUpdate"}});
    cluster.create("statefulsets", &workload("StatefulSet", "apps/v1", spec));
    let stuck = |pod: &Value, _| if held(pod) { Fate::Well } else { Fate::Stuck };
    with_kubelet(&cluster, stuck, |wait| {
        wait(1);
        let run = cluster.run(&["fix", "--live", "-w", "sts/orders"]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let deleted = "deleted orders-0, which isn't ready: a StatefulSet replaces no pod before";
        assert!(run.out.contains(deleted), "{}", run.out);
        assert!(run.out.contains("fixed: 1 of 1 pods ready"), "{}", run.out);
    });
}

/// A template that a Job may have.
pub(crate) fn finite(mut job: Value) -> Value {
    job["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    job
}

#[test]
fn a_job_is_made_anew_with_consent_only() {
    let Some(cluster) = Cluster::new("a_job_is_made_anew_with_consent_only") else { return };
    let mut job = workload(
        "Job",
        "batch/v1",
        json!({"backoffLimit": 4, "manualSelector": true,
        "selector": {"matchLabels": {"app": "orders"}}}),
    );
    job["spec"] = finite(job["spec"].take());
    cluster.create("jobs", &job);
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/orders", cluster.namespace);
    with_kubelet(&cluster, helps, |wait| {
        wait(1);
        let before = cluster.send("GET", &path, &Value::Null);
        let arguments = ["fix", "--live", "-w", "job/orders", "--fix", "hold-application"];
        let asked = cluster.run(&arguments);
        assert_eq!(asked.code, 1, "{}{}", asked.out, asked.err);
        let said = "a Job's pods can't be changed: --recreate deletes it, with its pods, and";
        assert!(asked.out.contains(said), "{}", asked.out);
        let after = cluster.send("GET", &path, &Value::Null);
        assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
        let run = cluster.run(&[&arguments[..], &["--recreate"]].concat());
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        assert!(run.out.contains("deleted, and created with the fix"), "{}", run.out);
        let after = cluster.send("GET", &path, &Value::Null);
        assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
        assert!(held(&after["spec"]["template"]), "{after}");
    });
}

#[test]
fn a_cron_job_is_fixed_for_its_next_run_and_proved_by_one_with_consent() {
    let test = "a_cron_job_is_fixed_for_its_next_run_and_proved_by_one_with_consent";
    let Some(cluster) = Cluster::new(test) else { return };
    let spec = finite(json!({"template": template(json!({})), "manualSelector": true,
        "selector": {"matchLabels": {"app": "orders"}}}));
    let cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "orders"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": spec}}});
    let made = cluster.create("cronjobs", &cron_job);
    // A run of last time.
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "orders-1",
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "orders",
            "uid": made["metadata"]["uid"], "controller": true}]}, "spec": spec});
    job["metadata"]["namespace"] = cluster.namespace.clone().into();
    let jobs = format!("/apis/batch/v1/namespaces/{}/jobs", cluster.namespace);
    cluster.send("POST", &jobs, &job);
    with_kubelet(&cluster, helps, |wait| {
        wait(1);
        let arguments = ["fix", "--live", "-w", "cronjob/orders", "--fix", "hold-application"];
        let asked = cluster.run(&arguments);
        assert_eq!(asked.code, 1, "{}{}", asked.out, asked.err);
        assert!(asked.out.contains("--recreate starts a Job from it now"), "{}", asked.out);
        let path = jobs.replace("/jobs", "/cronjobs/orders");
        let template = &cluster.send("GET", &path, &Value::Null)["spec"]["jobTemplate"]["spec"];
        assert!(held(&template["template"]), "{template}");
        let run = cluster.run(&[&arguments[..], &["--recreate"]].concat());
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        assert!(run.out.contains("was started from it"), "{}", run.out);
        assert!(run.out.contains("fixed: 1 of 1 pods ready"), "{}", run.out);
    });
}

#[test]
fn a_fix_that_is_forbidden_changes_nothing_and_says_what_it_takes() {
    let Some(cluster) = Cluster::new("a_fix_that_is_forbidden_changes_nothing") else { return };
    cluster.create("deployments", &deployment(json!({})));
    with_kubelet(&cluster, helps, |wait| {
        wait(1);
        cluster.logs.refuse.store(true, Ordering::Relaxed);
        let run = fix(&cluster, &[]);
        assert_eq!(run.code, 2, "{}{}", run.out, run.err);
        assert!(run.err.contains("nothing was changed"), "{}", run.err);
        assert!(run.err.contains("(403)") && run.err.contains("sunup rbac --fix"), "{}", run.err);
    });
}

#[test]
fn wrong_usage_of_fix_is_told_before_anything_is_asked() {
    let folder = kit::folder(&[]);
    for line in [&["fix", "-w", "deploy/x"][..], &["fix", "--live"], &["fix", "--live", "-w", "x"]]
    {
        assert_eq!(kit::run(folder.path(), line).code, 2, "{line:?}");
    }
}
