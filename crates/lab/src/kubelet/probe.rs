//! Probes: each on a thread of its own for one run of a container, with Kubernetes' periods and
//! thresholds.
//!
//! # Sources
//! Kubernetes documentation, "Configure Liveness, Readiness and Startup Probes";
//! `pkg/kubelet/prober/worker.go`, `prober.go`.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::http::http_get;
use super::reporter::Reporter;
use super::shared::Which;
use crate::inside::Plan;
use crate::manifest::{Container, Probe};
use crate::node::Node;
use crate::prepare;
use crate::process::Running;

/// The probes of one run; all end when they are stopped.
#[derive(Debug, Default)]
pub(super) struct Probes {
    stop: Arc<Stop>,
}

#[derive(Debug, Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits until an instant; `false` where it was stopped before.
    fn sleep_until(&self, until: Instant) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if *stopped {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let waited = self.changed.wait_timeout(stopped, left);
            stopped = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What is probed.
pub(super) struct Target {
    pub(super) node: Arc<Node>,
    pub(super) container: Arc<Container>,
    pub(super) ip: Ipv4Addr,
    pub(super) plan: Plan,
    pub(super) running: Running,
    pub(super) since: Timestamp,
}

impl Probes {
    pub(super) fn stop(&self) {
        *self.stop.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
    }

    /// Probes until it is stopped; `tell` hears each time that a threshold is reached and the
    /// answer is another than before. A startup probe ends with its first success.
    pub(super) fn start(
        &self,
        which: Which,
        probe: Probe,
        target: Target,
        tell: impl Fn(bool) + Send + 'static,
        report: Reporter,
    ) {
        let stop = Arc::clone(&self.stop);
        let build = std::thread::Builder::new().name("probe".to_owned()).stack_size(256 * 1024);
        let spawned = build.spawn(move || {
            if target.node.network.enter().is_ok() {
                go_on(which, &probe, &target, &stop, &tell, &report);
            }
        });
        // Without a thread the container is never ready, which is what the status then says.
        drop(spawned);
    }
}

fn go_on(
    which: Which,
    probe: &Probe,
    target: &Target,
    stop: &Stop,
    tell: &impl Fn(bool),
    report: &Reporter,
) {
    let period = Duration::from_secs(probe.period_seconds.unwrap_or(10).max(1));
    let delay = Duration::from_secs(probe.initial_delay_seconds);
    let ran = Timestamp::now().duration_since(target.since).unsigned_abs();
    let started = Instant::now().checked_sub(ran).unwrap_or_else(Instant::now);
    // The worker ticks from its own start on; ticks before the delay is over are let pass.
    let mut at = Instant::now();
    while at < started + delay {
        at += period;
    }
    let mut count = Count::new(which, probe);
    while stop.sleep_until(at) {
        let outcome = ask(probe, target);
        // A probe may outlast its container; nothing is said of the next one then.
        if !stop.sleep_until(Instant::now()) {
            return;
        }
        if let Err(error) = &outcome {
            let text = format!("{} probe failed: {error}", which.word());
            report.event(true, "Unhealthy", text);
        }
        if let Some(good) = count.take(outcome.is_ok()) {
            tell(good);
            if which != Which::Readiness && (!good || which == Which::Startup) {
                return;
            }
        }
        at = (at + period).max(Instant::now());
    }
}

/// Successes and failures in a row.
struct Count {
    which: Which,
    success: u32,
    failure: u32,
    last: Option<bool>,
    row: u32,
    told: Option<bool>,
}

impl Count {
    fn new(which: Which, probe: &Probe) -> Self {
        Self {
            which,
            success: probe.success_threshold.unwrap_or(1).max(1),
            failure: probe.failure_threshold.unwrap_or(3).max(1),
            last: None,
            row: 0,
            // A container isn't ready before a probe says so.
            told: (which == Which::Readiness).then_some(false),
        }
    }

    /// The answer, where it has just become another.
    fn take(&mut self, good: bool) -> Option<bool> {
        self.row = if self.last == Some(good) { self.row + 1 } else { 1 };
        self.last = Some(good);
        let enough = if good { self.success } else { self.failure };
        if self.row < enough || (self.told == Some(good) && self.which == Which::Readiness) {
            return None;
        }
        self.told = Some(good);
        Some(good)
    }
}

fn ask(probe: &Probe, target: &Target) -> Result<(), String> {
    let timeout = Duration::from_secs(probe.timeout_seconds.unwrap_or(1).max(1));
    if let Some(get) = &probe.http_get {
        return match http_get(get, &target.container, target.ip, timeout)? {
            status if (200..400).contains(&status) => Ok(()),
            status => Err(format!("HTTP probe failed with statuscode: {status}")),
        };
    }
    if let Some(tcp) = &probe.tcp_socket {
        let port = target.container.port(&tcp.port).ok_or("no such port")?;
        let host = tcp.host.as_deref().map_or(Ok(target.ip.into()), str::parse);
        let to = SocketAddr::new(host.map_err(|_| "no such host")?, port);
        return match TcpStream::connect_timeout(&to, timeout) {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err(format!("dial tcp {to}: connect: connection refused"))
            }
            Err(e) if e.kind() == std::io::ErrorKind::TimedOut => {
                Err(format!("dial tcp {to}: i/o timeout"))
            }
            Err(e) => Err(format!("dial tcp {to}: {e}")),
        };
    }
    if let Some(exec) = &probe.exec {
        let plan = prepare::command(&target.plan, &exec.command);
        return match target.node.starter.exec(&plan, &target.running, Some(timeout)) {
            Ok((0, _)) => Ok(()),
            Ok((_, text)) => Err(text),
            Err(error) => Err(format!("{error:#}")),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(which: Which, success: u32, failure: u32, answers: &str) -> String {
        let probe = Probe {
            success_threshold: Some(success),
            failure_threshold: Some(failure),
            ..Probe::default()
        };
        let mut count = Count::new(which, &probe);
        let one = |c| match count.take(c == '+') {
            None => '.',
            Some(true) => 'Y',
            Some(false) => 'N',
        };
        answers.chars().map(one).collect()
    }

    #[test]
    fn thresholds_count_answers_in_a_row() {
        assert_eq!(told(Which::Readiness, 2, 3, "+-++++--+---"), "...Y.......N");
        assert_eq!(told(Which::Readiness, 1, 3, "---+"), "...Y", "not ready is where it begins");
        assert_eq!(told(Which::Liveness, 1, 3, "--+---"), "..Y..N");
        assert_eq!(told(Which::Startup, 1, 4, "---+"), "...Y");
        assert_eq!(told(Which::Startup, 1, 4, "----"), "...N");
    }
}
