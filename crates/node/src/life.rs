//! One port's life in one pod and address family: events in, actions out.
//!
//! Every method is total: any event may come in any phase, and time may stand still. Who binds,
//! closes and looks is the caller; what is polled, and until when, is said here. A pod that runs is not
//! polled at all: its listener's end is heard. Nor is a stand-in that nobody uses, but for seldom: that
//! somebody waits is heard as well.

use std::time::Duration;

/// How often is looked while somebody waits. All looks are due at multiples of it, so that those at many
/// pods are made in one go.
pub const FAST: Duration = Duration::from_millis(10);
/// How often is looked whether an istio-validation that takes long is over.
pub const SLOW: Duration = Duration::from_millis(100);
/// How often is looked at a stand-in in which nobody waits: whoever comes is heard of at once. And where
/// the gate decides alone, for somebody who listens after all.
pub const REST: Duration = Duration::from_secs(1);
/// For how long a start is young.
pub const YOUNG: Duration = Duration::from_secs(30);
/// How long a stand-in that nobody uses waits for the proxy: so that a proxy which, against all
/// that was known, doesn't share its port comes up in the end.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Where a port is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// istio-validation is not over.
    Waiting,
    /// A stand-in is being bound.
    Binding,
    /// The stand-in listens.
    StoodIn,
    /// The proxy listens.
    Served,
    /// Nobody came within the deadline: the gate decides alone, until somebody listens.
    Expired,
    /// A stand-in can't be had here: the gate decides alone, until somebody listens.
    Unfit,
    /// The pod has gone.
    Gone,
}

impl Phase {
    /// The word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Binding => "binding",
            Self::StoodIn => "stood-in",
            Self::Served => "served",
            Self::Expired => "expired",
            Self::Unfit => "unfit",
            Self::Gone => "gone",
        }
    }
}

/// What a look at the port's listeners shows, the stand-in's own apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Somebody listens on the wildcard address, as the proxy's user: in the stand-in's group.
    pub proxy: bool,
    /// Somebody listens there who is in another group: connections can't be handed to them.
    pub elsewhere: bool,
    /// Somebody listens on one address alone, as istio-validation does.
    pub other: bool,
    /// Connections that wait in the stand-in's queue.
    pub queued: u32,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The stand-in listens.
    Stood,
    /// It can't be had, in words.
    Failed(String),
    /// Somebody looked.
    Looked(Look),
    /// A connection waits in the stand-in's queue.
    Waits,
    /// A listener of this port, not the stand-in, has ended; or some ends may have gone unheard.
    Ended,
    /// istio-validation has ended well.
    ValidationOver,
    /// The proxy's container ended without ever having listened beside the stand-in.
    ProxyFailed,
    /// The pod has gone.
    Gone,
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Bind a stand-in and send [`Event::Stood`] or [`Event::Failed`].
    StandIn,
    /// Close it.
    Close(Close),
    /// Say that a stand-in can't be had, in words.
    Tell(String),
}

/// Why a stand-in closes, with what waited in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The proxy listens: the kernel moves what waits to it.
    HandedOver {
        /// Connections.
        queued: u32,
        /// Since the first of them was seen.
        waited: Option<Duration>,
    },
    /// Nobody came within the deadline: what waits is reset.
    Expired {
        /// Connections.
        queued: u32,
    },
    /// The proxy listens in another group, or could not start: what waits is reset.
    Withdrawn {
        /// Connections.
        queued: u32,
    },
    /// The pod has gone.
    Gone,
}

/// The state of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    phase: Phase,
    deadline: Duration,
    now: Duration,
    /// Since when this phase lasts.
    since: Duration,
    look_at: Option<Duration>,
    /// When a connection was first seen to wait.
    held: Option<Duration>,
    queued: u32,
    /// Whether istio-validation was seen to listen.
    validation: bool,
}

/// How a port's life begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// No container of the pod has started.
    Fresh,
    /// As much, and istio-validation, which binds the port itself, comes first.
    Validation,
    /// The pod runs already, perhaps with its proxy.
    Running,
}

