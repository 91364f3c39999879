//! The thread of one pod: takes what happened, decides, acts, reports.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::order::{BackOff, Doing, Kind, Next, next};
use super::probe::Probes;
use super::shared::{Message, Shared, Steps, Which};
use super::status::{Condition, Phase, Terminated, Time};
use crate::inside::Plan;
use crate::manifest::{Container, Pod, PodName, RestartPolicy};
use crate::node::{NODE_NAME, Node, Sandbox};
use crate::process::{Exit, Running};
use crate::record::{Event, Recorder};

/// What a pod's thread begins with.
pub(super) struct Start {
    pub(super) node: Arc<Node>,
    pub(super) pod: Pod,
    pub(super) name: PodName,
    pub(super) steps: Steps,
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) sender: Sender<Message>,
    pub(super) inbox: Receiver<Message>,
    pub(super) shared: Arc<Shared>,
}

/// A pod and all that is known of its containers.
pub(super) struct Worker {
    pub(super) node: Arc<Node>,
    pub(super) pod: Arc<Pod>,
    pub(super) name: PodName,
    pub(super) steps: Steps,
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) sender: Sender<Message>,
    pub(super) inbox: Receiver<Message>,
    pub(super) shared: Arc<Shared>,
    pub(super) slots: Vec<Slot>,
    pub(super) sandbox: Option<Sandbox>,
    pub(super) directory: PathBuf,
    pub(super) initialized: bool,
    pub(super) phase: Phase,
    /// Reason and message of the pod as a whole.
    pub(super) verdict: Option<(&'static str, String)>,
    pub(super) start_time: Time,
    pub(super) conditions: Vec<Condition>,
    /// Whether Services were told that it is ready.
    pub(super) served: bool,
    deleting: Option<u64>,
}

/// A container.
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) container: Arc<Container>,
    pub(super) state: SlotState,
    pub(super) last: Option<Terminated>,
    pub(super) restarts: u32,
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) back_off: BackOff,
    /// Counts starts: what an earlier run's threads say is not heard.
    pub(super) run: u64,
    pub(super) current: Option<Current>,
}

