//! What a pod's thread is given and told, and what it shares with the pod's handle.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::status::PodStatus;
use crate::process::{Exit, Running};

/// What a scenario does to the steps of one pod, by container where it is about one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Steps {
    /// Before the pod's network is made.
    pub sandbox: Duration,
    /// Before a container is started; holds up those after it.
    pub create: BTreeMap<String, Duration>,
    /// Between a container's start and its program's: the container counts as running.
    pub program: BTreeMap<String, Duration>,
    /// Its first so many starts end with a code instead of running the program.
    pub fail: BTreeMap<String, (u32, i32)>,
    /// The pod's address, instead of the next one.
    pub address: Option<Ipv4Addr>,
    /// The node lacks the mesh's CNI plugin: a pod that relies on it is made without capture.
    pub no_plugin: bool,
    /// Somebody else on the node holds iptables' lock when the mesh's CNI plugin wants it.
    pub lock_taken: bool,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) now: Mutex<(PodStatus, bool)>,
    pub(super) running: Mutex<BTreeMap<String, Running>>,
    pub(super) changed: Condvar,
}

impl Shared {
    pub(super) fn set(&self, change: impl FnOnce(&mut (PodStatus, bool))) {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    pub(super) fn runs(&self, container: &str, running: &Running) {
        let mut all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(container.to_owned(), running.clone());
    }
}

/// What a pod's thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A container's process ended.
    Ended { slot: usize, run: u64, exit: Exit },
    /// A probe reached a threshold.
    Probed { slot: usize, run: u64, which: Which, good: bool },
    /// A postStart hook ended.
    Hooked { slot: usize, run: u64, outcome: Result<(), String> },
    /// The pod is deleted, with so many seconds of grace, or its own.
    Delete(Option<u64>),
}

/// Which question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Has it started?
    Startup,
    /// Does it live?
    Liveness,
    /// Does it take requests?
    Readiness,
}

impl Which {
    pub(super) fn word(self) -> &'static str {
        match self {
            Which::Startup => "Startup",
            Which::Liveness => "Liveness",
            Which::Readiness => "Readiness",
        }
    }
}
