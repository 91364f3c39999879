//! How fast input is read, beside ripgrep on the same file in the same run where it is installed:
//! `cargo bench -p sunup-intake`. `SUNUP_BENCH_MB` sets the size of the export (default 512).

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use sunup_evidence::collect::Collector;
use sunup_intake::{Input, Options, Summary};
use sunup_testkit::process;

/// Runs of each measurement; the best counts, since everything else is the machine's noise.
const RUNS: usize = 3;

fn main() {
    let size = std::env::var("SUNUP_BENCH_MB").ok().and_then(|mb| mb.parse().ok()).unwrap_or(512);
    let dir = tempfile::tempdir().expect("a directory for the benchmark");
    for (name, every, array) in [
        ("lines, 0.01 %", 10_000, false),
        ("lines, 10 %", 10, false),
        ("array, 0.01 %", 10_000, true),
    ] {
        let path = dir.path().join("export.json");
        std::fs::write(&path, export(size << 20, every, array)).expect("written");
        report(name, &path);
        let rg = best(|| {
            let run =
                std::process::Command::new("rg").args(["-c", "-i", "refused"]).arg(&path).output();
            run.is_ok()
        });
        match rg {
            (time, true) => println!("{:32} {:>9.0} ms", "  ripgrep -c -i refused", ms(time)),
            _ => println!("  ripgrep is not installed"),
        }
        std::fs::remove_file(&path).expect("removed");
    }
    for (name, text) in
        [("5,000 pods, JSON", pods(5000, false)), ("5,000 pods, YAML", pods(5000, true))]
    {
        let path = dir.path().join("pods");
        std::fs::write(&path, text).expect("written");
        report(name, &path);
    }
}

fn report(name: &str, path: &Path) {
    let bytes = std::fs::metadata(path).expect("written").len();
    // Of all cores: what a busy machine cannot blur.
    let used = || process::used("/proc/self").expect("its own file");
    let before = used();
    let (time, summary) = best(|| read(path));
    let cpu = (used() - before) / RUNS as u32;
    let speed = bytes as f64 / 1e6 / time.as_secs_f64();
    let Summary { lines, objects, .. } = summary;
    println!(
        "{name:32} {:>9.0} ms {speed:>8.0} MB/s  {:>6.0} ms of all cores  {lines} lines {objects} objects",
        ms(time),
        ms(cpu)
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn best<T>(run: impl Fn() -> T) -> (Duration, T) {
    let mut best: Option<(Duration, T)> = None;
    for _ in 0..RUNS {
        let began = Instant::now();
        let result = run();
        let took = began.elapsed();
        if best.as_ref().is_none_or(|(time, _)| took < *time) {
            best = Some((took, result));
        }
    }
    best.expect("at least one run")
}

fn read(path: &Path) -> Summary {
    let mut collector = Collector::default();
    let inputs = vec![Input::Path(path.to_owned())];
    sunup_intake::read(inputs, &Options::default(), &mut collector)
}

/// A Cloud Logging export of about `size` bytes, one entry in `every` refused.
fn export(size: usize, every: usize, array: bool) -> String {
    let mut out = String::with_capacity(size + 4096);
    if array {
        out.push_str("[\n");
    }
    let mut i = 0;
    while out.len() < size {
        i += 1;
        let text = if i % every == 0 {
            "failed to create connection, err=dial tcp 192.168.9.16:19209: connect: connection refused"
        } else {
            "GET /api/v1/products/4711 200 12ms request handled, cache hit, 5321 bytes sent to the client"
        };
        let (pod, second, nano) = (i % 500, i / 1000 % 60, i % 1000);
        let _ = write!(
            out,
            r#"{{"insertId":"{i:016x}","labels":{{"compute.googleapis.com/resource_name":"gke-prod-pool-1-{pod:08x}","k8s-pod/app":"web","k8s-pod/pod-template-hash":"5d4f8c7b9"}},"logName":"projects/prod/logs/stderr","receiveTimestamp":"2020-03-31T10:41:{second:02}.{nano:03}Z","resource":{{"labels":{{"cluster_name":"prod","container_name":"app","location":"europe-west1","namespace_name":"shop","pod_name":"web-5d4f8c7b9-{pod:05x}","project_id":"prod"}},"type":"k8s_container"}},"severity":"INFO","textPayload":"{text}","timestamp":"2020-03-31T10:41:{second:02}.{nano:03}Z"}}"#
        );
        out.push_str(if array { ",\n" } else { "\n" });
    }
    if array {
        out.truncate(out.len() - 2);
        out.push_str("\n]\n");
    }
    out
}

/// What `kubectl get pods -A -o json|yaml` prints for so many pods, about 8 KB each as JSON.
fn pods(count: usize, yaml: bool) -> String {
    let env: Vec<_> = (0..30)
        .map(|i| serde_json::json!({"name": format!("SETTING_{i}"), "value": format!("value of setting {i}")}))
        .collect();
    let container = |name: &str| serde_json::json!({"name": name, "image": "registry.example/app:1.2.3", "env": env, "ports": [{"containerPort": 8080}], "resources": {"requests": {"cpu": "100m"}}, "volumeMounts": [{"mountPath": "/var/run/secrets", "name": "token", "readOnly": true}]});
    let status = |name: &str| serde_json::json!({"name": name, "ready": true, "restartCount": 0, "image": "registry.example/app:1.2.3", "imageID": "sha256:0", "state": {"running": {"startedAt": "2020-03-31T10:41:15Z"}}});
    let pod = |i: usize| {
        serde_json::json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("web-5d4f8c7b9-{i:05}"), "namespace": "shop", "uid": format!("{i}"), "labels": {"app": "web"}, "creationTimestamp": "2020-03-31T10:41:10Z"},
            "spec": {"containers": [container("app"), container("istio-proxy")], "initContainers": [container("istio-init")], "nodeName": "n1"},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [status("app"), status("istio-proxy")], "initContainerStatuses": [status("istio-init")]}})
    };
    let mut out = String::new();
    if yaml {
        out.push_str("apiVersion: v1\nitems:\n");
        for i in 0..count {
            block(&mut out, &serde_json::json!([pod(i)]), 0);
        }
        out.push_str("kind: List\nmetadata:\n  resourceVersion: \"\"\n");
    } else {
        let items: Vec<_> = (0..count).map(pod).collect();
        let list = serde_json::json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}});
        out = serde_json::to_string_pretty(&list).expect("a value prints");
    }
    out
}

/// Block YAML as kubectl prints it.
fn block(out: &mut String, value: &serde_json::Value, indent: usize) {
    let pad = " ".repeat(indent);
    match value {
        serde_json::Value::Object(map) => {
            for (i, (key, inner)) in map.iter().enumerate() {
                let first = i == 0 && out.ends_with("- ");
                let _ = write!(out, "{}{key}:", if first { "" } else { pad.as_str() });
                match inner {
                    serde_json::Value::Object(_) => {
                        out.push('\n');
                        block(out, inner, indent + 2);
                    }
                    serde_json::Value::Array(_) => {
                        out.push('\n');
                        block(out, inner, indent);
                    }
                    scalar => {
                        let _ = writeln!(out, " {scalar}");
                    }
                }
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                let _ = write!(out, "{pad}- ");
                block(out, item, indent + 2);
            }
        }
        scalar => {
            let _ = writeln!(out, "{scalar}");
        }
    }
}
