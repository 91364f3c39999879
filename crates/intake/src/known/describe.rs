//! `kubectl describe` (and `oc describe`) of any kind: of a pod its name, containers, states and
//! events; of what makes pods how many are ready, whose it is, and its events; of a node its
//! versions, of a namespace its labels; the block of events by itself.

mod events;
mod line;
mod pod;

use std::collections::BTreeMap;

use sunup_evidence::listed::Listed;
use sunup_evidence::object::{Meta, NodeInfo, Object, Pod};
use sunup_evidence::record::Place;
use sunup_evidence::shape::is_mesh_container;

use crate::file::File;
use crate::out::Out;
use crate::parts;
use events::Told;
use line::Line;
use pod::{containers, map_of, pair, top};

/// Lines at the head of a text in which a description may begin.
const HEAD_LINES: usize = 40;

/// Whether the text describes objects: a name and what kubectl prints behind it, or the head of a
/// list of events.
pub(crate) fn is_describe(text: &str) -> bool {
    let mut name_before = false;
    for line in text.lines().filter(|line| !line.trim().is_empty()).take(HEAD_LINES) {
        let second = name_before && is_second(line.trim_start());
        if events::is_head(line) || second || parts::is_of_container(line) {
            return true;
        }
        name_before = is_name_field(line.trim_start());
    }
    false
}

/// `Name:` with white space behind it: kubectl's columns are padded.
fn is_name_field(text: &str) -> bool {
    text.strip_prefix("Name:").is_some_and(|rest| rest.starts_with([' ', '\t']))
}

/// What stands below the name: a namespace, of what is in none the labels or roles.
fn is_second(text: &str) -> bool {
    ["Namespace:", "Roles:", "Labels:"]
        .iter()
        .any(|key| text.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '\t'])))
}

/// Reads everything described in the text.
pub(crate) fn read(file: &File<'_>, text: &str, out: &mut Out) {
    let mut lines: Vec<Line<'_>> = (1..)
        .zip(text.lines())
        .map(|(number, raw)| {
            let text = raw.trim_start();
            Line { number, indent: raw.len() - text.len(), text: text.trim_end() }
        })
        .collect();
    let mut starts: Vec<usize> = Vec::new();
    let mut named: Option<usize> = None;
    for (i, line) in lines.iter().enumerate().filter(|(_, line)| !line.text.is_empty()) {
        starts.extend(named.filter(|_| is_second(line.text)));
        named = line.text.starts_with("Name:").then_some(i);
    }
    let first = starts.first().copied().unwrap_or(lines.len());
    alone(file, &lines[..first], out);
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(lines.len());
        // The whole description may have been indented on the way.
        let base = lines[*start].indent;
        for line in &mut lines[*start..end] {
            line.indent = line.indent.saturating_sub(base);
        }
        one(file, &lines[*start..end], out);
    }
}

/// A block of events without the description that it belongs to.
fn alone(file: &File<'_>, lines: &[Line<'_>], out: &mut Out) {
    let Some(head) = lines.iter().position(|line| events::is_head(line.text)) else { return };
    let rows: Vec<&Line<'_>> = lines[head..].iter().collect();
    let (mut told, _strange) = events::read(&rows);
    let (kind, name, namespace) = events::subject(&told);
    let of_pod = matches!(kind.as_str(), "" | "Pod");
    let started = told.iter().filter_map(|told| events::started(&told.event.message));
    let started: Vec<&str> = started.collect();
    if let (Some(name), true, Some(mut pod)) = (&name, of_pod, rest(&lines[..head], &started)) {
        pod.metadata.name.clone_from(name);
        pod.metadata.namespace = namespace.clone().or_else(|| file.whose.namespace.clone());
        file.object(Object::Pod(Box::new(pod)), lines[0].number, 0, None, false, out);
    }
    for Told { event, .. } in &mut told {
        event.namespace = namespace.clone().or_else(|| file.whose.namespace.clone());
        // Only a component's name makes it certain that this is about something else.
        event.kind.clone_from(&kind);
        event.name = name.clone().or_else(|| file.whose.pod.clone().filter(|_| of_pod));
    }
    put(file, told, out);
}

