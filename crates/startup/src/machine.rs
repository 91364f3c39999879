//! The state machine itself.
//!
//! Every method is total: any event may come in any phase, and time may stand still. Time that
//! runs backwards is taken for standing still.

use std::fmt::Write as _;
use std::time::Duration;

use crate::gate::{Gate, Gates, Pending};

/// Where a proxy is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Never ready so far.
    Starting,
    /// A new connection would be served.
    Ready,
    /// Was ready; a gate shut again.
    Unready,
    /// Asked to end: serves what it has until the drain is over.
    Draining,
    /// Told to exit.
    Stopped,
}

/// How long a proxy that was asked to end goes on.
///
/// # Sources
/// Istio's agent: `terminationDrainDuration` (5 s), or with `EXIT_ON_ZERO_ACTIVE_CONNECTIONS`
/// at least `MINIMUM_DRAIN_DURATION` (5 s) and then until no connection is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// For this long, whatever the connections do.
    For(Duration),
    /// At least this long, then until no connection is left.
    UntilIdle(Duration),
}

/// What happens to a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something isn't in place, or no longer.
    Shut {
        /// What.
        gate: Gate,
        /// What it waits for, in words.
        why: String,
    },
    /// Something is in place.
    Open(Gate),
    /// So many connections are open now.
    Connections(u64),
    /// SIGTERM, SIGINT or `/quitquitquit`.
    End(Drain),
    /// A second SIGINT: at once.
    EndNow,
    /// It can't go on: a fault of its own.
    Failed(String),
    /// Time has passed.
    Tick,
}

/// What the owner of the machine has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Say that new connections are served.
    SayReady,
    /// Say that they aren't any more, and why.
    SayUnready(String),
    /// Finish what is open; say so to peers where the protocol has a word for it.
    BeginDrain,
    /// Send [`Event::Tick`] at this time.
    WakeAt(Duration),
    /// Leave with this code: 0 where the end was asked for, so that a Job completes and
    /// `restartPolicy: OnFailure` doesn't start it again; 1 after a fault, so that it does.
    Exit(u8),
}

/// The state of one proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    phase: Phase,
    gates: Gates,
    now: Duration,
    connections: u64,
    drain: Option<(Drain, Duration)>,
}

impl Machine {
    /// A proxy that has just started, with the gates that every proxy has.
    #[must_use]
    pub fn new() -> Self {
        let mut gates = Gates::default();
        for (gate, why) in [
            (Gate::Listeners, "capture and health sockets are not bound yet"),
            (Gate::Configuration, "no configuration was read yet"),
            (Gate::Workers, "no worker accepts connections yet"),
        ] {
            gates.shut(gate, Duration::ZERO, why);
        }
        let (phase, now) = (Phase::Starting, Duration::ZERO);
        Self { phase, gates, now, connections: 0, drain: None }
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether a new connection would be served: the answer of every readiness endpoint.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// What is pending, in a fixed order.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        self.gates.pending().collect()
    }

    /// What a readiness endpoint says: one line per gate that is pending and since when, or that
    /// the proxy is draining, or `ready`.
    #[must_use]
    pub fn describe(&self, now: Duration) -> String {
        let ago = |since: Duration| seconds(now.saturating_sub(since));
        let mut out = String::new();
        if let Some((_, since)) = self.drain {
            let _ = writeln!(
                out,
                "draining for {}: asked to end; {} connection(s) open",
                ago(since),
                self.connections
            );
        }
        for Pending { gate, since, why } in self.gates.pending() {
            let _ = writeln!(out, "{gate}: pending for {}: {why}", ago(since));
        }
        if self.phase == Phase::Ready {
            out.push_str("ready\n");
        }
        out
    }

    /// Takes one event at a time counted from the start of the process.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        if self.phase == Phase::Stopped {
            return Vec::new();
        }
        let mut actions = Vec::new();
        match event {
            Event::Shut { gate, why } => self.gates.shut(gate, self.now, &why),
            Event::Open(gate) => {
                self.gates.open(&gate);
            }
            Event::Connections(count) => self.connections = count,
            // A second request to end finds the drain under way and leaves it its time: the
            // kubelet's SIGTERM may follow an application's own /quitquitquit.
            Event::End(drain) if self.drain.is_none() => {
                self.drain = Some((drain, self.now));
                actions.push(Action::BeginDrain);
                actions.push(Action::WakeAt(self.now.saturating_add(least(drain))));
            }
            Event::End(_) | Event::Tick => {}
            Event::EndNow => return self.stop(0),
            Event::Failed(_) => return self.stop(1),
        }
        if let Some((drain, since)) = self.drain {
            let over = self.now >= since.saturating_add(least(drain));
            let idle = matches!(drain, Drain::For(_)) || self.connections == 0;
            if over && idle {
                actions.extend(self.stop(0));
                return actions;
            }
        }
        actions.extend(self.settle());
        actions
    }

    /// Moves to the phase that gates and drain ask for.
    fn settle(&mut self) -> Option<Action> {
        let next = match (&self.drain, self.gates.all_open(), self.phase) {
            (Some(_), _, _) => Phase::Draining,
            (None, true, _) => Phase::Ready,
            (None, false, Phase::Ready | Phase::Unready) => Phase::Unready,
            (None, false, _) => Phase::Starting,
        };
        let before = std::mem::replace(&mut self.phase, next);
        match (before, next) {
            (Phase::Ready, Phase::Ready) => None,
            (_, Phase::Ready) => Some(Action::SayReady),
            (Phase::Ready, _) => Some(Action::SayUnready(self.describe(self.now))),
            _ => None,
        }
    }

    fn stop(&mut self, code: u8) -> Vec<Action> {
        self.phase = Phase::Stopped;
        vec![Action::Exit(code)]
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

fn least(drain: Drain) -> Duration {
    match drain {
        Drain::For(time) | Drain::UntilIdle(time) => time,
    }
}

/// A time for people: `0.8s`, `42.0s`.
fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

#[cfg(test)]
mod tests;
