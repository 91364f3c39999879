//! The events of a description, and of whom they are where the block was copied by itself.

use std::collections::BTreeSet;

use sunup_evidence::record::Event;

use super::line::Line;
use crate::attribution::{is_name, is_random_name};
use crate::known::reason;

/// The head of the list of events: `Type Reason Age From Message`, before Kubernetes 1.8
/// `FirstSeen LastSeen Count From SubObjectPath Type Reason Message`.
pub(super) fn is_head(line: &str) -> bool {
    let words = || line.split_whitespace();
    words().eq(["Type", "Reason", "Age", "From", "Message"])
        || words().take(3).eq(["FirstSeen", "LastSeen", "Count"])
            && words().last() == Some("Message")
}

/// An event with the line it stands on and who reported it.
pub(super) struct Told {
    pub(super) event: Event,
    pub(super) number: u64,
    from: String,
}

/// Reads the rows of a block; how many lines are none.
pub(super) fn read(lines: &[&Line<'_>]) -> (Vec<Told>, u64) {
    let mut told: Vec<Told> = Vec::new();
    let mut strange = 0;
    for line in lines.iter().filter(|line| !line.text.is_empty()) {
        let rule = line.text.chars().all(|c| c == '-' || c.is_whitespace());
        if rule || is_head(line.text) || line.text.starts_with("Events:") {
            continue;
        }
        match row(line.text) {
            Some((event, from)) => told.push(Told { event, number: line.number, from }),
            None => match told.last_mut() {
                // A message of several lines, or one that was wrapped on the way.
                Some(last) if last.event.message.len() < MESSAGE_MAX => {
                    last.event.message.push(' ');
                    last.event.message.push_str(line.text);
                }
                _ => strange += 1,
            },
        }
    }
    (told, strange)
}

/// A longer message is not continued.
const MESSAGE_MAX: usize = 16 << 10;

/// A row; its age is relative, so it has no time.
fn row(text: &str) -> Option<(Event, String)> {
    let cells: Vec<&str> = text
        .split("  ")
        .flat_map(|cell| cell.split('\t'))
        .map(str::trim)
        .filter(|c| !c.is_empty())
        .collect();
    let at = cells.iter().position(|cell| is_type(cell));
    let (kind, reason, age, from, message, field) = match (at, cells.len()) {
        (Some(0), 4..) => (cells[0], cells[1], cells[2], cells[3], cells[4..].join("  "), ""),
        // Before 1.8 the type stands behind the times and the source.
        (Some(at @ 4..), count) if count > at + 2 => {
            let field = if at > 4 { cells[4] } else { "" };
            (cells[at], cells[at + 1], cells[2], cells[3], cells[at + 2..].join("  "), field)
        }
        _ => {
            let (kind, reason, age, from, message) = by_words(text)?;
            (kind, reason, age, from, message.to_owned(), "")
        }
    };
    let (container, init) = sunup_evidence::decode::field_path(field);
    let count = age.split_once("(x").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    let event = Event {
        container: container.or_else(|| reason::container_of(&message).map(str::to_owned)),
        init,
        reason: reason.to_owned(),
        warning: kind == "Warning",
        count: count.or_else(|| age.parse().ok()).unwrap_or(1),
        message,
        ..Event::default()
    };
    Some((event, from.to_owned()))
}

fn is_type(cell: &str) -> bool {
    matches!(cell, "Normal" | "Warning")
}

/// A row whose columns were reduced to one space each: `Warning Unhealthy 3m31s (x451 over 18m)
/// kubelet, node-1 Readiness probe failed: …`.
fn by_words(text: &str) -> Option<(&str, &str, &str, &str, &str)> {
    let (kind, rest) = text.split_once(' ').filter(|(kind, _)| is_type(kind))?;
    let (reason, rest) = rest.trim_start().split_once(' ')?;
    let rest = rest.trim_start();
    if !rest.starts_with(|c: char| c.is_ascii_digit() || c == '<') {
        return None;
    }
    let end = match rest.split_once(' ') {
        Some((_, behind)) if behind.starts_with("(x") => rest.find(')')? + 1,
        Some((age, _)) => age.len(),
        None => return None,
    };
    let (age, rest) = rest.split_at(end);
    let rest = rest.trim_start();
    // `kubelet, node-1` of older versions is one cell.
    let mut end = rest.find(' ')?;
    if rest[..end].ends_with(',') {
        end += 1 + rest[end + 1..].find(' ')?;
    }
    let (from, message) = rest.split_at(end);
    Some((kind, reason, age, from, message.trim_start()))
}

/// The kind of what a component reports about.
fn kind_by_source(from: &str) -> Option<&'static str> {
    const SOURCES: &[(&str, &str)] = &[
        ("kubelet", "Pod"),
        ("default-scheduler", "Pod"),
        ("replicaset-controller", "ReplicaSet"),
        ("replication-controller", "ReplicationController"),
        ("deployment-controller", "Deployment"),
        ("deploymentconfig-controller", "DeploymentConfig"),
        ("statefulset-controller", "StatefulSet"),
        ("daemonset-controller", "DaemonSet"),
        ("daemon-set", "DaemonSet"),
        ("cronjob-controller", "CronJob"),
        ("job-controller", "Job"),
        ("rollouts-controller", "Rollout"),
    ];
    let first = from.split([',', ' ']).next().unwrap_or_default();
    SOURCES.iter().find(|(source, _)| *source == first).map(|(_, kind)| *kind)
}

