//! A pod's start as data: lanes, what was so from when to when, and what happened when.

use jiff::Timestamp;
use sunup_api::report::{Subject, TimelineEntry};
use sunup_evidence::time::Known;

/// One pod's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The workload, with this one pod; none where nothing names it.
    pub subject: Subject,
    /// Capture, init containers, the proxy, applications: in the order in which they begin.
    pub lanes: Vec<Lane>,
    /// The same as a list, in order.
    pub points: Vec<TimelineEntry>,
}

/// What one container (or the redirect) did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The container's name.
    pub name: String,
    /// What it is to the pod.
    pub role: Role,
    /// When it was in which state.
    pub spans: Vec<Span>,
    /// What happened at an instant.
    pub ticks: Vec<Tick>,
}

/// What a lane is to the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Events that name no container.
    Pod,
    /// The redirect of its traffic.
    Capture,
    /// An init container.
    Init,
    /// `istio-proxy`.
    Proxy,
    /// Any other container.
    Application,
}

/// A state and how long it lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which state.
    pub state: State,
    /// Since when; `None` where nothing says.
    pub from: Option<Known>,
    /// Until when.
    pub to: End,
    /// In words, such as `exit code 1`; may be empty.
    pub note: String,
}

/// How a span ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By this.
    At(Known),
    /// It had not ended when the evidence was taken.
    Open,
    /// Nothing says.
    Unknown,
}

/// A state of a container or of the redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Traffic is redirected.
    Redirecting,
    /// A container runs.
    Running,
    /// A container ran, and failed.
    Failed,
    /// The proxy runs and is not ready.
    NotReady,
    /// The proxy is ready.
    Ready,
}

/// Something at an instant, or over and over until another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// What kind.
    pub kind: TickKind,
    /// When, and where it says so.
    pub at: Known,
    /// The last time, where it was said more than once.
    pub until: Option<Timestamp>,
    /// How often.
    pub count: u64,
    /// The telling text.
    pub text: String,
}

/// Kinds of ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TickKind {
    /// A connection was refused, or a port could not be bound.
    Error,
    /// A reset, a timeout, a name that was not found.
    Symptom,
    /// A probe failed, or the proxy said that it is not ready.
    Unready,
    /// An event of type Warning.
    Warning,
}

impl Story {
    /// Every instant that is known, in no order.
    pub(crate) fn instants(&self) -> Vec<Timestamp> {
        let mut all = Vec::new();
        for lane in &self.lanes {
            for span in &lane.spans {
                let to = match &span.to {
                    End::At(known) => Some(known),
                    End::Open | End::Unknown => None,
                };
                for known in span.from.iter().chain(to) {
                    all.extend(known.lo.into_iter().chain(known.hi));
                }
            }
            for tick in &lane.ticks {
                all.extend(tick.at.lo.or(tick.at.hi).into_iter().chain(tick.until));
            }
        }
        all
    }
}
