//! One pod's life, as a kubelet runs it. Each pod has a thread that decides ([`order`]), starts
//! and stops containers, and reports; probes and hooks have threads of their own.
//!
//! What is as in Kubernetes: the order of containers, native sidecars, postStart hooks that hold up
//! the next container, probes with their periods and thresholds, restarts with back-off, the order
//! and grace of termination, sysctls and their refusal. What is faster: this kubelet notices an
//! end at once, where Kubernetes' asks its runtime once a second.

mod end;
mod hooks;
mod http;
pub(crate) mod order;
mod probe;
mod report;
mod reporter;
mod shared;
mod start;
pub(crate) mod status;
mod sysctl;
mod worker;

use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

pub use order::BackOffTimes;
pub use shared::Steps;
pub use status::{
    Condition, ContainerStatus, Phase, PodIp, PodStatus, Run, State, Terminated, Time, Waiting,
};

use shared::{Message, Shared};

use crate::manifest::{Pod, PodName};
use crate::node::Node;
use crate::record::Recorder;

/// A pod that runs. Dropping it deletes the pod without grace.
#[derive(Debug)]
pub struct PodHandle {
    name: PodName,
    sender: Sender<Message>,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
    begun: Instant,
}

impl PodHandle {
    pub(crate) fn start(
        node: Arc<Node>,
        pod: Pod,
        steps: Steps,
        recorder: Arc<dyn Recorder>,
    ) -> anyhow::Result<Self> {
        let mut pod = pod;
        if pod.metadata.uid.is_empty() {
            pod.metadata.uid = node.uid();
        }
        let name = PodName {
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        };
        anyhow::ensure!(!name.name.is_empty(), "metadata.name: a pod has a name");
        let (sender, inbox) = std::sync::mpsc::channel();
        let shared = Arc::new(Shared::default());
        let begun = Instant::now();
        let worker = worker::Worker::new(worker::Start {
            node,
            pod,
            name: name.clone(),
            steps,
            recorder,
            sender: sender.clone(),
            inbox,
            shared: Arc::clone(&shared),
        });
        let build = std::thread::Builder::new().name("pod".to_owned()).stack_size(512 * 1024);
        let thread = build.spawn(move || worker.run()).context("starting a pod's thread")?;
        Ok(Self { name, sender, shared, thread: Some(thread), begun })
    }

    /// Which pod it is.
    #[must_use]
    pub fn name(&self) -> &PodName {
        &self.name
    }

    /// When it was handed over.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Its status now.
    #[must_use]
    pub fn status(&self) -> PodStatus {
        self.shared.now.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Resident memory of a container's processes, KiB; `None` where it doesn't run.
    #[must_use]
    pub fn memory_kib(&self, container: &str) -> Option<u64> {
        let running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(container)?.memory_kib()
    }

    /// Waits until its status is so, or the time is over, or it is gone; whether it was.
    pub fn wait(&self, timeout: Duration, mut so: impl FnMut(&PodStatus) -> bool) -> bool {
        let end = Instant::now() + timeout;
        let mut now = self.shared.now.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if so(&now.0) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || now.1 {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(now, left);
            now = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks it to end as `kubectl delete pod` does: with this grace in seconds, or its own. Comes
    /// back at once; [`PodHandle::join`] waits.
    pub fn delete(&self, grace: Option<u64>) {
        let _ = self.sender.send(Message::Delete(grace));
    }

    /// Waits until it is gone: after [`PodHandle::delete`].
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for PodHandle {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.delete(Some(0));
            let _ = thread.join();
        }
    }
}