/// What a container does.
pub(super) enum SlotState {
    /// It was not started; why, if not for its turn.
    Waiting(Option<(&'static str, String)>),
    /// It can't be started now, but perhaps later.
    Blocked { reason: &'static str, message: String, until: Instant },
    /// It runs.
    Running,
    /// It ended.
    Ended { how: Terminated, again: Instant, delay: Duration },
}

/// A run of a container.
pub(super) struct Current {
    pub(super) running: Running,
    pub(super) plan: Plan,
    pub(super) probes: Probes,
    pub(super) since: Timestamp,
    pub(super) id: String,
}

impl Worker {
    pub(super) fn new(start: Start) -> Self {
        let spec = &start.pod.spec;
        let init = spec.init_containers.iter().map(|c| {
            let kind = if c.is_sidecar() { Kind::Sidecar } else { Kind::Init };
            Slot::new(kind, c)
        });
        let slots = init.chain(spec.containers.iter().map(|c| Slot::new(Kind::Main, c))).collect();
        Self {
            slots,
            node: start.node,
            pod: Arc::new(start.pod),
            name: start.name,
            steps: start.steps,
            recorder: start.recorder,
            sender: start.sender,
            inbox: start.inbox,
            shared: start.shared,
            sandbox: None,
            directory: PathBuf::new(),
            initialized: false,
            phase: Phase::Pending,
            verdict: None,
            start_time: Time::now(),
            conditions: Vec::new(),
            served: false,
            deleting: None,
        }
    }

    pub(super) fn run(mut self) {
        let (ns, name) = (&self.name.namespace, &self.name.name);
        let text = format!("Successfully assigned {ns}/{name} to {NODE_NAME}");
        self.record(Event {
            at: Timestamp::now(),
            warning: false,
            reason: "Scheduled",
            message: text,
            field_path: None,
            component: "default-scheduler",
        });
        self.publish();
        if self.prepare() {
            self.live();
        } else {
            self.publish();
        }
        while self.deleting.is_none() {
            self.receive(None);
        }
        self.end();
    }

    /// Until it is over or deleted.
    fn live(&mut self) {
        loop {
            while let Ok(message) = self.inbox.try_recv() {
                self.take(message);
            }
            if self.deleting.is_some() {
                return;
            }
            let now = Instant::now();
            let views: Vec<_> = self.slots.iter().map(|s| (s.kind, s.doing(now))).collect();
            match next(&views, self.pod.spec.restart_policy, self.initialized, now) {
                Next::Start(index) => self.start(index),
                Next::Wait(until) => {
                    self.publish();
                    let blocked = self.slots.iter().filter_map(Slot::blocked_until).min();
                    self.receive([until, blocked].into_iter().flatten().min());
                }
                Next::StopSidecars => self.stop_sidecars(),
                Next::Finish(well) => {
                    self.phase = if well { Phase::Succeeded } else { Phase::Failed };
                    self.publish();
                    return;
                }
            }
        }
    }

    /// Waits for one message, or until an instant; a pod that nobody can speak to any more is
    /// deleted.
    pub(super) fn receive(&mut self, until: Option<Instant>) {
        let received = match until {
            None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.deleting = Some(0),
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleting.is_some()
    }

    /// Grace, from the deletion, else the pod's own.
    pub(super) fn grace(&self) -> Duration {
        let own = self.pod.spec.termination_grace_period_seconds.unwrap_or(30);
        Duration::from_secs(self.deleting.unwrap_or(own))
    }

    pub(super) fn take(&mut self, message: Message) {
        match message {
            Message::Ended { slot, run, exit } if self.slots[slot].run == run => {
                self.ended(slot, exit);
            }
            Message::Probed { slot, run, which, good } if self.slots[slot].run == run => {
                self.probed(slot, which, good);
            }
            Message::Delete(grace) => {
                let own = self.pod.spec.termination_grace_period_seconds.unwrap_or(30);
                self.deleting = Some(grace.unwrap_or(own));
            }
            // Of an earlier run, or of a hook that nobody waits for any more.
            Message::Ended { .. } | Message::Probed { .. } | Message::Hooked { .. } => {}
        }
    }

    fn ended(&mut self, index: usize, exit: Exit) {
        let policy = self.pod.spec.restart_policy;
        let times = self.node.options.back_off;
        let slot = &mut self.slots[index];
        let Some(current) = slot.current.take() else { return };
        current.probes.stop();
        let how = terminated(&current, exit);
        let ran = exit.at.duration_since(current.since).unsigned_abs();
        let delay = slot.back_off.ended(ran, &times);
        let again = match slot.kind {
            Kind::Sidecar => true,
            Kind::Init => exit.code != 0 && policy != RestartPolicy::Never,
            Kind::Main => match policy {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => exit.code != 0,
                RestartPolicy::Never => false,
            },
        };
        slot.started = false;
        slot.ready = slot.kind == Kind::Init && exit.code == 0;
        slot.state = SlotState::Ended { how, again: Instant::now() + delay, delay };
        if again && !delay.is_zero() && self.deleting.is_none() {
            let (name, pod) = (self.slots[index].container.name.clone(), self.pod_in_words());
            let text = format!("Back-off restarting failed container {name} in pod {pod}");
            self.event(true, "BackOff", text, Some(index));
        }
        self.publish();
    }

    fn probed(&mut self, index: usize, which: Which, good: bool) {
        match (which, good) {
            (Which::Startup, true) => {
                self.slots[index].started = true;
                self.probe(index, false);
            }
            (Which::Readiness, good) => self.slots[index].ready = good,
            (Which::Liveness, true) => {}
            (Which::Startup | Which::Liveness, false) => {
                let name = self.slots[index].container.name.clone();
                let what = if which == Which::Startup { "startup" } else { "liveness" };
                let text = format!("Container {name} failed {what} probe, will be restarted");
                self.event(false, "Killing", text, Some(index));
                self.stop(index, self.grace(), Vec::new());
            }
        }
        self.publish();
    }

    /// `name_namespace(uid)`, as the kubelet writes pods.
    pub(super) fn pod_in_words(&self) -> String {
        format!("{}_{}({})", self.name.name, self.name.namespace, self.name.uid)
    }
}

fn terminated(current: &Current, exit: Exit) -> Terminated {
    Terminated {
        exit_code: exit.code,
        signal: None,
        reason: if exit.code == 0 { "Completed" } else { "Error" },
        message: None,
        started_at: Time(current.since),
        finished_at: Time(exit.at),
        container_id: current.id.clone(),
    }
}

impl Slot {
    fn new(kind: Kind, container: &Container) -> Self {
        Self {
            kind,
            container: Arc::new(container.clone()),
            state: SlotState::Waiting(None),
            last: None,
            restarts: 0,
            started: false,
            ready: false,
            back_off: BackOff::new(),
            run: 0,
            current: None,
        }
    }

    fn doing(&self, now: Instant) -> Doing {
        match &self.state {
            SlotState::Waiting(_) => Doing::Nothing,
            SlotState::Blocked { until, .. } if *until <= now => Doing::Nothing,
            SlotState::Blocked { .. } => Doing::Runs { started: false },
            SlotState::Running => Doing::Runs { started: self.started },
            SlotState::Ended { how, again, .. } => {
                Doing::Ended { code: how.exit_code, again: *again }
            }
        }
    }

    fn blocked_until(&self) -> Option<Instant> {
        match &self.state {
            SlotState::Blocked { until, .. } => Some(*until),
            _ => None,
        }
    }
}
