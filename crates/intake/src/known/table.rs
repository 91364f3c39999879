//! `kubectl get events` and `kubectl events` as tables. Ages are relative to a moment that the
//! table does not name, so its events have no time.

use sunup_evidence::decode::field_path;
use sunup_evidence::record::{Event, Place};

use super::reason;
use crate::file::File;
use crate::out::Out;
use crate::time;

/// Whether one of the first lines is the head of such a table.
pub(crate) fn is_table(text: &str) -> bool {
    text.lines().take(20).any(is_head)
}

fn is_head(line: &str) -> bool {
    let columns = cells(line);
    let has = |name: &str| columns.iter().any(|(_, c)| *c == name);
    has("REASON") && has("MESSAGE") && has("TYPE") && (has("OBJECT") || has("KIND"))
}

/// Reads every table of the text.
pub(crate) fn read(file: &File<'_>, text: &str, out: &mut Out) {
    let mut head: Vec<(usize, &str)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if is_head(line) {
            head = cells(line);
        } else if !head.is_empty() && !line.trim().is_empty() {
            let number = index as u64 + 1;
            match row(&head, line) {
                Some(event) => {
                    let place = Some(Place::new(&file.label, number));
                    out.event(Event { place, ..event });
                }
                None if line.starts_with("No resources found") => {}
                None => out.bad(number, "not a row of the table of events above it"),
            }
        }
    }
}

/// Cells are at least two spaces apart; the last one may hold any.
fn cells(line: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let rest = &line[at..];
        let trimmed = rest.trim_start();
        let start = at + rest.len() - trimmed.len();
        let len = trimmed.find("  ").or_else(|| trimmed.find('\t')).unwrap_or(trimmed.len());
        if len > 0 {
            out.push((start, trimmed[..len].trim_end()));
        }
        at = start + len.max(1);
        if !line.is_char_boundary(at) {
            break;
        }
    }
    out
}

fn row(head: &[(usize, &str)], line: &str) -> Option<Event> {
    let column = |name: &str| head.iter().position(|(_, c)| *c == name);
    let found = cells(line);
    // Cells stand under their heads unless one is too wide; then their order tells.
    let fields: Vec<&str> = match by_offset(head, line) {
        Some(fields) => fields,
        None if found.len() >= head.len() => {
            let last = found.get(head.len() - 1)?.0;
            let is_last_message = head.last().is_some_and(|(_, c)| *c == "MESSAGE");
            let mut fields: Vec<&str> = found.iter().take(head.len()).map(|(_, c)| *c).collect();
            if is_last_message {
                *fields.last_mut()? = line[last..].trim_end();
            }
            fields
        }
        None => return None,
    };
    let get = |name: &str| column(name).and_then(|i| fields.get(i)).copied().unwrap_or_default();
    let (kind, name) = match get("OBJECT").split_once('/') {
        Some((kind, name)) => (kind, name),
        None => (get("KIND"), get("NAME")),
    };
    let known = matches!(get("TYPE"), "Normal" | "Warning");
    if !known || kind.is_empty() {
        return None;
    }
    let message = get("MESSAGE");
    let (container, init) = field_path(get("SUBOBJECT"));
    let seen = get("LAST SEEN");
    let at = time::parse(seen);
    Some(Event {
        namespace: Some(get("NAMESPACE")).filter(|n| !n.is_empty()).map(str::to_owned),
        kind: kind_of(kind),
        name: Some(name.to_owned()),
        container: container.or_else(|| reason::container_of(message).map(str::to_owned)),
        init,
        reason: get("REASON").to_owned(),
        message: message.to_owned(),
        warning: get("TYPE") == "Warning",
        first: time::parse(get("FIRST SEEN")).or(at),
        last: at,
        count: times(seen).or_else(|| get("COUNT").parse().ok()).unwrap_or(1),
        ..Event::default()
    })
}

/// The fields by the places of their heads; `None` where a cell runs over its column's edge.
fn by_offset<'l>(head: &[(usize, &str)], line: &'l str) -> Option<Vec<&'l str>> {
    let mut fields = Vec::with_capacity(head.len());
    for (i, (start, _)) in head.iter().enumerate() {
        let end = head.get(i + 1).map_or(line.len(), |(next, _)| (*next).min(line.len()));
        let start = (*start).min(line.len());
        if start > 0 && start < line.len() && !line[..start].ends_with([' ', '\t']) {
            return None;
        }
        fields.push(line.get(start..end)?.trim());
    }
    Some(fields)
}

/// `3m (x5 over 10m)` of `kubectl events`.
fn times(seen: &str) -> Option<u32> {
    seen.split_once("(x")?.1.split(' ').next()?.parse().ok()
}

/// Kinds as the API spells them: the table has them in small letters.
pub(crate) fn kind_of(kind: &str) -> String {
    const KINDS: &[&str] = &[
        "Pod",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "Node",
        "Service",
        "Namespace",
        "ReplicationController",
        "HorizontalPodAutoscaler",
        "PersistentVolumeClaim",
        "ConfigMap",
        "Endpoints",
        "Ingress",
        "Rollout",
    ];
    let known = KINDS.iter().find(|k| k.eq_ignore_ascii_case(kind));
    known.map_or(kind, |k| *k).to_owned()
}
