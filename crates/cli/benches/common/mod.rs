//! What the benches hand to the doctor, and how they measure a process.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(dead_code, reason = "each bench uses its own part")]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sunup_testkit::process;

/// How often a running process is asked for the most memory it has held.
const PEEK: Duration = Duration::from_millis(1);

/// A number that the environment sets.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// 20,000 manifests in 2,000 files, as a repository holds them: every tenth has something to find.
/// Gives the first file.
pub(crate) fn manifests(folder: &Path) -> PathBuf {
    fs::create_dir(folder).expect("made");
    for file in 0..2_000 {
        let documents: Vec<String> = (0..10).map(|i| manifest(file * 10 + i)).collect();
        fs::write(folder.join(format!("app-{file}.yaml")), documents.join("---\n"))
            .expect("written");
    }
    folder.join("app-0.yaml")
}

fn manifest(i: usize) -> String {
    let annotation = match i % 10 {
        0 => "sidecar.istio.io/native-side: \"true\"",
        _ => "prometheus.io/scrape: \"true\"",
    };
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{i}\n  namespace: team-{}\n\
         spec:\n  replicas: 2\n  selector:\n    matchLabels: {{app: app-{i}}}\n  template:\n    metadata:\n\
         \x20     labels: {{app: app-{i}}}\n      annotations:\n        {annotation}\n    spec:\n\
         \x20     containers:\n      - name: app\n        image: registry.example/app-{i}:1.4.{i}\n\
         \x20       ports:\n        - {{name: http, containerPort: 8080}}\n        env:\n\
         \x20       - {{name: LOG_LEVEL, value: info}}\n        readinessProbe:\n\
         \x20         httpGet: {{path: /healthz, port: http}}\n        resources:\n\
         \x20         requests: {{cpu: 50m, memory: 128Mi}}\n",
        i % 40
    )
}

/// Pods, events and logs of one cluster.
pub(crate) struct Input {
    pub(crate) folder: PathBuf,
    pub(crate) logs: PathBuf,
}

impl Input {
    pub(crate) fn write(folder: &Path, bytes: u64, pods: usize) -> Self {
        fs::create_dir(folder).expect("made");
        let logs = folder.join("export.jsonl");
        export(&logs, bytes, pods);
        list(&folder.join("pods.json"), (0..pods).map(pod));
        list(&folder.join("events.json"), (0..pods * 4).map(event));
        for file in fs::read_dir(folder).expect("readable") {
            fs::read(file.expect("entry").path()).expect("readable");
        }
        Input { folder: folder.to_owned(), logs }
    }

    pub(crate) fn size(&self) -> u64 {
        let files = fs::read_dir(&self.folder).expect("readable");
        files.map(|file| file.and_then(|file| file.metadata()).map_or(0, |meta| meta.len())).sum()
    }
}

/// An export of the pods' logs as a log sink writes it: 1 entry of 10,000 is a refused connection,
/// the others are what applications and proxies write all day.
fn export(path: &Path, bytes: u64, pods: usize) {
    const TEXTS: [(&str, &str); 6] = [
        ("app", "GET /api/v1/items 200 12ms bytes=5120 trace=4bf92f3577b34da6a3ce929d0e0e4736"),
        ("app", "cache refreshed keys=8812 in 41 ms"),
        ("app", "WARN retrying in 250 ms: upstream gave 503"),
        ("app", "INFO 1 --- [main] o.s.b.w.embedded.tomcat : Tomcat started on port(s): 8080"),
        ("app", "handled request path=/healthz status=200 duration=1ms"),
        (
            "istio-proxy",
            "[2026-11-03T08:14:05.931Z] \\\"GET / HTTP/1.1\\\" 200 - via_upstream - 0 12 3",
        ),
    ];
    const REFUSED: &str = "dial tcp 10.30.4.7:5432: connect: connection refused";
    let mut out = BufWriter::new(File::create(path).expect("created"));
    let mut written = 0;
    for i in 0_u64.. {
        if written >= bytes {
            break;
        }
        // A stride that is prime to every count of pods here mixes them, as time does.
        let pod = (i as usize * 7_919) % pods;
        let (container, text) = match i % 10_000 {
            5_000 => ("app", REFUSED),
            _ => TEXTS[i as usize % TEXTS.len()],
        };
        let (second, nanos) = (i / 100_000 % 60, i % 100_000 * 10_000);
        let line = format!(
            "{{\"insertId\":\"{i:016x}\",\"labels\":{{\"compute.googleapis.com/resource_name\":\
             \"gke-prod-pool-1-{pod:04x}\",\"k8s-pod/app\":\"app-{pod}\",\
             \"k8s-pod/pod-template-hash\":\"7f8d6c5b9d\"}},\"logName\":\
             \"projects/prod/logs/stdout\",\"receiveTimestamp\":\
             \"2026-11-03T08:15:{second:02}.{nanos:09}Z\",\"resource\":{{\"labels\":{{\
             \"cluster_name\":\"prod-eu\",\"container_name\":\"{container}\",\"location\":\
             \"europe-west1\",\"namespace_name\":\"team-{}\",\"pod_name\":\
             \"app-{pod}-7f8d6c5b9d-q4w8z\",\"project_id\":\"prod\"}},\"type\":\
             \"k8s_container\"}},\"severity\":\"INFO\",\"textPayload\":\"{text}\",\
             \"timestamp\":\"2026-11-03T08:15:{second:02}.{nanos:09}Z\"}}\n",
            pod % 40
        );
        out.write_all(line.as_bytes()).expect("written");
        written += line.len() as u64;
    }
    out.flush().expect("written");
}

