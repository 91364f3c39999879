//! What a pod's run leaves behind: its status over time, events, and log lines, handed to a
//! [`Recorder`] as they come. [`Record`] keeps them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::kubelet::status::PodStatus;
use crate::manifest::PodName;
use crate::process::Stream;

/// Takes what happens to pods, on whatever thread it happens; it should not take long.
pub trait Recorder: Send + Sync {
    /// The pod's status has changed; it is the whole status.
    fn status(&self, pod: &PodName, status: &PodStatus);
    /// The kubelet reports an event.
    fn event(&self, pod: &PodName, event: &Event);
    /// A container wrote a line.
    fn log(&self, pod: &PodName, line: &Line);
    /// The pod is gone, after [`crate::PodHandle::delete`].
    fn gone(&self, _pod: &PodName) {}
}

/// An event about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// `Warning`, otherwise `Normal`.
    pub warning: bool,
    /// Such as `BackOff`.
    pub reason: &'static str,
    /// In words.
    pub message: String,
    /// `spec.containers{app}`, where it is about a container.
    pub field_path: Option<String>,
    /// `kubelet` or `default-scheduler`.
    pub component: &'static str,
}

/// A line of a container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The container.
    pub container: Arc<str>,
    /// How often it was started before.
    pub restart: u32,
    /// Where it was written.
    pub stream: Stream,
    /// When it arrived.
    pub at: Timestamp,
    /// Without the line break.
    pub text: String,
    /// The rest of the line follows: it was longer than a runtime's lines are.
    pub partial: bool,
}

/// Everything about one pod.
#[derive(Debug, Clone, Default)]
pub struct PodRecord {
    /// The pod's object, without status.
    pub object: Value,
    /// Its status each time it changed.
    pub status: Vec<(Timestamp, PodStatus)>,
    /// Its events.
    pub events: Vec<Event>,
    /// Its containers' lines, in the order of their arrival.
    pub lines: Vec<Line>,
    /// It was deleted and has ended.
    pub gone: bool,
}

impl PodRecord {
    /// The last status.
    #[must_use]
    pub fn now(&self) -> Option<&PodStatus> {
        self.status.last().map(|(_, status)| status)
    }

    /// When a container's log first had a text.
    #[must_use]
    pub fn first_line(&self, container: &str, text: &str) -> Option<Timestamp> {
        let mut lines = self.lines.iter().filter(|l| &*l.container == container);
        lines.find(|l| l.text.contains(text)).map(|l| l.at)
    }
}

/// A recorder that keeps everything in memory and lets others wait for something to appear in it.
#[derive(Debug, Default)]
pub struct Record {
    pods: Mutex<BTreeMap<PodName, PodRecord>>,
    changed: Condvar,
}

impl Record {
    /// An empty one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PodName, PodRecord>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, pod: &PodName, change: impl FnOnce(&mut PodRecord)) {
        let mut pods = self.lock();
        match pods.get_mut(pod) {
            Some(record) => change(record),
            None => change(pods.entry(pod.clone()).or_default()),
        }
        drop(pods);
        self.changed.notify_all();
    }

    /// Adds a pod's object, for exports.
    pub fn object(&self, pod: &PodName, object: Value) {
        self.change(pod, |r| r.object = object);
    }

    /// Waits until something is so, or the time is over: whether it was.
    pub fn wait(
        &self,
        timeout: Duration,
        mut so: impl FnMut(&BTreeMap<PodName, PodRecord>) -> bool,
    ) -> bool {
        let end = Instant::now() + timeout;
        let mut pods = self.lock();
        loop {
            if so(&pods) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(pods, left);
            pods = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// [`Record::wait`] for one pod.
    pub fn wait_for(
        &self,
        pod: &PodName,
        timeout: Duration,
        mut so: impl FnMut(&PodRecord) -> bool,
    ) -> bool {
        self.wait(timeout, |pods| pods.get(pod).is_some_and(&mut so))
    }

    /// A copy of one pod's record.
    #[must_use]
    pub fn pod(&self, pod: &PodName) -> PodRecord {
        self.lock().get(pod).cloned().unwrap_or_default()
    }

    /// Drops what is known of a pod.
    pub fn forget(&self, pod: &PodName) {
        self.lock().remove(pod);
    }

    /// A copy of everything.
    #[must_use]
    pub fn all(&self) -> BTreeMap<PodName, PodRecord> {
        self.lock().clone()
    }
}

impl Recorder for Record {
    fn status(&self, pod: &PodName, status: &PodStatus) {
        self.change(pod, |r| r.status.push((Timestamp::now(), status.clone())));
    }

    fn event(&self, pod: &PodName, event: &Event) {
        self.change(pod, |r| r.events.push(event.clone()));
    }

    fn log(&self, pod: &PodName, line: &Line) {
        self.change(pod, |r| r.lines.push(line.clone()));
    }

    fn gone(&self, pod: &PodName) {
        self.change(pod, |r| r.gone = true);
    }
}
