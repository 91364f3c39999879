//! A namespace of its own in a cluster that was named in `SUNUP_TEST_KUBECONFIG` (and, where that
//! has several, `SUNUP_TEST_CONTEXT`), gone again when the test ends. Never the current context.
//!
//! In front of the API server stands a desk that answers `pods/log` from texts, since the pods of
//! these tests run nowhere: the rest is the cluster's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use sunup_kube::front::{Callers, Desk, Reply, listen, serve, status};
use sunup_kube::rbac::{Task, rules};
use sunup_kube::{Wanted, connect};

/// Logs by pod and container, and what was asked.
#[derive(Default)]
pub(crate) struct Logs {
    pub(crate) texts: Mutex<BTreeMap<String, String>>,
    /// Whether changes are forbidden.
    pub(crate) refuse: AtomicBool,
    /// The right that is missing: group, resource and verb.
    pub(crate) without: Mutex<Option<(&'static str, &'static str, &'static str)>>,
    /// Requests that no role printed by `sunup rbac` allows.
    beyond: Mutex<BTreeSet<String>>,
}

/// Group, resource and verb of a request, as the API server's authorizer reads them.
fn attributes(head: &http::request::Parts) -> (String, String, &'static str) {
    let parts: Vec<&str> = head.uri.path().trim_start_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        other => ("", other),
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let resource = match rest {
        [resource, _, sub] => format!("{resource}/{sub}"),
        rest => rest.first().copied().unwrap_or_default().to_owned(),
    };
    let watched = head.uri.query().is_some_and(|query| query.contains("watch="));
    let verb = match (head.method.as_str(), rest.len()) {
        ("GET", 1) if watched => "watch",
        ("GET", 1) => "list",
        ("GET", _) => "get",
        ("PATCH", _) => "patch",
        ("POST", _) => "create",
        _ => "delete",
    };
    (group.to_owned(), resource, verb)
}

fn allowed(head: &http::request::Parts) -> bool {
    let (group, resource, verb) = attributes(head);
    let all = [Task::Fix, Task::Watch].into_iter().flat_map(rules).collect::<Vec<_>>();
    all.iter().any(|rule| {
        rule.group == group
            && rule.resource == resource
            && rule.verbs.iter().any(|(allowed, _)| *allowed == verb)
    })
}

impl Desk for Logs {
    async fn reply(&self, head: &http::request::Parts) -> Reply {
        if !allowed(head) {
            let asked = format!("{} {}", head.method, head.uri);
            self.beyond.lock().expect("no test panics here").insert(asked);
        }
        let (group, resource, verb) = attributes(head);
        let without = *self.without.lock().expect("no test panics here");
        if without == Some((group.as_str(), resource.as_str(), verb)) {
            let why = format!("{resource} is forbidden: you may not {verb} them");
            return Reply::Answer(status(StatusCode::FORBIDDEN, "Forbidden", &why));
        }
        if head.method == http::Method::PATCH && self.refuse.load(Ordering::Relaxed) {
            return Reply::Answer(status(StatusCode::FORBIDDEN, "Forbidden", "you may not patch"));
        }
        let Some(pod) = head.uri.path().strip_suffix("/log") else { return Reply::Pass };
        let pod = pod.rsplit('/').next().unwrap_or_default();
        let query = head.uri.query().unwrap_or_default();
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let container = pairs.find(|(key, _)| *key == "container").map_or("", |(_, value)| value);
        let dead = if query.contains("previous=true") { ".previous" } else { "" };
        let texts = self.texts.lock().expect("no test panics here");
        Reply::Answer(match texts.get(&format!("{pod}/{container}{dead}")) {
            Some(text) => Response::new(text.clone().into()),
            None => status(StatusCode::BAD_REQUEST, "BadRequest", "no such log"),
        })
    }
}

pub(crate) struct Cluster {
    pub(crate) namespace: String,
    pub(crate) logs: Arc<Logs>,
    pub(crate) folder: tempfile::TempDir,
    client: kube::Client,
    runtime: tokio::runtime::Runtime,
    port: u16,
}

impl Cluster {
    /// `None`, and the test listed as skipped, where no cluster is named.
    pub(crate) fn new(test: &str) -> Option<Cluster> {
        let named = std::env::var_os("SUNUP_TEST_KUBECONFIG").map(PathBuf::from);
        let part = "a cluster (SUNUP_TEST_KUBECONFIG)";
        let kubeconfig = sunup_testkit::require(test, part, named)?;
        let context = std::env::var("SUNUP_TEST_CONTEXT").ok();
        let wanted = Wanted { kubeconfig: Some(kubeconfig), context, ..Wanted::default() };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let cluster = runtime.block_on(connect(&wanted)).expect("the cluster that was named");
        let client = cluster.client().clone();
        let (listener, address) = runtime.block_on(listen()).expect("a port");
        let logs = Arc::new(Logs::default());
        runtime.spawn(serve(listener, client.clone(), Arc::clone(&logs), Callers::Anybody));
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("sunup-test-{}-{number}", std::process::id());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cluster = Cluster { namespace, logs, folder, client, runtime, port: address.port() };
        cluster.kubeconfig("kubeconfig");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": cluster.namespace}});
        cluster.send("POST", "/api/v1/namespaces", &namespace);
        Some(cluster)
    }

