//! `--live --cloud-logging auto`: a cluster says which project and cluster it is, and the store is
//! asked for what it no longer has. The API server is a few recorded objects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sunup_testkit::web::{Answer, Request, Web};

use super::super::kit::{self, Run};
use super::cloud::{findings, report};
use super::project::{Project, real};

/// What a cluster has.
#[derive(Default)]
struct Cluster {
    nodes: Vec<Value>,
    pods: Vec<Value>,
    events: Vec<Value>,
    /// By pod and container, `.previous` behind that of the run before.
    logs: BTreeMap<String, String>,
    issuer: Option<String>,
    asked: Mutex<Vec<String>>,
}

fn refused(code: u16) -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "code": code, "message": "no"});
    Answer::new(code, status.to_string())
}

impl Cluster {
    /// Takes a recorded folder's pods, events and logs in.
    fn has(&mut self, folder: &Path) {
        let text = std::fs::read_to_string(folder.join("in/pods-events.json")).expect("recorded");
        let list: Value = serde_json::from_str(&text).expect("JSON");
        for item in list["items"].as_array().expect("a list") {
            let all = if item["kind"] == "Pod" { &mut self.pods } else { &mut self.events };
            all.push(item.clone());
        }
        for file in std::fs::read_dir(folder.join("in/logs")).expect("recorded").flatten() {
            let name = file.file_name().into_string().expect("UTF-8");
            let of = name.strip_suffix(".log").expect("a log").replacen('.', "/", 1);
            self.logs.insert(of, std::fs::read_to_string(file.path()).expect("text"));
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        self.asked.lock().expect("no panic while it was held").push(request.target.clone());
        let path = request.target.split('?').next().expect("one part at least");
        if let Some(of) = path.strip_suffix("/log") {
            let pod = of.rsplit('/').next().expect("a pod");
            let container = request.parameter("container").expect("given");
            let before = request.parameter("previous").as_deref() == Some("true");
            let before = if before { ".previous" } else { "" };
            let log = self.logs.get(&format!("{pod}/{container}{before}"));
            return log.map_or_else(|| refused(400), |log| Answer::new(200, log.clone()));
        }
        let items = match path.rsplit('/').next().expect("a part") {
            "nodes" => self.nodes.clone(),
            "pods" => self.pods.clone(),
            "events" => self.events.clone(),
            "openid-configuration" => {
                let issuer = self.issuer.as_ref();
                let say = |issuer| Answer::new(200, json!({"issuer": issuer}).to_string());
                return issuer.map_or_else(|| refused(403), say);
            }
            _ if path.contains("/configmaps/") => return refused(404),
            _ => Vec::new(),
        };
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items});
        Answer::new(200, list.to_string())
    }
}

fn node(project: &str) -> Value {
    json!({"metadata": {"name": "gke-c-pool-1-0a1b2c3d-x1y2"},
        "spec": {"providerID": format!("gce://{project}/l/gke-c-pool-1-0a1b2c3d-x1y2")}})
}

