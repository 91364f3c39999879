//! What asking a large Cloud Logging takes: requests, entries, minutes at the API's 60 reads a
//! minute and project, processor time and memory of `sunup doctor --cloud-logging`.
//!
//! `cargo bench -p sunup-cli --bench store`. The project is this bench's own, of `SUNUP_BENCH_ENTRIES`
//! (10,000,000) entries of one day: one in 500 has a word of some rule's without being a fault, and
//! `SUNUP_BENCH_PODS` (200) pods start before their proxy. Entries are made as they are asked for, so
//! what a real store takes to find them is not in the figures. `SUNUP_BENCH_BINARY` names another
//! `sunup` to be measured than the one that was built with the bench.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sunup_testkit::process::{peak, used};
use sunup_testkit::web::{Answer, Request, Web};

const DAY: &str = "2026-11-02T00:00:00Z";
/// Refusals that each failing pod logs before its proxy is ready.
const REFUSALS: usize = 20;

/// A store whose entries are made as they are asked for.
struct Project {
    entries: u64,
    pods: usize,
    requests: AtomicU64,
    handed: AtomicU64,
    /// The last question's answer, from which pages are cut.
    known: Mutex<(String, Arc<Vec<String>>)>,
}

fn at(pod: usize, pods: usize, millis: i64) -> Timestamp {
    let day: Timestamp = DAY.parse().expect("a time");
    let start = SignedDuration::from_hours(23).as_millis() as i64 * pod as i64 / pods as i64;
    day + SignedDuration::from_millis(start + millis)
}

/// As a ReplicaSet names them: ten pods a Deployment.
fn name(pod: usize) -> String {
    let letter = |digit: u8| char::from(b"bcdfghjklm"[usize::from(digit - b'0')]);
    let suffix: String = format!("{pod:05}").bytes().rev().take(5).map(letter).collect();
    format!("orders-{}-7f8d6c5b9d-{suffix}", pod / 10)
}

fn line(pod: usize, container: &str, at: Timestamp, text: &str) -> String {
    json!({"insertId": format!("{pod}-{at}"), "logName": "projects/p/logs/stderr",
        "resource": {"type": "k8s_container", "labels": {"cluster_name": "c", "location": "l",
            "namespace_name": "shop", "pod_name": name(pod), "container_name": container}},
        "timestamp": at.to_string(), "severity": "DEFAULT", "textPayload": text})
    .to_string()
}

fn event(pod: usize, at: Timestamp, (container, reason, message): (&str, &str, &str)) -> String {
    let warning = reason == "Unhealthy";
    let field = format!("spec.containers{{{container}}}");
    json!({"insertId": format!("e{pod}-{at}-{reason}-{container}"), "logName": "projects/p/logs/events",
        "resource": {"type": "k8s_pod", "labels": {"cluster_name": "c", "location": "l",
            "namespace_name": "shop", "pod_name": name(pod)}},
        "timestamp": at.to_string(), "severity": if warning { "WARNING" } else { "INFO" },
        "jsonPayload": {"kind": "Event", "apiVersion": "v1", "reason": reason, "message": message,
            "type": if warning { "Warning" } else { "Normal" },
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": name(pod), "fieldPath": field},
            "firstTimestamp": at.to_string(), "lastTimestamp": at.to_string(), "count": 1}})
    .to_string()
}

