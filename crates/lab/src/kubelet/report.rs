//! What the kubelet says: events as they happen, and the status whenever it is another.

use std::sync::Arc;

use jiff::Timestamp;

use super::order::Kind;
use super::reporter::Reporter;
use super::status::{
    Condition, ContainerStatus, Phase, PodIp, PodStatus, Run, State, Time, Waiting,
};
use super::worker::{Slot, SlotState, Worker};
use crate::manifest::RestartPolicy;
use crate::node::NODE;
use crate::record::Event;

impl Worker {
    pub(super) fn reporter(&self, index: usize) -> Reporter {
        Reporter {
            recorder: Arc::clone(&self.recorder),
            pod: self.name.clone(),
            field_path: self.slots[index].field_path(),
        }
    }

    pub(super) fn record(&self, event: Event) {
        self.recorder.event(&self.name, &event);
    }

    pub(super) fn event(
        &self,
        warning: bool,
        reason: &'static str,
        message: String,
        slot: Option<usize>,
    ) {
        let field_path = slot.map(|index| self.slots[index].field_path());
        let at = Timestamp::now();
        self.record(Event { at, warning, reason, message, field_path, component: "kubelet" });
    }

    /// Reports the status, if it is another than before, and tells Services.
    pub(super) fn publish(&mut self) {
        let status = self.status();
        let ready = status.is_ready();
        let known = {
            let now = self.shared.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            now.0 == status
        };
        if known {
            return;
        }
        self.conditions.clone_from(&status.conditions);
        if ready != self.served
            && let Some(sandbox) = &self.sandbox
        {
            self.node.endpoint(&self.name, &self.pod, sandbox.ip, ready);
            self.served = ready;
        }
        self.recorder.status(&self.name, &status);
        self.shared.set(|(now, _)| *now = status);
    }

    fn status(&self) -> PodStatus {
        let policy = self.pod.spec.restart_policy;
        let has_init = self.slots.iter().any(|s| s.kind != Kind::Main);
        let pod = self.pod_in_words();
        let of = |slot: &Slot| slot.status(policy, has_init, &pod);
        let (main, init): (Vec<&Slot>, Vec<&Slot>) =
            self.slots.iter().partition(|s| s.kind == Kind::Main);
        let phase = match self.phase {
            Phase::Pending | Phase::Running => {
                let begun = |s: &&Slot| {
                    s.last.is_some()
                        || !matches!(s.state, SlotState::Waiting(_) | SlotState::Blocked { .. })
                };
                if self.initialized && main.iter().all(begun) {
                    Phase::Running
                } else {
                    Phase::Pending
                }
            }
            over => over,
        };
        let ip = self.sandbox.as_ref().map(|s| s.ip.to_string());
        PodStatus {
            phase,
            reason: self.verdict.as_ref().map(|v| v.0.to_owned()),
            message: self.verdict.as_ref().map(|v| v.1.clone()),
            conditions: self.conditions(phase, &init, &main),
            host_ip: NODE.to_string(),
            pod_ips: ip.iter().map(|ip| PodIp { ip: ip.clone() }).collect(),
            pod_ip: ip,
            start_time: Some(self.start_time),
            init_container_statuses: init.into_iter().map(of).collect(),
            container_statuses: main.into_iter().map(of).collect(),
            qos_class: quality(&self.slots),
        }
    }

    fn conditions(&self, phase: Phase, init: &[&Slot], main: &[&Slot]) -> Vec<Condition> {
        let over = matches!(phase, Phase::Succeeded | Phase::Failed);
        let incomplete: Vec<&str> = init
            .iter()
            .filter(|s| match s.kind {
                Kind::Sidecar => !s.started && !self.initialized,
                _ => !s.ready,
            })
            .map(|s| s.container.name.as_str())
            .collect();
        let initialized = incomplete.is_empty() || phase == Phase::Succeeded;
        let sidecars = init.iter().filter(|s| s.kind == Kind::Sidecar);
        let unready: Vec<&str> = sidecars
            .chain(main)
            .filter(|s| !s.ready || s.current.is_none())
            .map(|s| s.container.name.as_str())
            .collect();
        let ready = unready.is_empty() && !over;
        let why_not = |kind: &'static str, so: bool, reason: &'static str, names: &[&str]| {
            let text = match reason {
                "ContainersNotInitialized" => "containers with incomplete status",
                _ => "containers with unready status",
            };
            let reason = if over && kind != "Initialized" { "PodCompleted" } else { reason };
            let message = (!so && !over).then(|| format!("{text}: [{}]", names.join(" ")));
            self.condition(kind, so, (!so).then_some(reason), message)
        };
        let sandbox = self.sandbox.is_some();
        vec![
            self.condition("PodReadyToStartContainers", sandbox, None, None),
            why_not("Initialized", initialized, "ContainersNotInitialized", &incomplete),
            why_not("Ready", ready, "ContainersNotReady", &unready),
            why_not("ContainersReady", ready, "ContainersNotReady", &unready),
            self.condition("PodScheduled", true, None, None),
        ]
    }

