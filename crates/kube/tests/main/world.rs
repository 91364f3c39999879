//! An API server made of a few objects, which does what it is told to do wrong; and one question
//! put to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use sunup_kube::collect::{CollectError, Collected, Piece, Question, collect};
use sunup_kube::front::{Callers, Desk, Reply, listen, serve, status};
use sunup_kube::{Cluster, Wanted, connect};

/// What goes wrong with requests whose path and query contain a text.
#[derive(Clone)]
pub(crate) struct Fault {
    pub(crate) on: &'static str,
    /// How often; then it is over.
    pub(crate) times: usize,
    pub(crate) what: What,
}

#[derive(Clone)]
pub(crate) enum What {
    Status(u16, Value),
    RetryAfter(u16, u64),
    Silence,
    Drop,
}

#[derive(Default)]
pub(crate) struct Api {
    /// Lists by path, without a query.
    pub(crate) objects: Mutex<BTreeMap<String, Vec<Value>>>,
    /// Logs by pod and container, with `?previous` behind that of a dead one.
    pub(crate) logs: Mutex<BTreeMap<String, String>>,
    pub(crate) faults: Mutex<Vec<Fault>>,
    /// What watches of a path are answered with, one after another; then they stay open, silent.
    pub(crate) watches: Mutex<BTreeMap<String, Vec<String>>>,
    pub(crate) asked: Mutex<Vec<String>>,
    /// Only requests with this token are answered.
    pub(crate) token: Mutex<Option<String>>,
}

fn param<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

impl Api {
    fn fault(&self, path: &str) -> Option<What> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|fault| fault.times > 0 && path.contains(fault.on))?;
        fault.times -= 1;
        Some(fault.what.clone())
    }

    fn answer(&self, path: &str, query: &str) -> Response<Bytes> {
        if let Some(of) = path.strip_suffix("/log") {
            let container = param(query, "container").unwrap();
            let dead = if param(query, "previous") == Some("true") { "?previous" } else { "" };
            let key = format!("{}/{container}{dead}", of.rsplit('/').next().unwrap());
            return match self.logs.lock().unwrap().get(&key) {
                Some(log) => Response::new(Bytes::from(log.clone())),
                None => status(StatusCode::BAD_REQUEST, "BadRequest", "no such container"),
            };
        }
        let objects = self.objects.lock().unwrap();
        let named = path.contains("/configmaps/") || path.contains("istio.io");
        let all = match objects.get(path) {
            Some(all) => all.clone(),
            None if named => return status(StatusCode::NOT_FOUND, "NotFound", "not found"),
            None => Vec::new(),
        };
        let name = param(query, "fieldSelector").and_then(|f| f.strip_prefix("metadata.name%3D"));
        let all: Vec<Value> =
            all.into_iter().filter(|o| name.is_none_or(|n| o["metadata"]["name"] == n)).collect();
        let limit: usize = param(query, "limit").map_or(usize::MAX, |n| n.parse().unwrap());
        let from: usize = param(query, "continue").map_or(0, |n| n.parse().unwrap());
        let page: Vec<&Value> = all.iter().skip(from).take(limit).collect();
        let next = from + page.len();
        let token = if next < all.len() { next.to_string() } else { String::new() };
        let body = json!({"kind": "", "apiVersion": "", "items": page,
            "metadata": {"continue": token, "resourceVersion": "7"}});
        Response::new(Bytes::from(body.to_string()))
    }
}

impl Desk for Api {
    async fn reply(&self, head: &http::request::Parts) -> Reply {
        let whole = head.uri.path_and_query().unwrap().as_str().to_owned();
        self.asked.lock().unwrap().push(format!("{} {whole}", head.method));
        let bearer = head.headers.get("authorization").and_then(|v| v.to_str().ok());
        let token = self.token.lock().unwrap().clone();
        if token.is_some_and(|token| bearer != Some(&format!("Bearer {token}"))) {
            let message = "Unauthorized";
            return Reply::Answer(status(StatusCode::UNAUTHORIZED, "Unauthorized", message));
        }
        match self.fault(&whole) {
            None => {}
            Some(What::Drop) => return Reply::Drop,
            Some(What::Silence) => std::future::pending().await,
            Some(What::Status(code, body)) => {
                let mut response = Response::new(Bytes::from(body.to_string()));
                *response.status_mut() = StatusCode::from_u16(code).unwrap();
                return Reply::Answer(response);
            }
            Some(What::RetryAfter(code, seconds)) => {
                let code = StatusCode::from_u16(code).unwrap();
                let mut response = status(code, "TooManyRequests", "later");
                response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
                return Reply::Answer(response);
            }
        }
        if param(head.uri.query().unwrap_or_default(), "watch") == Some("true") {
            let next = {
                let mut watches = self.watches.lock().unwrap();
                watches.get_mut(head.uri.path()).filter(|w| !w.is_empty()).map(|w| w.remove(0))
            };
            return match next {
                Some(lines) => Reply::Answer(Response::new(Bytes::from(lines))),
                None => std::future::pending().await,
            };
        }
        Reply::Answer(self.answer(head.uri.path(), head.uri.query().unwrap_or_default()))
    }
}