/// What is left of a description whose head was cut off: its last containers, the first of them perhaps
/// without its name, which the one that was `started` beside the others then has. Where the proxy is
/// not among them, it may have stood above, and nothing is made of the others.
fn rest(lines: &[Line<'_>], started: &[&str]) -> Option<Pod> {
    let mut pod = Pod::default();
    let mut sections: Sections<'_, '_> = BTreeMap::new();
    let mut section = "";
    for line in lines {
        if line.indent > 0 || line.text.is_empty() {
            sections.entry(section).or_default().push(line);
        } else {
            section = line.text.split_once(':').map_or(line.text, |(key, _)| key);
        }
    }
    // What stands above the containers are those that come before them.
    let above = if sections.contains_key("Containers") { "Init Containers" } else { "Containers" };
    let mut nameless = Vec::new();
    if let Some(mut lines) = sections.remove("") {
        let head = lines.iter().position(|line| line.text.ends_with(':') && line.indent == 2);
        let named = lines.split_off(head.unwrap_or(lines.len()));
        nameless = lines;
        sections.entry(above).or_insert(named);
    }
    for (key, init) in [("Init Containers", true), ("Containers", false)] {
        containers(&mut pod, sections.get(key).map_or(&[], Vec::as_slice), init);
    }
    pod::conditions(&mut pod, sections.get("Conditions").map_or(&[], Vec::as_slice));
    pod.metadata.uid = Some(String::new());
    let known = |name: &str| {
        let mut all = pod.spec.init_containers.iter().chain(&pod.spec.containers);
        all.any(|c| c.name == name) || is_mesh_container(name)
    };
    let mut others: Vec<&str> = started.iter().copied().filter(|name| !known(name)).collect();
    others.sort_unstable();
    others.dedup();
    if let ([name], false, "Containers") = (others.as_slice(), nameless.is_empty(), above) {
        pod::one_container(&mut pod, name, &nameless);
    }
    let mut all = pod.spec.init_containers.iter().chain(&pod.spec.containers);
    all.any(|c| c.name == sunup_api::container::PROXY).then_some(pod)
}

fn put(file: &File<'_>, told: Vec<Told>, out: &mut Out) {
    for Told { mut event, number, .. } in told {
        event.place = Some(Place::new(&file.label, number));
        out.event(event);
    }
}

/// The sections of one description: what stands below each of its fields.
type Sections<'l, 't> = BTreeMap<&'t str, Vec<&'l Line<'t>>>;

fn one(file: &File<'_>, lines: &[Line<'_>], out: &mut Out) {
    let mut pod = Pod::default();
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    let mut section = "";
    let mut sections: Sections<'_, '_> = BTreeMap::new();
    for line in lines {
        if line.indent > 0 || line.text.is_empty() {
            sections.entry(section).or_default().push(line);
            continue;
        }
        let (key, value) = line.text.split_once(':').unwrap_or((line.text, ""));
        let value = value.trim();
        section = key;
        fields.entry(key).or_insert(value);
        top(&mut pod, key, value);
        if matches!(key, "Labels" | "Annotations") {
            pair(map_of(&mut pod, key), value, if key == "Labels" { '=' } else { ':' });
        }
    }
    for (key, mark) in [("Labels", '='), ("Annotations", ':')] {
        for line in sections.get(key).into_iter().flatten() {
            pair(map_of(&mut pod, key), line.text, mark);
        }
    }
    let empty = Vec::new();
    let (told, strange) = events::read(sections.get("Events").unwrap_or(&empty));
    if strange > 0 {
        out.unplaced(strange);
    }
    // A description may have been cut down to its head and its events.
    let whole = fields.contains_key("Containers") || fields.contains_key("Init Containers");
    let is_pod =
        whole || ["Node", "Start Time", "QoS Class"].iter().any(|f| fields.contains_key(f));
    let kind = if is_pod { "Pod".to_owned() } else { kind_of(&fields, &pod) };
    of_events(file, &pod, &kind, told, out);
    let number = lines.first().map_or(1, |line| line.number);
    match kind.as_str() {
        "Pod" if whole => {
            for (key, init) in [("Init Containers", true), ("Containers", false)] {
                containers(&mut pod, sections.get(key).unwrap_or(&empty), init);
            }
            pod::conditions(&mut pod, sections.get("Conditions").unwrap_or(&empty));
            // Described by a cluster: only an API server knows a status.
            pod.metadata.uid = Some(String::new());
            file.object(Object::Pod(Box::new(pod)), number, 0, None, false, out);
        }
        "Node" => {
            let info = node(sections.get("System Info").unwrap_or(&empty));
            let meta = Meta { name: pod.metadata.name, ..Meta::default() };
            file.object(Object::Node(Box::new(meta), info), number, 0, None, false, out);
        }
        "Namespace" => {
            let meta =
                Meta { name: pod.metadata.name, labels: pod.metadata.labels, ..Meta::default() };
            file.object(Object::Namespace(Box::new(meta)), number, 0, None, false, out);
        }
        kind => {
            let mut row = Listed::new(kind, Place::new(&file.label, number));
            row.name = Some(pod.metadata.name).filter(|name| !name.is_empty());
            row.namespace = pod.metadata.namespace;
            row.ready = ready(kind, &fields);
            row.status = pod.status.phase;
            let owner = pod.metadata.owner_references.into_iter().next();
            row.owner = owner.map(|owner| (owner.kind, owner.name));
            row.labels = pod.metadata.labels;
            out.listed(row);
        }
    }
}