/// A cluster that listens, and a kubeconfig that calls it so.
fn serve(cluster: Cluster, name: &str) -> (Arc<Cluster>, tempfile::TempDir) {
    let cluster = Arc::new(cluster);
    let inside = Arc::clone(&cluster);
    let url = Web::new(move |request| inside.answer(request)).url();
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config",
        "contexts": [{"name": "prod", "context": {"cluster": name, "user": "u", "namespace": "shop-a"}}],
        "clusters": [{"name": name, "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}]});
    let folder = kit::folder(&[("kubeconfig", &kubeconfig.to_string())]);
    (cluster, folder)
}

const TIMES: [&str; 4] = ["--since", "2026-11-30T21:30:00Z", "--until", "2026-11-30T22:10:00Z"];

fn run(project: &Project, folder: &Path, arguments: &[&str]) -> Run {
    let line = ["doctor", "--live", "--cloud-logging", "auto"];
    run_line(project, folder, &[&line[..], arguments].concat())
}

/// A command line, with what it is to find there.
fn run_line(project: &Project, folder: &Path, line: &[&str]) -> Run {
    let url = project.server.url();
    let more = ["--kubeconfig", "kubeconfig", "--endpoint", &url, "--format", "json"];
    let line = [line, &more, &TIMES].concat();
    let mut command = kit::sunup(folder, &line);
    for name in ["GOOGLE_APPLICATION_CREDENTIALS", "HTTPS_PROXY", "KUBERNETES_SERVICE_HOST"] {
        command.env_remove(name);
    }
    command.env("HOME", folder).output().expect("it starts").into()
}

/// Whose entries the store has handed out.
fn pods(project: &Project) -> BTreeSet<String> {
    let entries = project.asked().into_iter().flat_map(|asked| asked.entries);
    let name = |entry: &Value| {
        let label = entry["resource"]["labels"]["pod_name"].as_str();
        let object = entry["jsonPayload"]["involvedObject"]["name"].as_str();
        label.or(object).unwrap_or_default().to_owned()
    };
    entries.map(|entry| name(&entry)).collect()
}

#[test]
fn pods_that_are_gone_are_asked_for_and_those_that_are_there_are_not() {
    let test = "pods_that_are_gone_are_asked_for_and_those_that_are_there_are_not";
    let Some(project) = Project::new(test) else { return };
    let recorded = real().expect("the project has them");
    let mut cluster = Cluster { nodes: vec![node("shop-prod")], ..Cluster::default() };
    cluster.has(&recorded.join("gateway-port-80-denied"));
    cluster.has(&recorded.join("hold-healthy"));
    let there: Vec<String> = cluster
        .pods
        .iter()
        .map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned())
        .collect();
    assert!(there.len() >= 2);
    let (_, folder) = serve(cluster, "gke_shop-prod_l_c");
    let done = run(&project, folder.path(), &["-A", "--save", "kept"]);
    let rules: BTreeSet<_> = findings(&report(&done)).into_iter().map(|(rule, ..)| rule).collect();
    let both = ["app-before-proxy", "gateway-privileged-port"].map(str::to_owned);
    assert_eq!(rules, BTreeSet::from(both), "{}", done.err);
    let said = "cluster c in l of shop-prod, by the kubeconfig's name gke_shop-prod_l_c";
    assert!(done.err.contains(said), "{}", done.err);
    for asked in project.asked() {
        assert_eq!(asked.resource, "projects/shop-prod");
        for term in ["cluster_name=\"c\"", "resource.labels.location=\"l\""] {
            assert!(asked.filter.contains(term), "{}", asked.filter);
        }
    }
    let handed = pods(&project);
    assert!(handed.contains("orders-f6f9f77c7-xqzm2"), "{handed:?}");
    let twice: Vec<_> = there.iter().filter(|pod| handed.contains(*pod)).collect();
    assert!(twice.is_empty(), "{twice:?} were asked for, and are there");
    let kept = [&["doctor", "kept", "--format", "json"], &TIMES[..]].concat();
    assert_eq!(kit::run(folder.path(), &kept).out, done.out);
}

#[test]
fn of_a_pod_that_is_there_only_what_the_cluster_has_forgotten_is_asked_for() {
    let test = "of_a_pod_that_is_there_only_what_the_cluster_has_forgotten_is_asked_for";
    let Some(project) = Project::new(test) else { return };
    let recorded = real().expect("the project has them");
    let mut cluster = Cluster { nodes: vec![node("shop-prod")], ..Cluster::default() };
    cluster.has(&recorded.join("app-before-proxy"));
    // The run that failed has been removed, and of its events the last one is left.
    let pod = "orders-f6f9f77c7-xqzm2";
    cluster.logs.remove(&format!("{pod}/orders.previous")).expect("recorded");
    cluster
        .events
        .retain(|event| event["metadata"]["name"] == "orders-f6f9f77c7-xqzm2.18ecf09b65b1b6af");
    assert_eq!(cluster.events.len(), 1);
    let issuer = "https://container.googleapis.com/v1/projects/shop-prod/locations/l/clusters/c";
    cluster.issuer = Some(issuer.to_owned());
    let (cluster, folder) = serve(cluster, "renamed");
    // As the documentation's page has it.
    let page = sunup_testkit::workspace_root().join("docs/cloud-logging.md");
    let page = std::fs::read_to_string(page).expect("readable");
    let mut lines = page.lines().filter_map(|line| line.strip_prefix("    sunup "));
    let line = lines.find(|line| line.contains("--cloud-logging auto")).expect("the command");
    let line = line.replace("CONTEXT", "prod").replace("NAMESPACE", "shop-a");
    let done = run_line(&project, folder.path(), &line.split(' ').collect::<Vec<_>>());
    let report = report(&done);
    let found = ("app-before-proxy", "shop-a", "orders");
    let found = (found.0.to_owned(), found.1.to_owned(), found.2.to_owned());
    assert_eq!(findings(&report), BTreeSet::from([found]), "{}", done.err);
    assert!(done.err.contains("by who issues its tokens"), "{}", done.err);
    assert!(cluster.asked.lock().expect("whole").iter().any(|path| path.contains("/shop-a/pods")));
    let (mut lines, mut events) = (0, 0);
    for entry in project.asked().iter().flat_map(|asked| &asked.entries) {
        let at = entry["timestamp"].as_str().expect("a time");
        if entry["resource"]["type"] != "k8s_container" {
            // Those that happened in the same second as the one that is left are there.
            assert!(at < "2026-11-30T21:41:42", "{entry}");
            events += usize::from(entry["jsonPayload"]["involvedObject"]["name"] == pod);
            continue;
        }
        let labels = &entry["resource"]["labels"];
        let of = (labels["namespace_name"].as_str(), labels["container_name"].as_str());
        assert_eq!(of, (Some("shop-a"), Some("orders")), "{entry}");
        assert!(at < "2026-11-30T21:41:42.823725946Z", "{entry}");
        lines += 1;
    }
    assert!(lines > 0 && events > 0, "{lines} lines, {events} events");
}

#[test]
fn a_cluster_that_cannot_be_told_is_not_guessed() {
    let project = Project::of(Vec::new());
    let of = |nodes: Vec<Value>, name: &str, more: &[&str]| {
        let (_, folder) = serve(Cluster { nodes, ..Cluster::default() }, name);
        run(&project, folder.path(), more)
    };
    let unnamed = of(vec![node("shop-prod")], "prod", &[]);
    assert_eq!(unnamed.code, 2);
    assert!(unnamed.err.contains("give --cluster NAME"), "{}", unnamed.err);
    let other = of(vec![node("shop-test")], "gke_shop-prod_l_c", &[]);
    assert!(other.code == 2 && other.err.contains("name the project"), "{}", other.err);
    let none = of(Vec::new(), "prod", &[]);
    assert!(none.code == 2 && none.err.contains("nothing says"), "{}", none.err);
    assert!(project.asked().is_empty());
    let named = of(vec![node("shop-prod")], "prod", &["--cluster", "c"]);
    assert!(named.err.contains("cluster c in l of shop-prod"), "{}", named.err);
    assert!(project.asked().iter().all(|asked| asked.filter.contains("cluster_name=\"c\"")));
    assert!(!project.asked().is_empty());
    // The context's own namespace is the one that is asked about, of both.
    let own = "namespace=\"shop-a\"";
    let within =
        |filter: &str| filter.contains(own) || filter.contains("namespace_name=\"shop-a\"");
    assert!(project.asked().iter().all(|asked| within(&asked.filter)));
    // Without a cluster there is nobody to ask.
    let folder = kit::folder(&[]);
    let alone = kit::run(folder.path(), &["doctor", "--cloud-logging", "auto"]);
    assert!(alone.code == 2 && alone.err.contains("give --live"), "{}", alone.err);
    let logs = kit::run(folder.path(), &["logs", "--cloud-logging", "auto", "x"]);
    assert!(logs.code == 2 && logs.err.contains("doctor --live"), "{}", logs.err);
}
