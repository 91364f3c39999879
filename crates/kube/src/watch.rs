//! Pods of a workload as they come up: watched, so that a change is known when it happens.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::Instant;

use crate::Cluster;

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

    fn of(pod: &Pod) -> PodState {
        let status = pod.status.clone().unwrap_or_default();
        let init = status.init_container_statuses.unwrap_or_default();
        let main = status.container_statuses.unwrap_or_default();
        let all: Vec<&ContainerStatus> = init.iter().chain(&main).collect();
        let ready = status.conditions.iter().flatten().find(|c| c.type_ == "Ready");
        let is_ready = ready.is_some_and(|condition| condition.status == "True");
        let ready_at = ready.and_then(|condition| condition.last_transition_time.as_ref());
        PodState {
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            phase: status.phase.unwrap_or_default(),
            ready: is_ready,
            leaving: pod.metadata.deletion_timestamp.is_some(),
            started: status.start_time.map(|time| time.0),
            ready_at: ready_at.filter(|_| is_ready).map(|time| time.0),
            restarts: all.iter().map(|c| u32::try_from(c.restart_count).unwrap_or(0)).sum(),
            waiting: all.iter().filter_map(|c| waiting(c)).collect(),
            failed: all.iter().filter_map(|c| failed(c)).collect(),
        }
    }
}

fn waiting(container: &ContainerStatus) -> Option<String> {
    let reason = container.state.as_ref()?.waiting.as_ref()?.reason.as_ref()?;
    // Its turn has not come.
    let patient = matches!(reason.as_str(), "PodInitializing" | "ContainerCreating");
    (!patient).then(|| format!("{}: {reason}", container.name))
}

fn failed(container: &ContainerStatus) -> Option<String> {
    let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref()?.terminated.as_ref().map(|t| t.exit_code).filter(|code| *code != 0)
    };
    let code = ended(&container.state).or_else(|| ended(&container.last_state))?;
    Some(format!("{}: exit code {code}", container.name))
}

/// Watches the pods that a selector names until `decide` breaks, or until the deadline: then
/// `None`. `decide` is called with all of them whenever one changes, and once a second.
///
/// A watch that ends, is refused (410 among it) or breaks off is begun anew, with back-off.
pub async fn watch<T>(
    cluster: &Cluster,
    namespace: &str,
    selector: &Selector,
    until: Instant,
    mut decide: impl AsyncFnMut(&Pods) -> ControlFlow<T>,
) -> Option<T> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let mut config = watcher::Config::default();
    config = match selector {
        Selector::Labels(labels) => config.labels(labels),
        Selector::Name(name) => config.fields(&format!("metadata.name={name}")),
    };
    let mut changes = pin!(watcher(api, config).default_backoff());
    let mut pods = Pods::new();
    let mut fresh = Pods::new();
    let mut known = false;
    loop {
        let next = Instant::now() + TICK;
        match tokio::time::timeout_at(next.min(until), changes.try_next()).await {
            Ok(Ok(Some(Event::Init))) => fresh.clear(),
            Ok(Ok(Some(Event::InitApply(pod)))) => put(&mut fresh, &pod),
            Ok(Ok(Some(Event::InitDone))) => {
                pods = std::mem::take(&mut fresh);
                known = true;
            }
            Ok(Ok(Some(Event::Apply(pod)))) => put(&mut pods, &pod),
            Ok(Ok(Some(Event::Delete(pod)))) => {
                pods.remove(pod.metadata.uid.as_deref().unwrap_or_default());
            }
            // The watcher goes on by itself, with back-off; what was known stays known.
            Ok(Ok(None) | Err(_)) | Err(_) => {}
        }
        if known && let ControlFlow::Break(decided) = decide(&pods).await {
            return Some(decided);
        }
        if Instant::now() >= until {
            return None;
        }
    }
}

fn put(pods: &mut Pods, pod: &Pod) {
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
