//! A record in the forms that clusters give: kubectl JSON, CRI log files, Cloud Logging entries;
//! and the table that `kubectl get pods` would print.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::kubelet::{ContainerStatus, Phase, PodStatus, Time};
use crate::manifest::PodName;
use crate::node::NODE_NAME;
use crate::process::Stream;
use crate::record::{Event, PodRecord};

/// Every pod of a record.
pub type Pods = BTreeMap<PodName, PodRecord>;

/// Writes a folder as somebody would collect it from a cluster: `pods.json`, `events.json`,
/// `objects.json`, and `pods/<namespace>_<pod>_<uid>/<container>/<restart>.log`.
///
/// # Errors
/// A file can't be written.
pub fn kubectl(pods: &Pods, objects: &[Value], folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let write = |name: &str, items: Vec<Value>| {
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(&list)? + "\n";
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write("pods.json", pods.values().map(pod).collect())?;
    write("events.json", pods.iter().flat_map(|(name, r)| events(name, &r.events)).collect())?;
    if !objects.is_empty() {
        write("objects.json", objects.to_vec())?;
    }
    for (name, record) in pods {
        for ((container, restart), text) in cri(record) {
            let folder = folder
                .join("pods")
                .join(format!("{}_{}_{}", name.namespace, name.name, name.uid))
                .join(container);
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(format!("{restart}.log")), text)?;
        }
    }
    Ok(())
}

/// A pod's object as the API server would show it last.
fn pod(record: &PodRecord) -> Value {
    let mut object = record.object.clone();
    if let Some(status) = record.now() {
        object["status"] = serde_json::to_value(status).unwrap_or_default();
    }
    object
}

/// Log files by container and restart, in the format of container runtimes.
fn cri(record: &PodRecord) -> BTreeMap<(&str, u32), String> {
    let mut files: BTreeMap<(&str, u32), String> = BTreeMap::new();
    for line in &record.lines {
        let text = files.entry((&line.container, line.restart)).or_default();
        let stream = if line.stream == Stream::Out { "stdout" } else { "stderr" };
        let tag = if line.partial { "P" } else { "F" };
        let _ = writeln!(text, "{:.9} {stream} {tag} {}", line.at, line.text);
    }
    files
}

/// Events with what repeats counted, as the API server keeps them.
fn events(pod: &PodName, all: &[Event]) -> Vec<Value> {
    let mut kept: Vec<(&Event, u32, Time)> = Vec::new();
    for event in all {
        let same = |e: &Event| {
            e.reason == event.reason
                && e.message == event.message
                && e.field_path == event.field_path
        };
        match kept.iter_mut().find(|(e, ..)| same(e)) {
            Some((_, count, last)) => {
                *count += 1;
                *last = Time(event.at);
            }
            None => kept.push((event, 1, Time(event.at))),
        }
    }
    let of = |(n, (event, count, last)): (usize, (&Event, u32, Time))| {
        self::event(pod, event, &format!("{}.{n:016x}", pod.name), (count, last))
    };
    kept.into_iter().enumerate().map(of).collect()
}

/// An event as the API has it: under which name, how often it has happened, and when last.
#[must_use]
pub fn event(pod: &PodName, event: &Event, name: &str, (count, last): (u32, Time)) -> Value {
    let mut involved = json!({"apiVersion": "v1", "kind": "Pod", "name": pod.name,
        "namespace": pod.namespace, "uid": pod.uid});
    if let Some(path) = &event.field_path {
        involved["fieldPath"] = path.clone().into();
    }
    let first = Time(event.at).to_string();
    json!({"apiVersion": "v1", "kind": "Event", "type": kind(event), "reason": event.reason,
        "message": event.message, "count": count, "firstTimestamp": first,
        "lastTimestamp": last.to_string(), "eventTime": null, "involvedObject": involved,
        "metadata": {"name": name, "namespace": pod.namespace, "creationTimestamp": first},
        "reportingComponent": event.component, "reportingInstance": NODE_NAME,
        "source": {"component": event.component, "host": NODE_NAME}})
}

fn kind(event: &Event) -> &'static str {
    if event.warning { "Warning" } else { "Normal" }
}