/// Kind, name and namespace of what a block of events is about, as its lines say it: by who
/// reported them, and by the names in their messages, where these name one thing only.
pub(super) fn subject(told: &[Told]) -> (String, Option<String>, Option<String>) {
    let kind = told.iter().find_map(|told| kind_by_source(&told.from)).unwrap_or_default();
    let mut names = BTreeSet::new();
    for told in told {
        let found = match kind {
            "Pod" | "" => pod_in(&told.event.message),
            _ => maker_in(kind, &told.event.message).map(|name| (name, None)),
        };
        names.extend(found);
    }
    let mut names: Vec<(&str, Option<&str>)> = names.into_iter().collect();
    names.dedup_by(|a, b| a.0 == b.0);
    match names.as_slice() {
        [(name, namespace)] => {
            (kind.to_owned(), Some((*name).to_owned()), namespace.map(str::to_owned))
        }
        _ => (kind.to_owned(), None, None),
    }
}

/// The container that a message of the kubelet says it has started.
pub(super) fn started(message: &str) -> Option<&str> {
    let name = message.strip_prefix("Started container ")?;
    crate::attribution::is_name(name.trim_end_matches('.')).then(|| name.trim_end_matches('.'))
}

/// The pod that a message of the scheduler or the kubelet names.
fn pod_in(message: &str) -> Option<(&str, Option<&str>)> {
    let word = |text| -> Option<&str> { str::split_whitespace(text).next() };
    if let Some(rest) = message.strip_prefix("Successfully assigned ") {
        let name = word(rest)?;
        return Some(match name.split_once('/') {
            Some((namespace, pod)) => (pod, Some(namespace)),
            None => (name, None),
        });
    }
    // `… in pod catalog-2-x7k2q_bookshop(6dfc038a-…)`, `pod=…`, `pod "catalog-2-x7k2q_bookshop"`.
    for front in [" in pod ", " pod=", "pod=", "up pod \"", "for pod \"", "for \"", "pod \""] {
        let Some((_, rest)) = message.split_once(front) else { continue };
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | ',' | ':'));
        let name = &rest[..end.unwrap_or(rest.len())];
        if let Some((pod, namespace)) = name.split_once('_')
            && is_name(pod)
            && is_name(namespace)
        {
            return Some((pod, Some(namespace)));
        }
    }
    None
}

