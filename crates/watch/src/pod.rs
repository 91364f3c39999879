//! What is seen of a pod at a glance: a few fields of its object.
//!
//! Times are of the node's clock and are compared with each other alone.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use sunup_api::container::PROXY;

/// Sidecars' names.
const PROXIES: [&str; 2] = [PROXY, "linkerd-proxy"];
/// A container whose turn has not come.
const PATIENT: [&str; 2] = ["PodInitializing", "ContainerCreating"];

/// What made a pod, as far as its object says; the pod itself where nothing did.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Namespace.
    pub namespace: String,
    /// `ReplicaSet`, `Job` …
    pub kind: String,
    /// Name.
    pub name: String,
    /// uid.
    pub uid: String,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its own uid.
    pub uid: String,
    /// Name.
    pub name: String,
    /// What made it.
    pub owner: Owner,
    /// When the API server took its object.
    pub created: Option<Timestamp>,
    /// When the kubelet took it.
    pub started: Option<Timestamp>,
    /// Since when it is ready; `None` where it isn't.
    pub ready: Option<Timestamp>,
    /// Whether it has ended with success.
    pub done: bool,
    /// Whether it has ended otherwise.
    pub failed: bool,
    /// Being deleted.
    pub leaving: bool,
    /// Its init containers have not all ended.
    pub in_init: bool,
    /// Why it has failed as a whole: `Evicted`.
    pub reason: Option<String>,
    /// How the mesh starts it.
    pub mode: Mode,
    /// Its containers, in which nothing is worth noting left out.
    pub containers: Vec<Container>,
}

/// How a mesh starts a pod's proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// There is none in the pod.
    #[default]
    None,
    /// Beside the application.
    Classic,
    /// Before the application, which is held back until it is ready.
    Hold,
    /// As an init container that goes on.
    Native,
}

impl Mode {
    /// As labels have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Mode::None => "none",
            Mode::Classic => "classic",
            Mode::Hold => "hold",
            Mode::Native => "native",
        }
    }

    fn of(spec: &Value) -> Mode {
        let list = |name: &str| spec[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_proxy = |container: &&Value| container["name"].as_str().is_some_and(is_proxy);
        if list("initContainers").iter().any(|c| is_proxy(&c) && c["restartPolicy"] == "Always") {
            return Mode::Native;
        }
        match list("containers").iter().find(is_proxy) {
            // The kubelet starts the next container when the hook of the one before is through.
            Some(proxy) if proxy == &list("containers")[0] && list("containers").len() > 1 => {
                match proxy["lifecycle"]["postStart"].is_null() {
                    true => Mode::Classic,
                    false => Mode::Hold,
                }
            }
            Some(_) => Mode::Classic,
            None => Mode::None,
        }
    }
}

fn is_proxy(name: &str) -> bool {
    PROXIES.contains(&name)
}

/// A container that has ended, or waits for something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Whether it is the mesh's sidecar.
    pub proxy: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it waits, its turn apart.
    pub waiting: Option<String>,
    /// How it ended, the last time.
    pub ended: Option<Ended>,
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Exit code.
    pub code: i64,
    /// `OOMKilled`, `Error` …
    pub reason: String,
    /// When.
    pub at: Option<Timestamp>,
}

impl Pod {
    /// Reads a pod's object; what isn't there is nothing.
    #[must_use]
    pub fn read(object: &Value) -> Pod {
        let (meta, status) = (&object["metadata"], &object["status"]);
        let list = |name: &str| status[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let condition = |kind: &str| list("conditions").iter().find(|c| c["type"] == kind);
        let ready = condition("Ready").filter(|ready| ready["status"] == "True");
        let all = list("initContainerStatuses").iter().chain(list("containerStatuses"));
        let phase = status["phase"].as_str().unwrap_or_default();
        Pod {
            uid: text(&meta["uid"]),
            name: text(&meta["name"]),
            owner: owner(meta),
            created: time(&meta["creationTimestamp"]),
            started: time(&status["startTime"]),
            ready: ready.and_then(|ready| time(&ready["lastTransitionTime"])),
            done: phase == "Succeeded",
            failed: phase == "Failed",
            leaving: !meta["deletionTimestamp"].is_null(),
            in_init: condition("Initialized").is_some_and(|c| c["status"] == "False"),
            reason: status["reason"].as_str().filter(|_| phase == "Failed").map(str::to_owned),
            mode: Mode::of(&object["spec"]),
            containers: all.map(Container::read).filter(Container::is_noted).collect(),
        }
    }

    /// Whether it has come up, or has done its work.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.ready.is_some() || self.done
    }

    /// Whether it may yet come up.
    pub(crate) fn is_coming(&self) -> bool {
        !self.is_up() && !self.failed && !self.leaving
    }

    /// From taken by the kubelet to ready, by the node's clock.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        self.ready?.duration_since(self.started?).try_into().ok()
    }

    /// Whether something happened within the pod's first so many seconds. Where that can't be told,
    /// it is taken for early.
    pub(crate) fn is_early(&self, at: Option<Timestamp>, young: Duration) -> bool {
        let (Some(from), Some(at)) = (self.started, at) else { return true };
        Duration::try_from(at.duration_since(from)).unwrap_or_default() <= young
    }
}

impl Container {
    fn read(status: &Value) -> Container {
        let ended = |state: &str| {
            let ended = status[state]["terminated"].as_object()?;
            let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
            let reason = ended.get("reason").map(text).unwrap_or_default();
            Some(Ended { code, reason, at: ended.get("finishedAt").and_then(time) })
        };
        let name = text(&status["name"]);
        let waiting = status["state"]["waiting"]["reason"].as_str();
        Container {
            proxy: is_proxy(&name),
            name,
            restarts: status["restartCount"].as_u64().unwrap_or_default(),
            waiting: waiting.filter(|reason| !PATIENT.contains(reason)).map(str::to_owned),
            ended: ended("state").or_else(|| ended("lastState")),
        }
    }

    /// Whether there is more to it than that it runs, waits for its turn, or has done its work.
    fn is_noted(&self) -> bool {
        let failed = self.ended.as_ref().is_some_and(|ended| ended.code != 0);
        self.restarts > 0 || failed || self.waiting.is_some()
    }
}

/// The controller; else the pod itself.
fn owner(meta: &Value) -> Owner {
    let owners = meta["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let namespace = text(&meta["namespace"]);
    // A node is no workload: static pods are their own.
    let controller = owners.iter().find(|o| o["controller"] == true && o["kind"] != "Node");
    match controller {
        Some(owner) => Owner {
            namespace,
            kind: text(&owner["kind"]),
            name: text(&owner["name"]),
            uid: text(&owner["uid"]),
        },
        None => Owner {
            namespace,
            kind: "Pod".to_owned(),
            name: text(&meta["name"]),
            uid: text(&meta["uid"]),
        },
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}
