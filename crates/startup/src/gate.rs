//! Gates: what still stands between a proxy and *ready*, by name, and since when.
//!
//! Pure bookkeeping; who opens a gate is the caller's affair.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One thing that has to be in place before a new connection would be served.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// The capture and health sockets are bound.
    Listeners,
    /// A configuration was read and is in force.
    Configuration,
    /// The workers accept connections.
    Workers,
    /// The DNS proxy answers; only where DNS is captured.
    Dns,
    /// A gateway has read where connections go.
    Routes,
    /// A gateway serves this port, which a Service leads to.
    Port(u16),
    /// Somebody asked for traffic to go elsewhere, ahead of the end (`POST /drain`).
    Withdrawn,
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listeners => f.write_str("listeners"),
            Self::Configuration => f.write_str("configuration"),
            Self::Workers => f.write_str("workers"),
            Self::Dns => f.write_str("dns"),
            Self::Routes => f.write_str("routes"),
            Self::Port(port) => write!(f, "port {port}"),
            Self::Withdrawn => f.write_str("withdrawn"),
        }
    }
}

/// A gate that isn't open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Which one.
    pub gate: Gate,
    /// Since when, counted from the start of the process.
    pub since: Duration,
    /// What it waits for, in words.
    pub why: String,
}

/// The gates that are pending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates(BTreeMap<Gate, (Duration, String)>);

impl Gates {
    /// Shuts a gate. One that is shut already keeps its time and takes the newer reason.
    pub fn shut(&mut self, gate: Gate, now: Duration, why: &str) {
        self.0.entry(gate).or_insert_with(|| (now, String::new())).1 = why.to_owned();
    }

    /// Opens a gate; `false` where it was open.
    pub fn open(&mut self, gate: &Gate) -> bool {
        self.0.remove(gate).is_some()
    }

    /// Whether all are open.
    #[must_use]
    pub fn all_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are pending, in a fixed order.
    pub fn pending(&self) -> impl Iterator<Item = Pending> + '_ {
        self.0.iter().map(|(gate, (since, why))| Pending {
            gate: gate.clone(),
            since: *since,
            why: why.clone(),
        })
    }
}
