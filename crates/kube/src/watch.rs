//! Pods of a workload as they come up: watched, so that a change is known when it happens.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::follow::{Event, Follow, meta};
use crate::{Cluster, Trouble};

/// How often things are looked at when nothing changes.
const TICK: Duration = Duration::from_secs(1);

/// A pod, as far as coming up goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodState {
    /// Name.
    pub name: String,
    /// uid, by which a new pod is told from an old one of the same name.
    pub uid: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: String,
    /// Serving.
    pub ready: bool,
    /// Being deleted.
    pub leaving: bool,
    /// When its kubelet took it; by the node's clock, as `ready_at` is.
    pub started: Option<Timestamp>,
    /// Since when it is ready.
    pub ready_at: Option<Timestamp>,
    /// Restarts of all its containers.
    pub restarts: u32,
    /// What keeps containers from running: `orders: CrashLoopBackOff`.
    pub waiting: Vec<String>,
    /// Containers that have ended with an error: `orders: exit code 1`.
    pub failed: Vec<String>,
}

/// Pods by uid.
pub type Pods = BTreeMap<String, PodState>;

impl PodState {
    /// From taken by the kubelet to ready, by the node's clock.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        let (from, to) = (self.started?, self.ready_at?);
        to.duration_since(from).try_into().ok()
    }

    /// Whether something has gone wrong in it that may be what was to be mended.
    #[must_use]
    pub fn in_trouble(&self) -> bool {
        self.phase == "Failed" || self.restarts > 0 || !self.failed.is_empty()
    }

    fn of(pod: &Value) -> PodState {
        let status = &pod["status"];
        let list = |name: &str| status[name].as_array().into_iter().flatten();
        let all: Vec<&Value> =
            list("initContainerStatuses").chain(list("containerStatuses")).collect();
        let ready = list("conditions").find(|c| c["type"] == "Ready");
        let is_ready = ready.is_some_and(|condition| condition["status"] == "True");
        let ready_at = ready.filter(|_| is_ready).map(|c| &c["lastTransitionTime"]);
        let restarts = |c: &&Value| c["restartCount"].as_u64().unwrap_or(0);
        PodState {
            name: meta(pod, "name").to_owned(),
            uid: meta(pod, "uid").to_owned(),
            phase: status["phase"].as_str().unwrap_or_default().to_owned(),
            ready: is_ready,
            leaving: !pod["metadata"]["deletionTimestamp"].is_null(),
            started: time(&status["startTime"]),
            ready_at: ready_at.and_then(time),
            restarts: u32::try_from(all.iter().map(restarts).sum::<u64>()).unwrap_or(u32::MAX),
            waiting: all.iter().filter_map(|c| waiting(c)).collect(),
            failed: all.iter().filter_map(|c| failed(c)).collect(),
        }
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn name(container: &Value) -> &str {
    container["name"].as_str().unwrap_or_default()
}

fn waiting(container: &Value) -> Option<String> {
    let reason = container["state"]["waiting"]["reason"].as_str()?;
    // Its turn has not come.
    let patient = matches!(reason, "PodInitializing" | "ContainerCreating");
    (!patient).then(|| format!("{}: {reason}", name(container)))
}

fn failed(container: &Value) -> Option<String> {
    let ended =
        |state: &str| container[state]["terminated"]["exitCode"].as_i64().filter(|code| *code != 0);
    let code = ended("state").or_else(|| ended("lastState"))?;
    Some(format!("{}: exit code {code}", name(container)))
}

/// Watches the pods that a selector names until `decide` breaks, or until the deadline: then
/// `None`. `decide` is called with all of them whenever one changes, and once a second.
///
/// A watch that ends, is refused (410 among it) or breaks off is begun anew, with back-off.
///
/// # Errors
/// The API server says that it isn't allowed (403), which no waiting changes.
pub async fn watch<T>(
    cluster: &Cluster,
    namespace: &str,
    selector: &Selector,
    until: Instant,
    mut decide: impl AsyncFnMut(&Pods) -> ControlFlow<T>,
) -> Result<Option<T>, Trouble> {
    let by_name;
    let selector = match selector {
        Selector::Labels(labels) => ("labelSelector", labels.as_str()),
        Selector::Name(name) => {
            by_name = format!("metadata.name={name}");
            ("fieldSelector", by_name.as_str())
        }
    };
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let mut changes = Follow::new(cluster, &path, Some(selector));
    let mut pods = Pods::new();
    let mut fresh = Pods::new();
    let mut known = false;
    loop {
        let next = Instant::now() + TICK;
        match tokio::time::timeout_at(next.min(until), changes.next()).await {
            Ok(Some(Event::Begin)) => fresh.clear(),
            Ok(Some(Event::There(pod))) => put(&mut fresh, &pod),
            Ok(Some(Event::Listed)) => {
                pods = std::mem::take(&mut fresh);
                known = true;
            }
            Ok(Some(Event::Changed(pod))) => put(&mut pods, &pod),
            Ok(Some(Event::Gone(pod))) => drop(pods.remove(meta(&pod, "uid"))),
            Ok(Some(Event::Trouble(why))) if why.code() == Some(403) => return Err(why),
            // It goes on by itself, later and later; what was known stays known.
            Ok(Some(Event::Trouble(_)) | None) | Err(_) => {}
        }
        if known && let ControlFlow::Break(decided) = decide(&pods).await {
            return Ok(Some(decided));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
    }
}

fn put(pods: &mut Pods, pod: &Value) {
    let state = PodState::of(pod);
    pods.insert(state.uid.clone(), state);
}

/// Which pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// With these labels.
    Labels(String),
    /// The one of this name.
    Name(String),
}

impl Selector {
    /// The pods of a workload's object.
    #[must_use]
    pub fn of(workload: &serde_json::Value) -> Selector {
        let name = workload["metadata"]["name"].as_str().unwrap_or_default();
        match crate::collect::selector(&workload["spec"]["selector"]) {
            Some(labels) if !labels.is_empty() => Selector::Labels(labels),
            _ => Selector::Name(name.to_owned()),
        }
    }
}