impl Life {
    /// A port at a time counted from any start; `deadline` counts from the first connection that
    /// waits, zero means never.
    #[must_use]
    pub fn new(now: Duration, deadline: Duration, begin: Begin) -> (Self, Vec<Action>) {
        let mut life = Self {
            phase: if begin == Begin::Running { Phase::Served } else { Phase::Waiting },
            deadline,
            now,
            since: now,
            look_at: Some(now),
            held: None,
            queued: 0,
            validation: false,
        };
        let actions = if begin == Begin::Fresh { life.bind() } else { Vec::new() };
        (life, actions)
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When to look; `None` where nothing is polled.
    #[must_use]
    pub fn look_at(&self) -> Option<Duration> {
        self.look_at
    }

    /// Connections that wait, as of the last look.
    #[must_use]
    pub fn queued(&self) -> u32 {
        if self.phase == Phase::StoodIn { self.queued } else { 0 }
    }

    /// Whether the stand-in's queue is to be listened to: nobody was seen to wait in it yet.
    #[must_use]
    pub fn hears_of_waiting(&self) -> bool {
        self.phase == Phase::StoodIn && self.held.is_none()
    }

    /// For how long somebody has waited, as of the last event.
    #[must_use]
    pub fn waited(&self) -> Option<Duration> {
        self.held.map(|held| self.now.saturating_sub(held))
    }

    /// Somebody has waited for as long already, in a stand-in that was taken over.
    pub fn has_waited(&mut self, waited: Duration) {
        if self.phase == Phase::StoodIn {
            self.held = Some(self.now.saturating_sub(waited));
        }
    }

    /// Takes one event.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        if self.phase == Phase::Gone {
            return Vec::new();
        }
        match event {
            Event::Gone => {
                let open = self.phase == Phase::StoodIn;
                self.turn(Phase::Gone, None);
                if open { vec![Action::Close(Close::Gone)] } else { Vec::new() }
            }
            Event::Stood if self.phase == Phase::Binding => {
                self.turn(Phase::StoodIn, Some(self.now));
                Vec::new()
            }
            Event::Failed(why) if self.phase == Phase::Binding => {
                // A look tells whether it is the proxy that has the port.
                self.turn(Phase::Unfit, Some(self.now));
                vec![Action::Tell(why)]
            }
            Event::Looked(look) => self.looked(look),
            Event::Waits => {
                if self.hears_of_waiting() {
                    self.look_at = Some(self.now);
                }
                Vec::new()
            }
            Event::Ended => {
                self.ended();
                Vec::new()
            }
            Event::ValidationOver if self.phase == Phase::Waiting => self.bind(),
            Event::ProxyFailed if self.phase == Phase::StoodIn => {
                let queued = self.queued;
                self.turn(Phase::Unfit, Some(self.now.saturating_add(REST)));
                vec![
                    Action::Close(Close::Withdrawn { queued }),
                    Action::Tell("the proxy ended without having listened".to_owned()),
                ]
            }
            Event::Stood | Event::Failed(_) | Event::ValidationOver | Event::ProxyFailed => {
                Vec::new()
            }
        }
    }

    fn looked(&mut self, look: Look) -> Vec<Action> {
        let serves = look.proxy || look.elsewhere;
        match self.phase {
            Phase::StoodIn => self.looked_beside(look),
            Phase::Waiting if serves => {
                self.turn(Phase::Served, None);
                Vec::new()
            }
            Phase::Waiting if self.validation && !look.other => self.bind(),
            Phase::Waiting => {
                self.validation |= look.other;
                self.look_again();
                Vec::new()
            }
            // Whoever listens: their end will be heard.
            Phase::Served | Phase::Unfit | Phase::Expired if serves => {
                self.turn(Phase::Served, None);
                Vec::new()
            }
            Phase::Served if !look.other => self.bind(),
            Phase::Served => {
                self.look_at = None;
                Vec::new()
            }
            Phase::Unfit | Phase::Expired => {
                self.look_at = Some(self.now.saturating_add(REST));
                Vec::new()
            }
            Phase::Binding | Phase::Gone => Vec::new(),
        }
    }

    fn looked_beside(&mut self, look: Look) -> Vec<Action> {
        self.queued = look.queued;
        if look.queued > 0 {
            self.held.get_or_insert(self.now);
        }
        let (queued, held) = (look.queued, self.held);
        if look.proxy {
            let waited = held.map(|held| self.now.saturating_sub(held));
            self.turn(Phase::Served, None);
            return vec![Action::Close(Close::HandedOver { queued, waited })];
        }
        if look.elsewhere {
            self.turn(Phase::Served, None);
            return vec![Action::Close(Close::Withdrawn { queued })];
        }
        let over = |since: Duration, after: Duration| self.now.saturating_sub(since) >= after;
        let late = held.is_some_and(|held| !self.deadline.is_zero() && over(held, self.deadline));
        if late || (held.is_none() && over(self.since, PATIENCE)) {
            self.turn(Phase::Expired, Some(self.now.saturating_add(REST)));
            return vec![Action::Close(Close::Expired { queued })];
        }
        self.look_again();
        Vec::new()
    }

    /// A look decides. Connections that are reset in a closing listener's queue look like listeners
    /// to whoever is told of ends (`tcp_disconnect` takes their peer away), so that an end alone
    /// tells nothing where the stand-in itself has just closed.
    fn ended(&mut self) {
        match self.phase {
            Phase::Served | Phase::Waiting | Phase::StoodIn => self.look_at = Some(self.now),
            Phase::Expired | Phase::Unfit | Phase::Binding | Phase::Gone => {}
        }
    }

    fn bind(&mut self) -> Vec<Action> {
        self.turn(Phase::Binding, None);
        vec![Action::StandIn]
    }

    fn turn(&mut self, phase: Phase, look_at: Option<Duration>) {
        self.phase = phase;
        self.since = self.now;
        self.look_at = look_at;
        self.held = None;
        self.queued = 0;
    }

    fn look_again(&mut self) {
        let young = self.now.saturating_sub(self.since) < YOUNG;
        let pause = match (self.phase, young) {
            // istio-validation's listener may be there for as short a time.
            (Phase::Waiting, true) => FAST,
            _ if self.held.is_some() => FAST,
            (Phase::Waiting, false) => SLOW,
            _ => REST,
        };
        self.look_at = Some(together(self.now.saturating_add(pause)));
    }
}

/// The last multiple of [`FAST`] that is not later.
fn together(at: Duration) -> Duration {
    let beyond = at.as_nanos() % FAST.as_nanos();
    at.saturating_sub(Duration::from_nanos(u64::try_from(beyond).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
