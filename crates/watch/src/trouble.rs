//! What is wrong with a pod at a glance: no fault yet, but a reason to look.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::pod::{Owner, Pod};

/// What is wrong, without saying with which of many replicas: those that have the same trouble are
/// looked into once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// A container ended, or was started again, in its pod's first minutes.
    Ended {
        /// The container.
        container: String,
        /// `exit code 1`, `OOMKilled`.
        how: String,
    },
    /// The mesh's sidecar ended, however old the pod is.
    ProxyEnded {
        /// `exit code 1`, `OOMKilled`.
        how: String,
    },
    /// A status reason other than that its turn has not come.
    Status {
        /// The container; empty for the pod's own.
        container: String,
        /// `ImagePullBackOff`, `Evicted` …
        reason: String,
    },
    /// A Warning event.
    Warning {
        /// Its reason: `FailedCreate`, `Unhealthy` …
        reason: String,
    },
    /// Longer in Init than its peers, or than is waited.
    InInit,
    /// Longer not ready than its peers, or than is waited.
    NotReady,
}

impl Trouble {
    /// The kind of signal, for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Trouble::Ended { .. } => "ended",
            Trouble::ProxyEnded { .. } => "proxy-ended",
            Trouble::Status { .. } => "status",
            Trouble::Warning { .. } => "warning",
            Trouble::InInit => "init",
            Trouble::NotReady => "not-ready",
        }
    }

    /// Whether it is one of time: then waiting has been done.
    pub(crate) fn has_waited(&self) -> bool {
        matches!(self, Trouble::InInit | Trouble::NotReady)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Ended { container, how } => write!(f, "{container} ended ({how})"),
            Trouble::ProxyEnded { how } => write!(f, "the proxy ended ({how})"),
            Trouble::Status { container, reason } if container.is_empty() => f.write_str(reason),
            Trouble::Status { container, reason } => write!(f, "{container}: {reason}"),
            Trouble::Warning { reason } => write!(f, "warning {reason}"),
            Trouble::InInit => f.write_str("in Init for long"),
            Trouble::NotReady => f.write_str("not ready for long"),
        }
    }
}

/// What has gone wrong with a pod since it was seen `before`. A pod that is seen for the first time
/// among others that were there already: what ended `lately` by the caller's clock, or keeps it from
/// being ready.
pub(crate) fn since(
    before: Option<&Pod>,
    now: &Pod,
    young: Duration,
    lately: impl Fn(Option<Timestamp>) -> bool,
) -> Vec<Trouble> {
    let mut all = Vec::new();
    if now.leaving || now.done {
        return all;
    }
    let reason = now.reason.as_ref().filter(|_| before.is_none_or(|b| b.reason != now.reason));
    all.extend(
        reason.map(|reason| Trouble::Status { container: String::new(), reason: reason.clone() }),
    );
    for container in &now.containers {
        let of = |pod: &Pod| pod.containers.iter().find(|c| c.name == container.name).cloned();
        let was = before.map(|before| of(before).unwrap_or_default());
        let at = container.ended.as_ref().and_then(|ended| ended.at);
        let again = match &was {
            Some(was) => container.restarts > was.restarts || container.ended != was.ended,
            None => !now.is_up() || lately(at),
        };
        let ended = container.restarts > 0 || container.ended.as_ref().is_some_and(|e| e.code != 0);
        if again && ended {
            let how = container.ended.as_ref().map_or_else(String::new, how);
            if container.proxy {
                all.push(Trouble::ProxyEnded { how });
            } else if now.is_early(at, young) {
                all.push(Trouble::Ended { container: container.name.clone(), how });
            }
        }
        let waits = container.waiting.as_ref();
        if let Some(reason) = waits.filter(|_| was.is_none_or(|was| was.waiting.as_ref() != waits))
        {
            let (container, reason) = (container.name.clone(), reason.clone());
            all.push(Trouble::Status { container, reason });
        }
    }
    all
}

fn how(ended: &crate::pod::Ended) -> String {
    match ended.reason.as_str() {
        "" | "Error" | "Completed" => format!("exit code {}", ended.code),
        reason => reason.to_owned(),
    }
}

/// Who tells of findings. What it says is no reason to look.
pub const COMPONENT: &str = "sunup-watch";

/// A Warning event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub about: Owner,
    /// Its reason.
    pub reason: String,
}

impl Warning {
    /// Reads an event; `None` where it is none that warns of a pod or of what makes pods, or one of our
    /// own.
    #[must_use]
    pub fn read(event: &Value) -> Option<Warning> {
        const ABOUT: [&str; 7] =
            ["Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"];
        let about = &event["involvedObject"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = about["kind"].as_str().filter(|kind| ABOUT.contains(kind))?;
        if event["type"] != "Warning" || event["source"]["component"] == COMPONENT {
            return None;
        }
        Some(Warning {
            about: Owner {
                namespace: text(&about["namespace"]),
                kind: kind.to_owned(),
                name: text(&about["name"]),
                uid: text(&about["uid"]),
            },
            reason: text(&event["reason"]),
        })
    }
}
