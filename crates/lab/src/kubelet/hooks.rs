//! postStart and preStop.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::http::http_get;
use super::shared::Message;
use super::worker::Worker;
use crate::inside::Plan;
use crate::manifest::{Container, Hook};
use crate::node::Node;
use crate::prepare;
use crate::process::Running;

/// What a hook needs.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) node: Arc<Node>,
    pub(super) container: Arc<Container>,
    pub(super) plan: Plan,
    pub(super) running: Running,
    pub(super) ip: Ipv4Addr,
}

impl Worker {
    /// Runs the postStart hook and waits for it, as long as the container lives and the pod is
    /// not deleted; whether the start may go on.
    pub(super) fn post_start(&mut self, index: usize, container: &Arc<Container>) -> bool {
        let Some(hook) = container.lifecycle.post_start.clone() else { return true };
        let Some(place) = self.place(index) else { return false };
        let (sender, run) = (self.sender.clone(), self.slots[index].run);
        std::thread::spawn(move || {
            let outcome = run_hook(&hook, &place, None);
            let _ = sender.send(Message::Hooked { slot: index, run, outcome });
        });
        loop {
            match self.inbox.recv() {
                Ok(Message::Hooked { slot, run: of, outcome }) if slot == index && of == run => {
                    let Err(error) = outcome else { return true };
                    let text = format!("PostStartHook failed: {error}");
                    self.event(true, "FailedPostStartHook", text, Some(index));
                    let name = &container.name;
                    let text = format!("FailedPostStartHook: container {name} is killed");
                    self.event(false, "Killing", text, Some(index));
                    self.stop(index, self.grace(), Vec::new());
                    return false;
                }
                Ok(message) => self.take(message),
                Err(_) => return false,
            }
            if self.slots[index].current.is_none() || self.is_deleted() {
                return false;
            }
        }
    }

    pub(super) fn place(&self, index: usize) -> Option<Place> {
        let current = self.slots[index].current.as_ref()?;
        Some(Place {
            node: Arc::clone(&self.node),
            container: Arc::clone(&self.slots[index].container),
            plan: current.plan.clone(),
            running: current.running.clone(),
            ip: self.sandbox.as_ref()?.ip,
        })
    }
}

/// Runs a hook; the error is what the kubelet would report.
pub(super) fn run_hook(
    hook: &Hook,
    place: &Place,
    timeout: Option<Duration>,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let plan = prepare::command(&place.plan, &exec.command);
        return match place.node.starter.exec(&plan, &place.running, timeout) {
            Ok((0, _)) => Ok(()),
            Ok((code, text)) => {
                Err(format!("command '{}' exited with {code}: {text}", exec.command.join(" ")))
            }
            Err(error) => Err(format!("{error:#}")),
        };
    }
    if let Some(get) = &hook.http_get {
        let network = Arc::clone(&place.node.network);
        let timeout = timeout.unwrap_or(Duration::from_secs(30));
        let asked = network.run(|| http_get(get, &place.container, place.ip, timeout));
        return match asked {
            Ok(Ok(status)) if (200..400).contains(&status) => Ok(()),
            Ok(Ok(status)) => Err(format!("HTTP status {status}")),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error.to_string()),
        };
    }
    if let Some(sleep) = &hook.sleep {
        let wanted = Duration::from_secs(sleep.seconds);
        std::thread::sleep(timeout.map_or(wanted, |t| t.min(wanted)));
    }
    Ok(())
}