/// Entries of Cloud Logging, one a line, in the order of time: logs as `k8s_container`, events as
/// `k8s_pod`.
#[must_use]
pub fn cloud_logging(pods: &Pods) -> String {
    let mut entries = Vec::new();
    for (name, record) in pods {
        let labels = |container: Option<&str>| {
            let mut labels = json!({"project_id": "lab", "location": "here",
                "cluster_name": "lab", "namespace_name": name.namespace, "pod_name": name.name});
            if let Some(container) = container {
                labels["container_name"] = container.into();
            }
            labels
        };
        for line in &record.lines {
            let (log, severity) = match line.stream {
                Stream::Out => ("stdout", "INFO"),
                Stream::Err => ("stderr", "ERROR"),
            };
            let mut entry = json!({"logName": format!("projects/lab/logs/{log}"),
                "resource": {"type": "k8s_container", "labels": labels(Some(&line.container))},
                "severity": severity, "timestamp": format!("{:.9}", line.at)});
            // A line that is a JSON object becomes the payload, as the logging agent does it.
            match serde_json::from_str::<Value>(&line.text) {
                Ok(object @ Value::Object(_)) => entry["jsonPayload"] = object,
                _ => entry["textPayload"] = line.text.clone().into(),
            }
            entries.push((line.at, entry));
        }
        for (event, object) in record
            .events
            .iter()
            .zip(record.events.iter().flat_map(|event| events(name, std::slice::from_ref(event))))
        {
            let severity = if event.warning { "WARNING" } else { "INFO" };
            let entry = json!({"logName": "projects/lab/logs/events", "severity": severity,
                "resource": {"type": "k8s_pod", "labels": labels(None)}, "jsonPayload": object,
                "timestamp": format!("{:.9}", event.at)});
            entries.push((event.at, entry));
        }
    }
    entries.sort_by_key(|(at, _)| *at);
    let mut out = String::new();
    for (n, (_, mut entry)) in entries.into_iter().enumerate() {
        entry["insertId"] = format!("lab{n:012}").into();
        out += &entry.to_string();
        out.push('\n');
    }
    out
}

/// What `kubectl get pods` would print for a pod: READY, STATUS, RESTARTS.
#[must_use]
pub fn columns(status: &PodStatus) -> (String, String, u32) {
    let sidecars = status.init_container_statuses.iter().filter(|c| c.sidecar);
    let shown: Vec<&ContainerStatus> = sidecars.chain(&status.container_statuses).collect();
    let ready = shown.iter().filter(|c| c.ready && c.state.running.is_some()).count();
    (format!("{ready}/{}", shown.len()), word(status), status.restarts())
}

/// The STATUS column.
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/printers/internalversion/printers.go>
fn word(status: &PodStatus) -> String {
    let mut word = status.reason.clone().unwrap_or_else(|| format!("{:?}", status.phase));
    let all = status.init_container_statuses.len();
    for (n, init) in status.init_container_statuses.iter().enumerate() {
        let state = &init.state;
        match (&state.terminated, &state.waiting) {
            (Some(ended), _) if ended.exit_code == 0 => continue,
            _ if init.sidecar && init.started => continue,
            (Some(ended), _) => return format!("Init:{}", ended.reason),
            (_, Some(waiting)) if waiting.reason != "PodInitializing" => {
                return format!("Init:{}", waiting.reason);
            }
            _ => return format!("Init:{n}/{all}"),
        }
    }
    let mut running = false;
    for container in status.container_statuses.iter().rev() {
        match (&container.state.waiting, &container.state.terminated) {
            (Some(waiting), _) => waiting.reason.clone_into(&mut word),
            (_, Some(ended)) => ended.reason.clone_into(&mut word),
            _ if container.ready => running = true,
            _ => {}
        }
    }
    if word == "Completed" && running {
        let ready = status.is_ready();
        word = if ready { "Running" } else { "NotReady" }.to_owned();
    }
    if status.phase == Phase::Pending && word == "Pending" && all == 0 {
        "ContainerCreating".clone_into(&mut word);
    }
    word
}
