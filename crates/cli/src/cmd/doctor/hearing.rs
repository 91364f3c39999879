//! What a cluster gives is looked through on its way to the reader: which pods it has, and from when
//! on it still has their logs and events. What it has need not be asked of a log store.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use sunup_kube::collect::{Log, Of, Piece};
use sunup_store::{Held, HeldPod, Since};

/// A log that begins later than this after its container started has lost its beginning: the kubelet
/// hands out only the newest of the files that it has turned a log into. Or the container was silent;
/// then nothing is found before, and that costs nothing.
const BEGINS_WITHIN: SignedDuration = SignedDuration::from_secs(10);
/// Whose pods have names of random letters, which no other pod has had.
const RANDOM: [&str; 4] = ["ReplicaSet", "DaemonSet", "Job", "ReplicationController"];

/// Somebody who listens.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    pods: Vec<Pod>,
    /// When the first line of each log was written; `None` of one without lines.
    logs: HashMap<Log, Option<Timestamp>>,
    /// When the oldest event of each namespace last happened: older ones have been forgotten.
    events: BTreeMap<String, Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct List {
    items: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: String,
    namespace: String,
    generate_name: String,
    creation_timestamp: Option<Timestamp>,
    owner_references: Vec<Owner>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Owner {
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    init_containers: Vec<Named>,
    containers: Vec<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    init_container_statuses: Vec<Container>,
    container_statuses: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    name: String,
    restart_count: u32,
    state: State,
    last_state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    running: Option<Run>,
    terminated: Option<Run>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Run {
    started_at: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Event {
    involved_object: Meta,
    event_time: Option<Timestamp>,
    last_timestamp: Option<Timestamp>,
    series: Option<Series>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    last_observed_time: Option<Timestamp>,
}

/// The objects of a list, but for those that are not as they should be.
fn items<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> impl Iterator<Item = T> {
    let list: List = serde_json::from_slice(bytes).unwrap_or_default();
    list.items.into_iter().filter_map(|item| serde_json::from_value(item).ok())
}

impl Hearing {
    /// Looks at one more piece; what can't be read is the reader's to complain about.
    pub(super) fn piece(&mut self, piece: &Piece) {
        match &piece.of {
            Of::Objects("Pod") => {
                self.pods.extend(items::<Pod>(&piece.bytes));
            }
            Of::Objects("Event") => {
                items(&piece.bytes).for_each(|event| self.event(event));
            }
            Of::Log(log) => {
                let line = piece.bytes.split(|b| *b == b' ').next().unwrap_or_default();
                let at = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok());
                self.logs.insert((**log).clone(), at);
            }
            Of::Objects(_) | Of::Collection => {}
        }
    }

    fn event(&mut self, event: Event) {
        let series = event.series.and_then(|series| series.last_observed_time);
        let Some(at) = series.or(event.last_timestamp).or(event.event_time) else { return };
        let oldest = self.events.entry(event.involved_object.namespace).or_insert(at);
        *oldest = (*oldest).min(at);
    }

    /// What the cluster has.
    pub(super) fn held(&self) -> Held {
        Held { pods: self.pods.iter().map(|pod| self.pod(pod)).collect() }
    }

    fn pod(&self, pod: &Pod) -> HeldPod {
        let Meta { name, namespace, creation_timestamp: created, .. } = &pod.metadata;
        let random = !pod.metadata.generate_name.is_empty()
            && pod.metadata.owner_references.iter().any(|o| RANDOM.contains(&o.kind.as_str()));
        // What is older is another pod's of the same name.
        let own = match created {
            Some(created) if !random => Since::At(*created),
            _ => Since::Ever,
        };
        let status = &pod.status;
        let statuses = status.init_container_statuses.iter().chain(&status.container_statuses);
        let known: BTreeMap<&str, &Container> =
            statuses.map(|container| (container.name.as_str(), container)).collect();
        let mut lines = BTreeMap::new();
        let mut every_container = true;
        for Named { name } in pod.spec.init_containers.iter().chain(&pod.spec.containers) {
            // One that nobody has begun yet has said nothing.
            let since = known.get(name.as_str()).map_or(Some(Since::Ever), |container| {
                self.lines((namespace, &pod.metadata.name), container)
            });
            every_container &= since.is_some();
            lines.extend(since.map(|since| (name.clone(), since.and(own))));
        }
        let events = self.events.get(namespace).map(|oldest| match created {
            Some(created) if created >= oldest => own,
            _ => Since::At(*oldest).and(own),
        });
        let (namespace, name) = (namespace.clone(), name.clone());
        HeldPod { namespace, name, lines, every_container, events }
    }

    /// From when on the lines of a container are there; `None` where none could be read.
    fn lines(&self, (namespace, pod): (&str, &str), container: &Container) -> Option<Since> {
        let log = |previous| {
            let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
            self.logs.get(&Log { namespace, pod, container: container.name.clone(), previous })
        };
        let started = |state: &State| {
            let run = state.running.as_ref().or(state.terminated.as_ref());
            run.and_then(|run| run.started_at)
        };
        let (now, before) = (started(&container.state), started(&container.last_state));
        if container.restart_count == 0 && now.is_none() && before.is_none() {
            return Some(Since::Ever);
        }
        let (first, began, whole) = match (log(true), log(false)) {
            (Some(first), _) if container.restart_count <= 1 => (*first, before, true),
            (Some(first), _) => (*first, before, false),
            (None, Some(first)) => (*first, now, container.restart_count == 0),
            (None, None) => return None,
        };
        let whole = whole
            && match (first, began) {
                (Some(first), Some(began)) => first <= began + BEGINS_WITHIN,
                (Some(_), None) => false,
                (None, _) => true,
            };
        if whole {
            return Some(Since::Ever);
        }
        first.or(began).map(Since::At)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-02T{text}Z").parse().unwrap()
    }

    fn piece(of: Of, bytes: impl Into<Vec<u8>>) -> Piece {
        Piece { name: "x".to_owned(), bytes: bytes.into(), of }
    }

    fn log(pod: &str, container: &str, previous: bool, text: &str) -> Piece {
        let own = |text: &str| text.to_owned();
        let (namespace, pod, container) = (own("shop"), own(pod), own(container));
        let of = Of::Log(Box::new(Log { namespace, pod, container, previous }));
        piece(of, text)
    }

    fn pod(name: &str, owner: &str, containers: &Value) -> Value {
        let names: Vec<Value> = containers
            .as_array()
            .unwrap()
            .iter()
            .map(|container| json!({"name": container["name"]}))
            .collect();
        json!({"metadata": {"name": name, "namespace": "shop", "generateName": "web-",
            "creationTimestamp": "2026-11-02T09:00:00Z", "ownerReferences": [{"kind": owner}]},
            "spec": {"containers": names}, "status": {"containerStatuses": containers}})
    }

    fn running(name: &str, restarts: u32, at: &str, before: Option<&str>) -> Value {
        let time = |at: &str| format!("2026-11-02T{at}Z");
        let last = before.map(|at| json!({"terminated": {"startedAt": time(at)}}));
        json!({"name": name, "restartCount": restarts,
            "state": {"running": {"startedAt": time(at)}},
            "lastState": last.unwrap_or_else(|| json!({}))})
    }

    fn held(pods: &[Value], more: &[Piece]) -> Vec<HeldPod> {
        let mut hearing = Hearing::default();
        hearing.piece(&piece(Of::Objects("Pod"), json!({"items": pods}).to_string()));
        more.iter().for_each(|piece| hearing.piece(piece));
        hearing.held().pods
    }

    #[test]
    fn a_log_is_there_from_its_containers_first_start_or_from_its_first_line() {
        let containers = json!([
            running("whole", 0, "09:00:05", None),
            running("turned", 0, "09:00:05", None),
            running("silent", 0, "09:00:05", None),
            running("again", 1, "09:10:00", Some("09:00:05")),
            running("often", 7, "09:30:00", Some("09:20:00")),
            running("unread", 0, "09:00:05", None),
            {"name": "waits", "state": {"waiting": {}}},
        ]);
        let logs = [
            log("web-1", "whole", false, "2026-11-02T09:00:06.1Z hello\n"),
            log("web-1", "turned", false, "2026-11-02T09:40:00Z hello\n"),
            log("web-1", "silent", false, ""),
            log("web-1", "again", true, "2026-11-02T09:00:06Z hello\n"),
            log("web-1", "again", false, "2026-11-02T09:10:06Z hello\n"),
            log("web-1", "often", true, "2026-11-02T09:20:06Z hello\n"),
            log("web-1", "often", false, "2026-11-02T09:30:06Z hello\n"),
        ];
        let held = held(&[pod("web-1", "ReplicaSet", &containers)], &logs);
        let lines = &held[0].lines;
        assert!(!held[0].every_container);
        for whole in ["whole", "silent", "again", "waits"] {
            assert_eq!(lines.get(whole), Some(&Since::Ever), "{whole}");
        }
        assert_eq!(lines["turned"], Since::At(at("09:40:00")));
        assert_eq!(lines["often"], Since::At(at("09:20:06")));
        assert_eq!(lines.get("unread"), None);
    }

    #[test]
    fn a_name_that_another_pod_may_have_had_is_its_own_from_its_creation_on() {
        let containers = json!([running("app", 0, "09:00:05", None)]);
        let logs = [
            log("web-0", "app", false, "2026-11-02T09:00:06Z hello\n"),
            log("web-x", "app", false, "2026-11-02T09:00:06Z hello\n"),
        ];
        let pods =
            [pod("web-0", "StatefulSet", &containers), pod("web-x", "ReplicaSet", &containers)];
        let held = held(&pods, &logs);
        assert_eq!(held[0].lines["app"], Since::At(at("09:00:00")));
        assert_eq!(held[1].lines["app"], Since::Ever);
        // No event at all: nobody knows whether there was one.
        assert!(held.iter().all(|pod| pod.every_container && pod.events.is_none()));
    }

    #[test]
    fn events_are_there_as_long_as_the_oldest_one() {
        let event = |last: &str| {
            json!({"involvedObject": {"namespace": "shop", "name": "x"},
                "lastTimestamp": format!("2026-11-02T{last}Z")})
        };
        let events = |oldest: &str| {
            let items = json!({"items": [event("11:00:00"), event(oldest)]});
            piece(Of::Objects("Event"), items.to_string())
        };
        let pods = [pod("web-0", "StatefulSet", &json!([])), pod("web-x", "Job", &json!([]))];
        let late = held(&pods, &[events("10:00:00")]);
        assert!(late.iter().all(|pod| pod.events == Some(Since::At(at("10:00:00")))));
        let early = held(&pods, &[events("08:00:00")]);
        assert_eq!(early[0].events, Some(Since::At(at("09:00:00"))));
        assert_eq!(early[1].events, Some(Since::Ever));
    }
}
