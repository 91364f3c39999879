//! `kubectl describe pod`: name, namespace and events, the states of containers; of what makes pods,
//! its events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sunup_evidence::object::{
    Container, ContainerState, ContainerStatus, EnvVar, Map, Object, OwnerReference, Pod, Running,
    Terminated, Waiting,
};
use sunup_evidence::record::{Event, Place};

use super::reason;
use crate::file::File;
use crate::out::Out;

/// Whether the text describes pods: their fields in the order kubectl prints them.
pub(crate) fn is_describe(text: &str) -> bool {
    if text.lines().take(40).any(is_events_head) {
        return true;
    }
    let mut lines = text.lines().skip_while(|line| line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    let second = lines.next().unwrap_or_default();
    first.starts_with("Name:")
        && second.starts_with("Namespace:")
        && text.lines().take(400).any(|l| l.starts_with("Containers:") || l.starts_with("Events:"))
}

/// The head of the list of events, which people copy by itself too.
fn is_events_head(line: &str) -> bool {
    line.split_whitespace().eq(["Type", "Reason", "Age", "From", "Message"])
}

/// A line of a description with its place.
struct Line<'t> {
    number: u64,
    indent: usize,
    text: &'t str,
}

/// Reads every pod described in the text.
pub(crate) fn read(file: &File<'_>, text: &str, out: &mut Out) {
    let lines: Vec<Line<'_>> = text
        .lines()
        .enumerate()
        .map(|(i, raw)| {
            let text = raw.trim_start();
            Line { number: i as u64 + 1, indent: raw.len() - text.len(), text: text.trim_end() }
        })
        .filter(|line| !line.text.is_empty())
        .collect();
    let starts: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.indent == 0 && line.text.starts_with("Name:"))
        .map(|(i, _)| i)
        .collect();
    if starts.is_empty() {
        let pod = Pod::default();
        for line in &lines {
            if let Some(event) = event(&pod, true, line) {
                let place = Some(Place::new(&file.label, line.number));
                out.event(Event { place, ..event });
            }
        }
    }
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(lines.len());
        one(file, &lines[*start..end], out);
    }
}

fn one(file: &File<'_>, lines: &[Line<'_>], out: &mut Out) {
    let mut pod = Pod::default();
    let mut is_pod = false;
    let (mut kind, mut makes_pods) = ("", false);
    let mut section = "";
    let mut in_section: BTreeMap<&str, Vec<&Line<'_>>> = BTreeMap::new();
    for line in lines {
        if line.indent == 0 {
            let (key, value) = line.text.split_once(':').unwrap_or((line.text, ""));
            let value = value.trim();
            section = key;
            top(&mut pod, key, value);
            is_pod |= matches!(key, "Containers" | "Init Containers");
            kind = of_kind(key).unwrap_or(kind);
            makes_pods |=
                matches!(key, "Pods Status" | "Pods Statuses" | "Pod Template" | "Replicas");
            if matches!(key, "Labels" | "Annotations") {
                pair(map_of(&mut pod, key), value, if key == "Labels" { '=' } else { ':' });
            }
        } else {
            in_section.entry(section).or_default().push(line);
        }
    }
    for (key, mark) in [("Labels", '='), ("Annotations", ':')] {
        for line in in_section.get(key).into_iter().flatten() {
            pair(map_of(&mut pod, key), line.text, mark);
        }
    }
    let empty = Vec::new();
    for (key, init) in [("Init Containers", true), ("Containers", false)] {
        containers(&mut pod, in_section.get(key).unwrap_or(&empty), init);
    }
    for line in in_section.get("Events").unwrap_or(&empty) {
        if let Some(mut event) = event(&pod, is_pod, line) {
            // What is said of a ReplicaSet or a Job concerns whoever made it.
            let owner = pod.metadata.owner_references.first();
            match owner.filter(|_| makes_pods) {
                Some(owner) => {
                    (event.kind, event.name) = (owner.kind.clone(), Some(owner.name.clone()));
                }
                None if makes_pods => kind.clone_into(&mut event.kind),
                None => {}
            }
            out.event(Event { place: Some(Place::new(&file.label, line.number)), ..event });
        }
    }
    if is_pod {
        // Described by a cluster: only an API server knows a status.
        pod.metadata.uid = Some(String::new());
        let number = lines.first().map_or(1, |line| line.number);
        file.object(Object::Pod(Box::new(pod)), number, 0, None, false, out);
    }
}

/// What is described, by a field that only its kind has.
fn of_kind(key: &str) -> Option<&'static str> {
    match key {
        "StrategyType" => Some("Deployment"),
        "Update Strategy" => Some("StatefulSet"),
        "Desired Number of Nodes Scheduled" => Some("DaemonSet"),
        "Completions" => Some("Job"),
        "Successful Job History Limit" => Some("CronJob"),
        _ => None,
    }
}

fn map_of<'p>(pod: &'p mut Pod, key: &str) -> &'p mut Map {
    if key == "Labels" { &mut pod.metadata.labels } else { &mut pod.metadata.annotations }
}

fn pair(map: &mut Map, text: &str, mark: char) {
    if let Some((key, value)) = text.split_once(mark).filter(|(key, _)| !key.contains(' ')) {
        map.insert(key.to_owned(), value.trim().to_owned());
    }
}