impl Project {
    /// The entries that a question matches, oldest first.
    fn found(&self, filter: &str) -> Vec<String> {
        let mut found: Vec<(Timestamp, String)> = Vec::new();
        let named = |pod: usize| filter.contains(&format!("\"{}\"", name(pod)));
        let lines = filter.contains("k8s_container");
        let narrow = filter.contains("_name=(\"") || filter.contains("Object.name=");
        let narrow = narrow || filter.contains("pod_name=");
        for pod in (0..self.pods).filter(|pod| !narrow || named(*pod)) {
            let at = |millis| at(pod, self.pods, millis);
            match (lines, narrow) {
                (true, false) => {
                    for n in 0..REFUSALS {
                        let when = at(2_000 + 100 * n as i64);
                        let text = "dial tcp 10.8.0.9:6379: connect: connection refused";
                        found.push((when, line(pod, "orders", when, text)));
                    }
                }
                (true, true) => {
                    let ready = "2026-11-02T00:00:00Z\tinfo\tEnvoy proxy is ready";
                    let start = "2026-11-02T00:00:00Z\tinfo\tProxy role: ips=[10.8.1.2]";
                    found.push((at(1_500), line(pod, "istio-proxy", at(1_500), start)));
                    found.push((at(5_000), line(pod, "istio-proxy", at(5_000), ready)));
                }
                (false, false) => {
                    let unready = (
                        "istio-proxy",
                        "Unhealthy",
                        "Readiness probe failed: HTTP probe failed with statuscode: 503",
                    );
                    found.push((at(3_000), event(pod, at(3_000), unready)));
                }
                (false, true) => {
                    for container in ["istio-proxy", "orders"] {
                        let image = "Container image \"proxyv2:1.27.1\" already present on machine";
                        for (reason, message) in [
                            ("Pulled", image),
                            ("Created", "Created container"),
                            ("Started", "Started container"),
                        ] {
                            let said = (container, reason, message);
                            found.push((at(1_000), event(pod, at(1_000), said)));
                        }
                    }
                }
            }
        }
        if lines && !narrow {
            let others = self.entries / 500;
            for n in 0..others {
                let when = at(
                    usize::try_from(n).expect("small"),
                    usize::try_from(others).expect("small"),
                    1,
                );
                let pod = 1_000_000 + usize::try_from(n % 5_000).expect("small");
                found.push((
                    when,
                    line(pod, "web", when, "cookie refused: user will connect to the form again"),
                ));
            }
        }
        found.sort();
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    fn answer(&self, request: &Request) -> Answer {
        let body: Value = serde_json::from_str(&request.body).expect("a question");
        let filter = body["filter"].as_str().expect("a filter").to_owned();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut known = self.known.lock().expect("no panic while it was held");
        if known.0 != filter {
            *known = (filter.clone(), Arc::new(self.found(&filter)));
        }
        let all = Arc::clone(&known.1);
        drop(known);
        let from: usize =
            body["pageToken"].as_str().map_or(0, |token| token.parse().expect("ours"));
        let size = usize::try_from(body["pageSize"].as_u64().expect("given")).expect("small");
        let page = &all[from..all.len().min(from + size)];
        self.handed.fetch_add(page.len() as u64, Ordering::Relaxed);
        let next = from + page.len();
        let token = match next < all.len() {
            true => format!(",\"nextPageToken\":\"{next}\""),
            false => String::new(),
        };
        Answer::new(200, format!("{{\"entries\":[{}]{token}}}", page.join(",")))
    }
}

fn main() {
    let set = |name: &str, usual: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let entries = set("SUNUP_BENCH_ENTRIES", 10_000_000);
    let pods = usize::try_from(set("SUNUP_BENCH_PODS", 200)).expect("small");
    let project = Arc::new(Project {
        entries,
        pods,
        requests: AtomicU64::new(0),
        handed: AtomicU64::new(0),
        known: Mutex::default(),
    });
    let inside = Arc::clone(&project);
    let server = Web::new(move |request| inside.answer(request));
    let folder = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let own = || env!("CARGO_BIN_EXE_sunup").into();
    let mut child = Command::new(std::env::var_os("SUNUP_BENCH_BINARY").unwrap_or_else(own))
        .args(["doctor", "--cloud-logging", "p", "--endpoint", &server.url(), "--format", "json"])
        .args(["--since", DAY, "--until", "2026-11-03T00:00:00Z"])
        .env_remove("GOOGLE_APPLICATION_CREDENTIALS")
        .env("HOME", folder.path())
        .stdout(Stdio::from(std::fs::File::create(folder.path().join("report")).expect("made")))
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let process = format!("/proc/{}", child.id());
    let (mut cpu, mut kib) = (Duration::ZERO, 0);
    while child.try_wait().expect("it can be waited for").is_none() {
        cpu = used(&process).unwrap_or(cpu);
        kib = peak(&process).unwrap_or(kib);
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = began.elapsed();
    let report = std::fs::read(folder.path().join("report")).expect("written");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let findings = report["findings"].as_array().expect("findings");
    let named: usize = findings
        .iter()
        .filter(|finding| finding["rule"] == "app-before-proxy")
        .map(|finding| finding["subject"]["pods"].as_array().map_or(0, Vec::len))
        .sum();
    let requests = project.requests.load(Ordering::Relaxed);
    println!("entries in the store      {entries}");
    println!(
        "pods with the fault       {pods}, of which {named} are named in {} findings",
        findings.len()
    );
    println!("requests                  {requests}");
    println!("entries read              {}", project.handed.load(Ordering::Relaxed));
    println!("minutes at 60 a minute    {:.1}", requests as f64 / 60.0);
    println!("processor time            {:.2} s", cpu.as_secs_f64());
    println!("memory at its highest     {:.0} MiB", kib as f64 / 1024.0);
    println!("wall, no quota            {:.2} s", took.as_secs_f64());
}