    /// Its time changes only with its status.
    fn condition(
        &self,
        kind: &'static str,
        so: bool,
        reason: Option<&'static str>,
        message: Option<String>,
    ) -> Condition {
        let status = if so { "True" } else { "False" };
        let before = self.conditions.iter().find(|c| c.kind == kind && c.status == status);
        let last_transition_time = before.map_or_else(Time::now, |c| c.last_transition_time);
        Condition { kind, status, last_transition_time, reason, message }
    }
}

impl Slot {
    fn field_path(&self) -> String {
        let list = if self.kind == Kind::Main { "containers" } else { "initContainers" };
        format!("spec.{list}{{{}}}", self.container.name)
    }

    fn status(&self, policy: RestartPolicy, has_init: bool, pod: &str) -> ContainerStatus {
        let waiting = |reason, message| State {
            waiting: Some(Waiting { reason, message }),
            ..State::default()
        };
        let mut last = self.last.clone();
        let state = match &self.state {
            SlotState::Waiting(Some((reason, message))) => waiting(*reason, Some(message.clone())),
            SlotState::Waiting(None) => {
                waiting(if has_init { "PodInitializing" } else { "ContainerCreating" }, None)
            }
            SlotState::Blocked { reason, message, .. } => waiting(*reason, Some(message.clone())),
            SlotState::Running => {
                let since = self.current.as_ref().map_or_else(Time::now, |c| Time(c.since));
                State { running: Some(Run { started_at: since }), ..State::default() }
            }
            SlotState::Ended { how, delay, .. } => {
                if !delay.is_zero() && self.runs_again(policy, how.exit_code) {
                    last = Some(how.clone());
                    let name = &self.container.name;
                    let text = format!(
                        "back-off {} restarting failed container={name} pod={pod}",
                        in_go(*delay)
                    );
                    waiting("CrashLoopBackOff", Some(text))
                } else {
                    State { terminated: Some(how.clone()), ..State::default() }
                }
            }
        };
        let image = &self.container.image;
        let id = self.current.as_ref().map(|c| c.id.clone());
        ContainerStatus {
            name: self.container.name.clone(),
            state,
            last_state: State { terminated: last.clone(), ..State::default() },
            ready: self.ready,
            restart_count: self.restarts,
            image: image.clone(),
            image_id: format!("lab/{image}"),
            container_id: id.or_else(|| last.map(|l| l.container_id)).unwrap_or_default(),
            started: self.started,
            sidecar: self.kind == Kind::Sidecar,
        }
    }

    fn runs_again(&self, policy: RestartPolicy, code: i32) -> bool {
        match (self.kind, policy) {
            (Kind::Sidecar, _) => true,
            (Kind::Init, RestartPolicy::Never) | (Kind::Main, RestartPolicy::Never) => false,
            (Kind::Init, _) | (Kind::Main, RestartPolicy::OnFailure) => code != 0,
            (Kind::Main, RestartPolicy::Always) => true,
        }
    }
}

/// A duration as Go prints it: `10s`, `1m20s`, `5m0s`.
fn in_go(time: std::time::Duration) -> String {
    match time.as_secs() {
        s if s >= 60 => format!("{}m{}s", s / 60, s % 60),
        _ if time.subsec_millis() > 0 => format!("{}s", time.as_secs_f64()),
        s => format!("{s}s"),
    }
}

/// BestEffort without any request or limit, Guaranteed where every container has both limits and
/// no smaller requests, else Burstable.
fn quality(slots: &[Slot]) -> &'static str {
    let value = |s: &Slot, list: &str, name: &str| s.container.resources[list][name].clone();
    let any = slots.iter().any(|s| {
        ["requests", "limits"]
            .iter()
            .any(|list| ["cpu", "memory"].iter().any(|n| !value(s, list, n).is_null()))
    });
    if !any {
        return "BestEffort";
    }
    let whole = |s: &Slot| {
        ["cpu", "memory"].iter().all(|n| {
            let (request, limit) = (value(s, "requests", n), value(s, "limits", n));
            !limit.is_null() && (request.is_null() || request == limit)
        })
    };
    if slots.iter().all(whole) { "Guaranteed" } else { "Burstable" }
}