/// The controller that a message of its own names by what it made, or wanted to make.
fn maker_in<'m>(kind: &str, message: &'m str) -> Option<&'m str> {
    let word = |rest: &'m str| rest.split([' ', '"', ',']).find(|word| !word.is_empty());
    let made = message.strip_prefix("Created pod: ").and_then(word);
    if let Some(pod) = made.filter(|pod| is_random_name(pod)) {
        return pod.rsplit_once('-').map(|(stem, _)| stem);
    }
    // `Error creating: pods "web-5b6f7c9d4-" is forbidden: …`
    if let Some(rest) = message.strip_prefix("Error creating: pods \"") {
        let name = rest.split('"').next()?;
        return name.strip_suffix('-').filter(|name| is_name(name));
    }
    if kind == "Deployment" {
        let set = message.strip_prefix("Scaled up replica set ").and_then(word)?;
        return set.rsplit_once('-').map(|(stem, _)| stem);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line<'_>> {
        (1..)
            .zip(text.lines())
            .map(|(number, raw)| {
                let text = raw.trim_start();
                Line { number, indent: raw.len() - text.len(), text: text.trim_end() }
            })
            .collect()
    }

    fn told(text: &str) -> Vec<Told> {
        let lines = lines(text);
        let (told, strange) = read(&lines.iter().collect::<Vec<_>>());
        assert_eq!(strange, 0, "{text}");
        told
    }

    #[test]
    fn rows_of_all_versions_and_of_chats() {
        for text in [
            "  Type     Reason     Age                    From               Message\n  ----     ------     ----                   ----               -------\n  Warning  Unhealthy  3m31s (x451 over 18m)  kubelet, gke-1     Readiness probe failed: HTTP probe failed with statuscode: 503",
            "Type Reason Age From Message\nWarning Unhealthy 3m31s (x451 over 18m) kubelet, gke-1 Readiness probe failed: HTTP probe failed with statuscode: 503",
            "  FirstSeen  LastSeen  Count  From               SubObjectPath                  Type     Reason     Message\n  18m  3m  451  kubelet, gke-1  spec.containers{istio-proxy}  Warning  Unhealthy  Readiness probe failed: HTTP probe failed with statuscode: 503",
            "Events:\n  Warning  Unhealthy  3m31s (x451 over 18m)  kubelet, gke-1     Readiness probe failed: HTTP probe\n      failed with statuscode: 503",
        ] {
            let told = told(text);
            assert_eq!(told.len(), 1, "{text}");
            let event = &told[0].event;
            assert_eq!(
                (event.reason.as_str(), event.count, event.warning),
                ("Unhealthy", 451, true)
            );
            assert_eq!(
                event.message,
                "Readiness probe failed: HTTP probe failed with statuscode: 503"
            );
            assert_eq!(subject(&told), ("Pod".to_owned(), None, None));
        }
    }

    #[test]
    fn a_block_says_whose_it_is() {
        let of = |text: &str| {
            let (kind, name, namespace) = subject(&told(text));
            format!("{kind} {} {}", name.unwrap_or_default(), namespace.unwrap_or_default())
        };
        for (text, want) in [
            (
                "Normal  Scheduled  18m  default-scheduler  Successfully assigned shop/web-0 to n1\nWarning  BackOff  1m  kubelet  Back-off restarting failed container app in pod web-0_shop(6dfc038a)",
                "Pod web-0 shop",
            ),
            (
                "Warning  FailedCreatePodSandBox  1m  kubelet  Failed to create pod sandbox: networkPlugin cni failed to set up pod \"web-0_shop\" network: refused",
                "Pod web-0 shop",
            ),
            (
                "Normal  SuccessfulCreate  41m  job-controller  Created pod: shop-realm-lvbqt",
                "Job shop-realm ",
            ),
            (
                "Warning  FailedCreate  41m  replicaset-controller  Error creating: pods \"web-5b6f7c9d4-\" is forbidden: exceeded quota",
                "ReplicaSet web-5b6f7c9d4 ",
            ),
            (
                "Normal  ScalingReplicaSet  41m  deployment-controller  Scaled up replica set web-5b6f7c9d4 to 1",
                "Deployment web ",
            ),
            // Two pods: nobody's.
            (
                "Normal  Scheduled  18m  default-scheduler  Successfully assigned shop/web-0 to n1\nNormal  Scheduled  18m  default-scheduler  Successfully assigned shop/web-1 to n1",
                "Pod  ",
            ),
        ] {
            assert_eq!(of(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_row() {
        for text in [
            "",
            "Normal",
            "Normal x",
            "Warning  a  b",
            "Normal Pulled soon kubelet x",
            "é  é  é  é",
        ] {
            assert!(row(text).is_none(), "{text}");
        }
        let long = format!("Warning  A  1s  kubelet  x\n{}", "  more\n".repeat(100_000));
        let (told, strange) = {
            let lines = lines(&long);
            read(&lines.iter().collect::<Vec<_>>())
        };
        assert!(told[0].event.message.len() < 20 << 10 && strange > 0);
    }
}
