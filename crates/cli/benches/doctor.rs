//! `sunup doctor` as a whole process, beside ripgrep looking for the one phrase in the same export.
//!
//! `cargo bench -p sunup-cli`. `SUNUP_BENCH_BYTES` sets the size of the big export (default 1 GB),
//! `SUNUP_BENCH_DIR` where it is written, `SUNUP_BENCH_ROUNDS` how often each is timed. Files are
//! read once before timing, so all contenders find them in memory.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sunup_testkit::export_gen::{ExportLayout, ExportSpec, write_export};

/// How often a running process is asked for the most memory it has held.
const PEEK: Duration = Duration::from_millis(1);

fn main() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let bytes = number("SUNUP_BENCH_BYTES", 1_000_000_000);
    let rounds = number("SUNUP_BENCH_ROUNDS", 5);
    let parent = std::env::var_os("SUNUP_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent).expect("a folder to write to");

    println!("{:<44} {:>9} {:>19} {:>9}", "", "median", "spread", "memory");
    for (what, bytes, pods) in
        [("5,000 pods, their events, logs", bytes, 5_000), ("a hand-over of 5 MB", 4_500_000, 50)]
    {
        let input = Input::write(&folder.path().join(pods.to_string()), bytes, pods);
        println!("{what}: {:.0} MB in all", input.size() as f64 / 1e6);
        let doctor = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
            command.args(["doctor", "--format=json"]).arg(&input.folder);
            command
        };
        let ripgrep = sunup_testkit::program("rg").map(|rg| {
            move |file: &Path| {
                let mut command = Command::new(&rg);
                command.args(["--count", "--fixed-strings", "connection refused"]).arg(file);
                command
            }
        });
        // Interleaved, so that a busy machine is unfair to both alike.
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(measure(doctor()));
            theirs.extend(ripgrep.as_ref().map(|rg| measure(rg(&input.logs))));
        }
        show("  sunup doctor", &ours);
        if !theirs.is_empty() {
            show("  rg -cF 'connection refused' (logs alone)", &theirs);
        }
    }
}

struct Input {
    folder: PathBuf,
    logs: PathBuf,
}

impl Input {
    fn write(folder: &Path, bytes: u64, pods: usize) -> Self {
        fs::create_dir(folder).expect("made");
        let logs = folder.join("export.jsonl");
        let mut out = BufWriter::new(File::create(&logs).expect("created"));
        let spec = ExportSpec { bytes, layout: ExportLayout::Lines, refused_one_in: 10_000 };
        write_export(&mut out, &spec).expect("written");
        out.flush().expect("written");
        list(&folder.join("pods.json"), (0..pods).map(pod));
        list(&folder.join("events.json"), (0..pods * 4).map(event));
        for file in fs::read_dir(folder).expect("readable") {
            fs::read(file.expect("entry").path()).expect("readable");
        }
        Input { folder: folder.to_owned(), logs }
    }

    fn size(&self) -> u64 {
        let files = fs::read_dir(&self.folder).expect("readable");
        files.map(|file| file.and_then(|file| file.metadata()).map_or(0, |meta| meta.len())).sum()
    }
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

struct Cost {
    time: Duration,
    /// The most memory held, kB; 0 where the system does not say.
    memory: u64,
}

fn measure(mut command: Command) -> Cost {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let time = loop {
        // The mark only rises, so the last one seen is all but the highest.
        memory = peak(&status).unwrap_or(memory);
        if child.try_wait().expect("it can be waited for").is_some() {
            break began.elapsed();
        }
        std::thread::sleep(PEEK);
    };
    Cost { time, memory }
}

fn peak(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn show(what: &str, costs: &[Cost]) {
    let mut times: Vec<f64> = costs.iter().map(|cost| cost.time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or(0);
    let (first, median, last) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{what:<44} {median:>6.0} ms {:>19} {:>6.1} MB",
        format!("{first:.0}–{last:.0} ms"),
        memory as f64 / 1e3
    );
}