/// Notes the events of one description.
fn of_events(file: &File<'_>, pod: &Pod, kind: &str, mut told: Vec<Told>, out: &mut Out) {
    let name = Some(pod.metadata.name.clone()).filter(|name| !name.is_empty());
    // What is said of a ReplicaSet or a Job concerns whoever made it.
    let owner = pod.metadata.owner_references.first().filter(|_| kind != "Pod");
    for Told { event, .. } in &mut told {
        event.namespace = pod.metadata.namespace.clone().or_else(|| file.whose.namespace.clone());
        match owner {
            Some(owner) => {
                (event.kind, event.name) = (owner.kind.clone(), Some(owner.name.clone()));
            }
            None => {
                kind.clone_into(&mut event.kind);
                event.name.clone_from(&name);
            }
        }
    }
    put(file, told, out);
}

/// What is described, by fields that only its kind has.
fn kind_of(fields: &BTreeMap<&str, &str>, pod: &Pod) -> String {
    const FIELDS: &[(&str, &str)] = &[
        ("StrategyType", "Deployment"),
        ("Update Strategy", "StatefulSet"),
        ("Desired Number of Nodes Scheduled", "DaemonSet"),
        ("Completions", "Job"),
        ("Successful Job History Limit", "CronJob"),
        ("Concurrency Policy", "CronJob"),
        ("Latest Version", "DeploymentConfig"),
        ("System Info", "Node"),
        ("Roles", "Node"),
        ("StorageClass", "PersistentVolumeClaim"),
        ("TargetPort", "Service"),
        ("Session Affinity", "Service"),
    ];
    // Kinds that kubectl has no words of its own for are printed field by field.
    if let Some(kind) = fields.get("Kind").filter(|kind| !kind.is_empty()) {
        return (*kind).to_owned();
    }
    if let Some((_, kind)) = FIELDS.iter().find(|(field, _)| fields.contains_key(field)) {
        return (*kind).to_owned();
    }
    if fields.contains_key("Pods Status") || fields.contains_key("Replicas") {
        let set = pod.metadata.labels.contains_key(sunup_api::label::POD_TEMPLATE_HASH)
            || fields.contains_key("Controlled By");
        return if set { "ReplicaSet" } else { "ReplicationController" }.to_owned();
    }
    let alone = pod.metadata.namespace.is_none();
    if alone && matches!(fields.get("Status"), Some(&("Active" | "Terminating"))) {
        return "Namespace".to_owned();
    }
    "Object".to_owned()
}

/// How many are ready of how many that should be.
fn ready(kind: &str, fields: &BTreeMap<&str, &str>) -> Option<(u32, u32)> {
    // `1 desired | 1 updated | 1 total | 0 available`, `1 current / 2 desired`,
    // `1 Active (0 Ready) / 0 Succeeded / 0 Failed`, `0 Running / 1 Waiting / …`
    let count = |field: &str, word: &str| -> Option<u32> {
        let value = fields.get(field).filter(|value| value.len() < 400)?;
        let before = value.to_ascii_lowercase();
        let (front, _) = before.split_once(word)?;
        front.split([' ', '|', '/', '(']).rfind(|part| !part.is_empty())?.parse().ok()
    };
    match kind {
        "Job" => {
            let done =
                count("Pods Statuses", " succeeded").or_else(|| count("Pods Status", " succeeded"));
            Some((done?, fields.get("Completions")?.parse().ok()?))
        }
        "Deployment" => Some((count("Replicas", " available")?, count("Replicas", " desired")?)),
        _ => Some((count("Pods Status", " running")?, count("Replicas", " desired")?)),
    }
}

/// The versions in a node's description.
fn node(lines: &[&Line<'_>]) -> NodeInfo {
    let mut info = NodeInfo::default();
    for line in lines {
        let (key, value) = line.text.split_once(':').unwrap_or((line.text, ""));
        let value = value.trim().to_owned();
        match key {
            "Kernel Version" => info.kernel_version = value,
            "Container Runtime Version" => info.container_runtime_version = value,
            "Kubelet Version" => info.kubelet_version = value,
            _ => {}
        }
    }
    info
}
