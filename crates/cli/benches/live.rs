//! `sunup doctor --live` of many pods, and what `sunup fix --live` takes beyond the rollout itself.
//!
//! `cargo bench -p sunup-cli --bench live`, with `SUNUP_TEST_KUBECONFIG` and `SUNUP_TEST_CONTEXT`
//! naming a cluster whose kubelets leave pods of the scheduler `nobody` alone: no pod runs. Their
//! objects and logs are those of an example, one in ten with its fault; a desk in front of the API
//! server answers logs and passes the rest through, so its time is in the figures too.
//! `SUNUP_BENCH_PODS` says how many (1,000), `SUNUP_BENCH_ROUNDS` how often each is timed (5).

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use http::{Request, Response, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use sunup_kube::front::{Callers, Desk, Reply, listen, query, serve, status};
use sunup_kube::{Wanted, connect};
use sunup_testkit::process;

const HOLD: &str = "holdApplicationUntilProxyStarts";

fn example(name: &str) -> String {
    let path = sunup_testkit::workspace_root().join("examples/app-before-proxy").join(name);
    std::fs::read_to_string(path).expect("readable")
}

/// The same three logs for every pod.
struct Logs([String; 3]);

impl Desk for Logs {
    async fn reply(&self, head: &http::request::Parts) -> Reply {
        if !head.uri.path().ends_with("/log") {
            return Reply::Pass;
        }
        let pairs = query(&head.uri);
        let is = |key: &str, value: &str| pairs.iter().any(|(k, v)| k == key && v == value);
        let log = match (is("container", "istio-proxy"), is("previous", "true")) {
            (true, false) => &self.0[0],
            (false, false) if is("container", "orders") => &self.0[1],
            (false, true) if is("container", "orders") => &self.0[2],
            _ => {
                let none = status(StatusCode::BAD_REQUEST, "BadRequest", "no such log");
                return Reply::Answer(none);
            }
        };
        Reply::Answer(Response::new(log.clone().into()))
    }
}

struct Bench {
    client: Client,
    namespace: String,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let set = |name: &str| std::env::var(name).ok();
        let kubeconfig = set("SUNUP_TEST_KUBECONFIG").expect("SUNUP_TEST_KUBECONFIG").into();
        let context = set("SUNUP_TEST_CONTEXT");
        let wanted = Wanted { kubeconfig: Some(kubeconfig), context, ..Wanted::default() };
        let cluster = connect(&wanted).await.expect("the cluster that was named");
        let (listener, address) = listen().await.expect("a port");
        let client = cluster.client().clone();
        let names = ["istio-proxy", "orders", "orders.previous"];
        let log = |name| example(&format!("logs/orders-7f8d6c5b9d-q4w8z.{name}.log"));
        let logs = Arc::new(Logs(names.map(log)));
        let front = serve(listener, client.clone(), logs, Callers::Anybody);
        tokio::spawn(front);
        let folder = tempfile::tempdir().expect("a folder");
        let namespace = format!("sunup-bench-{}", std::process::id());
        let text = json!({"apiVersion": "v1", "kind": "Config",
            "contexts": [{"name": "b", "context":
                {"cluster": "b", "user": "b", "namespace": namespace}}],
            "clusters": [{"name": "b", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "b", "user": {}}]});
        std::fs::write(folder.path().join("kubeconfig"), text.to_string()).expect("written");
        let bench = Bench { client, namespace, folder };
        let object = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": bench.namespace}});
        bench.send("POST", "/api/v1/namespaces", &object).await;
        bench
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let merge = method == "PATCH";
        let kind = if merge { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let answer = self.client.request::<Value>(request.body(body).expect("a request")).await;
        answer.unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    fn pods(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.namespace)
    }

    /// Sets the example's status, with its fault or without.
    async fn tell(&self, name: &str, fault: bool) {
        let mut status = pod()["status"].clone();
        if !fault {
            status["containerStatuses"][0]["restartCount"] = json!(0);
            status["containerStatuses"][0]["lastState"] = json!({});
        }
        let path = format!("{}/{name}/status", self.pods());
        self.send("PATCH", &path, &json!({"status": status})).await;
    }

    async fn fill(&self, pods: usize) {
        let one = |number: usize| async move {
            let mut object = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": template(json!({}))["metadata"], "spec": template(json!({}))["spec"]});
            object["metadata"]["name"] = format!("web-{number}").into();
            object["metadata"]["labels"]["app"] = format!("web-{}", number / 10).into();
            self.send("POST", &self.pods(), &object).await;
            self.tell(&format!("web-{number}"), number.is_multiple_of(10)).await;
        };
        futures::stream::iter((0..pods).map(one)).buffer_unordered(16).count().await;
    }

    fn sunup(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
        command.args(arguments).args(["--live", "--kubeconfig", "kubeconfig"]);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// One fix, from the start of the program; until the new pod was told to be ready, and until
    /// the program's end.
    async fn fix(&self, number: u64) -> (Duration, Duration) {
        let name = format!("orders-{number}");
        let mut made = template(json!({}));
        made["metadata"]["labels"]["app"] = name.clone().into();
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name}, "spec": {"replicas": 1,
                "selector": {"matchLabels": {"app": name}}, "template": made}});
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", self.namespace);
        self.send("POST", &path, &deployment).await;
        let mut told = HashSet::new();
        self.take(&name, &mut told).await;
        let begun = Instant::now();
        let mut command = self.sunup(&["fix", "-w", &format!("deploy/{name}")]);
        let child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let ended =
            tokio::task::spawn_blocking(move || (child.wait_with_output(), begun.elapsed()));
        self.take(&name, &mut told).await;
        let rolled = begun.elapsed();
        let (output, whole) = ended.await.expect("no panic");
        let output = output.expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("fixed: 1 of 1 pods ready"), "{said}");
        (rolled, whole)
    }

    /// Waits for a new pod, and tells of it at once.
    async fn take(&self, app: &str, told: &mut HashSet<String>) {
        let path = format!("{}?labelSelector=app={app}", self.pods());
        loop {
            let list = self.send("GET", &path, &Value::Null).await;
            for pod in list["items"].as_array().expect("a list") {
                let name = pod["metadata"]["name"].as_str().expect("a name");
                if told.insert(name.to_owned()) {
                    let config = &pod["metadata"]["annotations"]["proxy.istio.io/config"];
                    let held = config.as_str().is_some_and(|config| config.contains(HOLD));
                    return self.tell(name, !held).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn pod() -> Value {
    serde_json::from_str(&example("pod.json")).expect("JSON")
}

/// The example's pod for a scheduler that isn't there.
fn template(annotations: Value) -> Value {
    let mut spec = pod()["spec"].clone();
    spec["schedulerName"] = json!("nobody");
    for field in ["nodeName", "serviceAccountName", "serviceAccount", "volumes"] {
        spec.as_object_mut().expect("a spec").remove(field);
    }
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().expect("a list") {
            container.as_object_mut().expect("a container").remove("volumeMounts");
        }
    }
    json!({"metadata": {"labels": {"app": "web"}, "annotations": annotations}, "spec": spec})
}

/// A run's time, its peak of memory in KiB, and how many pods its findings name.
fn measure(command: &mut Command, report: &Path) -> (Duration, u64, usize) {
    let begun = Instant::now();
    let out = std::fs::File::create(report).expect("a file");
    let mut child = command.stdout(out).spawn().expect("it starts");
    let folder = format!("/proc/{}", child.id());
    let mut peak = 0;
    while child.try_wait().expect("it can be waited for").is_none() {
        peak = process::peak(&folder).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = begun.elapsed();
    let text = std::fs::read(report).expect("a report");
    let report: Value = serde_json::from_slice(&text).expect("JSON");
    let pods = |finding: &Value| finding["subject"]["pods"].as_array().map_or(0, Vec::len);
    let found = report["findings"].as_array().expect("findings").iter().map(pods).sum();
    (took, peak, found)
}

fn median(mut all: Vec<Duration>) -> (Duration, Duration, Duration) {
    all.sort();
    (all[0], all[all.len() / 2], all[all.len() - 1])
}

fn show(what: &str, times: Vec<Duration>) {
    let (least, middle, most) = median(times);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{what:<52} median {:>6.0} ms ({:.0}–{:.0})", ms(middle), ms(least), ms(most));
}

fn main() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (pods, rounds) = (number("SUNUP_BENCH_PODS", 1000), number("SUNUP_BENCH_ROUNDS", 5));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let bench = runtime.block_on(Bench::new());
    // Before there are many pods: a fix reads its workload's alone.
    let fixes: Vec<_> = (0..rounds).map(|n| runtime.block_on(bench.fix(n))).collect();
    show("fix --live, all of it", fixes.iter().map(|(_, whole)| *whole).collect());
    show(
        "  beyond the new pod's ready",
        fixes.iter().map(|(r, whole)| whole.saturating_sub(*r)).collect(),
    );
    runtime.block_on(bench.fill(usize::try_from(pods).expect("a number of pods")));
    let report = bench.folder.path().join("report.json");
    let (mut times, mut peak, mut named) = (Vec::new(), 0, 0);
    for _ in 0..rounds {
        let mut command = bench.sunup(&["doctor", "--format", "json"]);
        let (took, kib, found) = measure(&mut command, &report);
        times.push(took);
        (peak, named) = (peak.max(kib), found);
    }
    show(&format!("doctor --live, {pods} pods"), times);
    println!("  {:.0} MB resident at most; its findings name {named} pods", peak as f64 / 1024.0);
    runtime.block_on(async {
        let path = format!("/api/v1/namespaces/{}", bench.namespace);
        bench.send("DELETE", &path, &Value::Null).await;
    });
}