/// A pod with one container that runs.
pub(crate) fn pod(namespace: &str, name: &str, restarts: u32) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-{namespace}-{name}"),
            "labels": {"app": "web"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-67d56cdd", "uid": "rs-1",
                "controller": true}]},
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "app", "restartCount": restarts, "state": {"running": {}}}]}
    })
}

pub(crate) struct World {
    pub(crate) api: Arc<Api>,
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl World {
    /// A namespace `shop` with a Deployment, two pods, an event and their logs.
    pub(crate) fn new() -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let api = Arc::new(Api::default());
        let (listener, address) = runtime.block_on(listen()).unwrap();
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = runtime.block_on(async { kube::Client::try_from(nowhere) }).unwrap();
        runtime.spawn(serve(listener, client, Arc::clone(&api), Callers::Anybody));
        let world = World { api, address, folder: tempfile::tempdir().unwrap(), runtime };
        world.put("/api/v1/namespaces/shop/pods", vec![pod("shop", "a", 0), pod("shop", "b", 1)]);
        let owner = json!([{"kind": "Deployment", "name": "web", "uid": "deploy-1"}]);
        let meta = |name: &str, uid: &str| json!({"namespace": "shop", "name": name, "uid": uid});
        let mut set = meta("web-67d56cdd", "rs-1");
        set["ownerReferences"] = owner;
        let old = json!({"metadata": meta("web-0", "rs-0"), "spec": {"replicas": 0}});
        world.put(
            "/apis/apps/v1/namespaces/shop/replicasets",
            vec![json!({"metadata": set, "spec": {"replicas": 2}}), old],
        );
        let selector = json!({"selector": {"matchLabels": {"app": "web"}}});
        let web = json!({"metadata": meta("web", "deploy-1"), "spec": selector});
        let other = json!({"metadata": meta("other", "deploy-2"), "spec": {}});
        world.put("/apis/apps/v1/namespaces/shop/deployments", vec![web, other]);
        let about = |uid: &str| {
            json!({"metadata": meta(uid, uid), "reason": "BackOff",
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": uid, "uid": uid}})
        };
        world.put(
            "/api/v1/namespaces/shop/events",
            vec![about("uid-shop-a"), about("uid-shop-gone")],
        );
        for log in ["a/app", "b/app", "b/app?previous"] {
            let line = "2026-11-23T10:41:15.000000001Z hello\n";
            world.api.logs.lock().unwrap().insert(log.to_owned(), line.to_owned());
        }
        world
    }

    pub(crate) fn put(&self, path: &str, objects: Vec<Value>) {
        self.api.objects.lock().unwrap().insert(path.to_owned(), objects);
    }

    pub(crate) fn watch<const N: usize>(&self, path: &str, answers: [String; N]) {
        self.api.watches.lock().unwrap().insert(path.to_owned(), answers.into());
    }

    pub(crate) fn fault(&self, on: &'static str, times: usize, what: What) {
        self.api.faults.lock().unwrap().push(Fault { on, times, what });
    }

    /// A kubeconfig with one context, whose user and cluster have these fields more.
    pub(crate) fn kubeconfig(&self, user: &str, cluster: &str) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        write(&path, &self.address.to_string(), user, cluster);
        path
    }

    pub(crate) fn cluster(&self) -> Cluster {
        let kubeconfig = Some(self.kubeconfig("{}", ""));
        let wanted = Wanted { kubeconfig, ..Wanted::default() };
        self.runtime.block_on(connect(&wanted)).unwrap()
    }

    pub(crate) fn collect(&self) -> (Result<Collected, CollectError>, Vec<Piece>) {
        self.ask(&self.cluster(), &shop())
    }

    pub(crate) fn ask(
        &self,
        cluster: &Cluster,
        question: &Question,
    ) -> (Result<Collected, CollectError>, Vec<Piece>) {
        self.runtime.block_on(async {
            let (sink, mut pieces) = tokio::sync::mpsc::channel(4);
            let all = async {
                let mut all: Vec<Piece> = Vec::new();
                while let Some(piece) = pieces.recv().await {
                    all.push(piece);
                }
                all.sort_by(|a, b| a.name.cmp(&b.name));
                all
            };
            tokio::join!(collect(cluster, question, sink), all)
        })
    }

    /// Requests so far whose method and path contain this text.
    pub(crate) fn asked(&self, text: &str) -> usize {
        self.api.asked.lock().unwrap().iter().filter(|asked| asked.contains(text)).count()
    }
}

pub(crate) fn write(path: &Path, server: &str, user: &str, cluster: &str) {
    let text = format!(
        "{{apiVersion: v1, kind: Config, contexts: [{{name: test, context: {{cluster: c, user: u, \
         namespace: shop}}}}], clusters: [{{name: c, cluster: {{server: \"http://{server}\" \
         {cluster}}}}}], users: [{{name: u, user: {user}}}]}}"
    );
    std::fs::write(path, text).unwrap();
}

pub(crate) fn shop() -> Question {
    let namespace = Some("shop".to_owned());
    Question { namespace, within: Duration::from_secs(60), ..Question::default() }
}

pub(crate) fn names(pieces: &[Piece]) -> Vec<&str> {
    pieces.iter().map(|piece| piece.name.as_str()).collect()
}