fn list(path: &Path, items: impl Iterator<Item = Value>) {
    let items: Vec<Value> = items.collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    fs::write(path, serde_json::to_vec_pretty(&list).expect("JSON")).expect("written");
}

/// A pod as the API gives it: injected, ready, with what else is always there.
fn pod(i: usize) -> Value {
    let name = format!("app-{i}-7f8d6c5b9d-q4w8z");
    let started = "2026-11-03T08:14:05Z";
    let ready = |name: &str| {
        json!({"name": name, "ready": true, "started": true, "restartCount": 0,
            "image": "registry.example/app:1", "imageID": "", "containerID": "containerd://1",
            "lastState": {}, "state": {"running": {"startedAt": started}}})
    };
    let container = |name: &str| {
        json!({"name": name, "image": "registry.example/app:1", "resources": {},
            "env": [{"name": "A", "value": "b"}, {"name": "POD_NAME",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": true}],
            "terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "Always"})
    };
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "lastProbeTime": null,
            "lastTransitionTime": "2026-11-03T08:14:10Z"})
    };
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": format!("team-{}", i % 40),
            "labels": {"app": format!("app-{i}"), "pod-template-hash": "7f8d6c5b9d"},
            "annotations": {"sidecar.istio.io/status": "{\"initContainers\":[\"istio-init\"],\
                \"containers\":[\"istio-proxy\"],\"revision\":\"default\"}"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                "name": format!("app-{i}-7f8d6c5b9d"), "uid": "1"}]},
        "spec": {"nodeName": format!("node-{}", i % 100), "restartPolicy": "Always",
            "initContainers": [container("istio-init")],
            "containers": [container("app"), container("istio-proxy")],
            "volumes": [{"name": "token", "projected": {"sources": []}}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "startTime": started,
            "conditions": [condition("PodScheduled"), condition("Ready"),
                condition("Initialized"), condition("ContainersReady")],
            "initContainerStatuses": [{"name": "istio-init", "ready": true, "restartCount": 0,
                "image": "i", "imageID": "", "lastState": {}, "state": {"terminated": {
                    "exitCode": 0, "reason": "Completed", "startedAt": started,
                    "finishedAt": started}}}],
            "containerStatuses": [ready("app"), ready("istio-proxy")]}})
}

fn event(i: usize) -> Value {
    let pod = i / 4;
    let at = "2026-11-03T08:14:05Z";
    json!({"apiVersion": "v1", "kind": "Event", "type": "Normal", "count": 1,
        "metadata": {"name": format!("e{i}"), "namespace": format!("team-{}", pod % 40)},
        "involvedObject": {"kind": "Pod", "name": format!("app-{pod}-7f8d6c5b9d-q4w8z"),
            "namespace": format!("team-{}", pod % 40), "fieldPath": "spec.containers{istio-proxy}"},
        "reason": "Started", "message": "Started container istio-proxy",
        "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": at, "lastTimestamp": at})
}

pub(crate) struct Cost {
    pub(crate) time: Duration,
    /// Processor time of all its threads; 0 where the system does not say.
    pub(crate) cpu: Duration,
    /// The most memory held, kB; 0 where the system does not say.
    pub(crate) memory: u64,
}

pub(crate) fn measure(command: &mut Command) -> Cost {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().expect("it starts");
    let folder = format!("/proc/{}", child.id());
    let (mut memory, mut cpu) = (0, Duration::ZERO);
    let time = loop {
        // The mark only rises, so the last one seen is all but the highest.
        memory = process::peak(&folder).unwrap_or(memory);
        cpu = process::used(&folder).unwrap_or(cpu);
        if child.try_wait().expect("it can be waited for").is_some() {
            break began.elapsed();
        }
        std::thread::sleep(PEEK);
    };
    Cost { time, cpu, memory }
}

pub(crate) fn show(what: &str, costs: &[Cost]) {
    let sorted = |of: fn(&Cost) -> Duration| {
        let mut times: Vec<f64> = costs.iter().map(|cost| of(cost).as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (times, cpu) = (sorted(|cost| cost.time), sorted(|cost| cost.cpu));
    let middle = costs.len() / 2;
    let spread = format!("{:.0}–{:.0} ms", times[0], times[times.len() - 1]);
    let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or(0) as f64 / 1e3;
    let (time, cpu) = (times[middle], cpu[middle]);
    println!("{what:<44} {time:>6.0} ms {spread:>19} {cpu:>6.0} ms {memory:>6.1} MB");
}