fn top(pod: &mut Pod, key: &str, value: &str) {
    let some = || Some(value.to_owned()).filter(|v| !v.is_empty() && v != "<none>");
    let Pod { metadata, spec, status } = pod;
    match key {
        "Name" => metadata.name = value.to_owned(),
        "Namespace" => metadata.namespace = some(),
        "Node" => spec.node_name = some().map(|v| v.split('/').next().unwrap_or("").to_owned()),
        "Service Account" => spec.service_account_name = some(),
        "Start Time" => status.start_time = date(value).map(|at| at.to_string()),
        "Status" => status.phase = some().map(|v| v.split(' ').next().unwrap_or("").to_owned()),
        "Reason" => status.reason = some(),
        "Message" => status.message = some(),
        "Controlled By" => {
            if let Some((kind, name)) = value.split_once('/') {
                metadata.owner_references.push(OwnerReference {
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                    controller: Some(true),
                });
            }
        }
        _ => {}
    }
}

fn containers(pod: &mut Pod, lines: &[&Line<'_>], init: bool) {
    let Some(base) = lines.iter().map(|line| line.indent).min() else { return };
    let starts: Vec<usize> = (0..lines.len())
        .filter(|i| lines[*i].indent == base && lines[*i].text.ends_with(':'))
        .collect();
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(lines.len());
        let name = lines[*start].text.trim_end_matches(':');
        let (container, status) = container(name, &lines[start + 1..end]);
        if init {
            pod.spec.init_containers.push(container);
            pod.status.init_container_statuses.push(status);
        } else {
            pod.spec.containers.push(container);
            pod.status.container_statuses.push(status);
        }
    }
}

fn container(name: &str, lines: &[&Line<'_>]) -> (Container, ContainerStatus) {
    let mut container = Container { name: name.to_owned(), ..Container::default() };
    let mut status = ContainerStatus { name: name.to_owned(), ..ContainerStatus::default() };
    let Some(base) = lines.iter().map(|line| line.indent).min() else { return (container, status) };
    let mut field = "";
    for line in lines {
        let (key, value) = line.text.split_once(':').unwrap_or((line.text, ""));
        let value = value.trim();
        if line.indent == base {
            field = key;
            match key {
                "Image" => container.image = value.to_owned(),
                "Ready" => status.ready = value == "True",
                "Restart Count" => status.restart_count = value.parse().unwrap_or(0),
                "State" => begin(&mut status.state, value),
                "Last State" => begin(&mut status.last_state, value),
                _ => {}
            }
            continue;
        }
        match field {
            "State" => detail(&mut status.state, key, value),
            "Last State" => detail(&mut status.last_state, key, value),
            "Command" => container.command.push(line.text.to_owned()),
            "Args" => container.args.push(line.text.to_owned()),
            "Environment" if !value.is_empty() => container.env.push(EnvVar {
                name: key.to_owned(),
                // What comes from elsewhere is printed as `<set to the key …>` or `(v1:…)`.
                value: (!value.starts_with('<') && !value.ends_with(')')).then(|| value.to_owned()),
            }),
            _ => {}
        }
    }
    (container, status)
}

fn begin(state: &mut ContainerState, word: &str) {
    match word {
        "Waiting" => state.waiting = Some(Waiting::default()),
        "Running" => state.running = Some(Running::default()),
        "Terminated" => state.terminated = Some(Terminated::default()),
        _ => {}
    }
}

fn detail(state: &mut ContainerState, key: &str, value: &str) {
    let text = || Some(value.to_owned()).filter(|v| !v.is_empty());
    let time = || date(value).map(|at| at.to_string());
    if let Some(waiting) = &mut state.waiting {
        match key {
            "Reason" => waiting.reason = text(),
            "Message" => waiting.message = text(),
            _ => {}
        }
    }
    if let Some(running) = &mut state.running
        && key == "Started"
    {
        running.started_at = time();
    }
    if let Some(ended) = &mut state.terminated {
        match key {
            "Reason" => ended.reason = text(),
            "Message" => ended.message = text(),
            "Exit Code" => ended.exit_code = value.parse().unwrap_or_default(),
            "Started" => ended.started_at = time(),
            "Finished" => ended.finished_at = time(),
            _ => {}
        }
    }
}

/// `Tue, 31 Mar 2020 10:41:15 +0000`.
fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// A row `Type Reason Age From Message`; its age is relative, so it has no time.
fn event(pod: &Pod, is_pod: bool, line: &Line<'_>) -> Option<Event> {
    let mut cells = line.text.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    let kind = cells.next()?;
    if !matches!(kind, "Normal" | "Warning") {
        return None;
    }
    let (reason, age, _from) = (cells.next()?, cells.next()?, cells.next()?);
    let message = cells.collect::<Vec<_>>().join("  ");
    let count = age.split_once("(x").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    Some(Event {
        namespace: pod.metadata.namespace.clone(),
        kind: if is_pod { "Pod".to_owned() } else { String::new() },
        name: Some(pod.metadata.name.clone()).filter(|name| !name.is_empty()),
        container: reason::container_of(&message).map(str::to_owned),
        reason: reason.to_owned(),
        message,
        warning: kind == "Warning",
        count: count.unwrap_or(1),
        ..Event::default()
    })
}