    fn kubeconfig(&self, name: &str) {
        let text = json!({"apiVersion": "v1", "kind": "Config",
            "contexts": [{"name": "test", "context":
                {"cluster": "c", "user": "u", "namespace": self.namespace}}],
            "clusters": [{"name": "c", "cluster":
                {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "u", "user": {}}]});
        std::fs::write(self.folder.path().join(name), text.to_string()).expect("written");
    }

    /// One request; what the API server refuses fails the test.
    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let kind = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(body)
            .expect("a request");
        let answer = self.runtime.block_on(self.client.request::<Value>(request));
        answer.unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    /// Creates an object in the namespace, and its status where it has one.
    pub(crate) fn create(&self, plural: &str, object: &Value) -> Value {
        let mut object = object.clone();
        let namespace = Value::from(self.namespace.clone());
        object["metadata"]["namespace"] = namespace.clone();
        if !object["involvedObject"].is_null() {
            object["involvedObject"]["namespace"] = namespace;
        }
        if let Some(meta) = object["metadata"].as_object_mut() {
            // What the API server sets, and owners that this cluster doesn't have.
            for field in ["uid", "resourceVersion", "creationTimestamp", "ownerReferences"] {
                meta.remove(field);
            }
        }
        let status = object.as_object_mut().and_then(|object| object.remove("status"));
        let version = object["apiVersion"].as_str().expect("a version").to_owned();
        let root = if version.contains('/') { "apis" } else { "api" };
        let path = format!("/{root}/{version}/namespaces/{}/{plural}", self.namespace);
        let made = self.send("POST", &path, &object);
        if let Some(status) = status {
            let name = object["metadata"]["name"].as_str().expect("a name");
            self.send("PATCH", &format!("{path}/{name}/status"), &json!({"status": status}));
        }
        made
    }

    /// Applies an object in the namespace, as this manager.
    pub(crate) fn apply(&self, plural: &str, object: &Value, manager: &str) {
        let version = object["apiVersion"].as_str().expect("a version");
        let name = object["metadata"]["name"].as_str().expect("a name");
        let path = format!("/apis/{version}/namespaces/{}/{plural}/{name}", self.namespace);
        let request = Request::patch(format!("{path}?fieldManager={manager}"))
            .header("content-type", "application/apply-patch+yaml")
            .body(object.to_string().into_bytes())
            .expect("a request");
        let answer = self.runtime.block_on(self.client.request::<Value>(request));
        answer.unwrap_or_else(|why| panic!("{path}: {why}"));
    }

    pub(crate) fn log(&self, pod: &str, container: &str, text: String) {
        let mut texts = self.logs.texts.lock().expect("no test panics here");
        texts.insert(format!("{pod}/{container}"), text);
    }

    /// Ends a run with the options that name this cluster.
    pub(crate) fn run(&self, arguments: &[&str]) -> super::kit::Run {
        let mut all = arguments.to_vec();
        all.extend(["--kubeconfig", "kubeconfig"]);
        super::kit::run(self.folder.path(), &all)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let beyond = self.logs.beyond.lock().expect("no test panics here");
            assert!(beyond.is_empty(), "`sunup rbac` does not allow {beyond:?}");
        }
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        let request = Request::delete(path).body(Vec::new()).expect("a request");
        let _ = self.runtime.block_on(self.client.request::<Value>(request));
    }
}
