//! What an agent tells whoever listens to it: lines of a log, events, counts.

use std::time::Duration;

use sunup_node::Mode;
use sunup_node::wire::PodName;

/// Something that somebody should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What a pod got, and why: a line of the log.
    Armed {
        /// The pod.
        pod: PodName,
        /// `stand-in`, `gate` or `nothing`.
        mode: Mode,
        /// In words.
        why: String,
    },
    /// The proxy listens; what waited is its.
    HandedOver {
        /// The pod.
        pod: PodName,
        /// Port.
        port: u16,
        /// Connections.
        queued: u32,
        /// Since the first was seen to wait.
        waited: Option<Duration>,
    },
    /// Nobody came within the deadline; what waited was reset.
    Expired {
        /// The pod.
        pod: PodName,
        /// Port.
        port: u16,
        /// Connections.
        queued: u32,
    },
    /// Something could not be done.
    Trouble {
        /// The pod.
        pod: PodName,
        /// What, in words.
        what: String,
    },
}
