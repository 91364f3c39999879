//! Ending: preStop hooks, SIGTERM in the right order, SIGKILL when the grace is over.
//!
//! # Sources
//! Kubernetes documentation, "Pod Lifecycle", termination of pods and of sidecar containers;
//! `pkg/kubelet/kuberuntime/kuberuntime_termination_order.go`.

use std::time::{Duration, Instant};

use super::hooks::run_hook;
use super::order::Kind;
use super::worker::Worker;
use crate::process::{Flag, Running};

/// What a container is given at least after its preStop hook.
const AT_LEAST: Duration = Duration::from_secs(2);

impl Worker {
    /// Asks one container to end and sees to it that it does, on another thread: the preStop hook
    /// at once, SIGTERM when those of `after` have ended, SIGKILL when the grace is over.
    pub(super) fn stop(&self, index: usize, grace: Duration, after: Vec<Flag>) {
        let Some(place) = self.place(index) else { return };
        let hook = place.container.lifecycle.pre_stop.clone();
        let report = self.reporter(index);
        let end = Instant::now() + grace;
        std::thread::spawn(move || {
            if grace.is_zero() {
                return place.running.kill();
            }
            if let Some(hook) = hook
                && let Err(error) = run_hook(&hook, &place, Some(grace))
                && !place.running.ended().is_up()
            {
                report.event(true, "FailedPreStopHook", format!("PreStopHook failed: {error}"));
            }
            for flag in &after {
                flag.wait(end.saturating_duration_since(Instant::now()));
            }
            let left = end.saturating_duration_since(Instant::now()).max(AT_LEAST);
            finish(&place.running, left);
        });
    }

    /// All applications have ended: native sidecars are asked to, last one first.
    pub(super) fn stop_sidecars(&mut self) {
        let grace = self.grace();
        self.stop_in_order(grace, |kind| kind == Kind::Sidecar);
        self.until_ended(|kind| kind == Kind::Sidecar);
    }

    /// The pod is deleted.
    pub(super) fn end(&mut self) {
        let grace = self.grace();
        for index in 0..self.slots.len() {
            if self.slots[index].current.is_some() {
                let name = &self.slots[index].container.name;
                let text = format!("Stopping container {name}");
                self.event(false, "Killing", text, Some(index));
            }
            if let Some(current) = &self.slots[index].current {
                current.probes.stop();
            }
        }
        self.stop_in_order(grace, |_| true);
        self.until_ended(|_| true);
        self.node.forget(&self.name);
        if let Some(plugin) = &self.node.options.plugin {
            plugin.gone(&self.name.uid);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
        self.sandbox = None;
        self.recorder.gone(&self.name);
        self.shared.set(|(_, gone)| *gone = true);
    }

    /// Applications together, then sidecars, the last one first.
    fn stop_in_order(&self, grace: Duration, which: impl Fn(Kind) -> bool) {
        for (index, slot) in self.slots.iter().enumerate() {
            if !which(slot.kind) {
                continue;
            }
            let after = if slot.kind == Kind::Sidecar {
                let later = self.slots[index + 1..].iter();
                let later = later.filter_map(|s| s.current.as_ref());
                later.map(|c| c.running.ended().clone()).collect()
            } else {
                Vec::new()
            };
            self.stop(index, grace, after);
        }
    }

    fn until_ended(&mut self, which: impl Fn(Kind) -> bool) {
        while self.slots.iter().any(|s| which(s.kind) && s.current.is_some()) {
            let grace = self.grace();
            let was_deleted = self.is_deleted();
            self.receive(None);
            // A deletion in the meantime counts for those that are ending already.
            if self.is_deleted() && (!was_deleted || self.grace() < grace) {
                self.stop_in_order(self.grace(), |_| true);
            }
        }
    }
}

/// SIGTERM, then SIGKILL.
fn finish(running: &Running, grace: Duration) {
    running.terminate();
    if !running.ended().wait(grace) {
        running.kill();
    }
}
