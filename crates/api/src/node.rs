//! What the node's agent says of pods where others read it: its status, its event, the lines of its
//! log. Written and read here, so that whoever reads needs not know whoever writes.

use std::fmt;

/// The schema of `sunup node status --json`.
pub const STATUS: &str = "sunup.node/v1";
/// The reason of the agent's event on a pod for which no proxy came in time.
pub const EXPIRED: &str = "StartGateExpired";
/// The metric that counts pods, by `mode` and `reason`.
pub const PODS: &str = "sunup_gate_pods";
/// What a pod gets: an early connection waits in a listener before the proxy's.
pub const STAND_IN: &str = "stand-in";
/// What a pod gets: its refusals are dropped.
pub const GATE: &str = "gate";
/// What a pod gets: nothing.
pub const NOTHING: &str = "nothing";

/// How the words of [`Said::Expired`] begin, in a log and in an event.
const NOBODY: &str = "No proxy listened on port ";

/// A line of the agent's log that is about one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// What became of it.
    pub said: Said<'a>,
}

/// What is said of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// What it gets, and why.
    Gets {
        /// [`STAND_IN`], [`GATE`] or [`NOTHING`].
        mode: &'a str,
        /// In words.
        why: &'a str,
    },
    /// No proxy came in time: what waited was reset.
    Expired {
        /// The proxy's port.
        port: u16,
        /// Connections.
        connections: u64,
    },
}

impl<'a> Line<'a> {
    /// Reads a line, with or without what a terminal has in front of it.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("note: ").unwrap_or(text).strip_prefix("pod ")?;
        let (name, said) = text.split_once(": ")?;
        let (namespace, pod) = name.split_once('/')?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let label = |name: &str| !name.is_empty() && name.chars().all(fits);
        let said = Said::read(said)?;
        (label(namespace) && label(pod)).then_some(Self { namespace, pod, said })
    }
}

impl<'a> Said<'a> {
    /// Reads what stands behind a pod's name, or in an event.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix(NOBODY) {
            let (port, rest) = rest.split_once(" in time: ")?;
            let connections = rest.split(' ').next()?.parse().ok()?;
            return Some(Self::Expired { port: port.parse().ok()?, connections });
        }
        let (mode, why) = text.split_once(": ")?;
        [STAND_IN, GATE, NOTHING].contains(&mode).then_some(Self::Gets { mode, why })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}/{}: {}", self.namespace, self.pod, self.said)
    }
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gets { mode, why } => write!(f, "{mode}: {why}"),
            Self::Expired { port, connections } => write!(
                f,
                "{NOBODY}{port} in time: {connections} connection(s) that waited for it were reset"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let why = "the proxy shares its port (the image's tag: 1.24)";
        for said in [
            Said::Gets { mode: STAND_IN, why },
            Said::Gets { mode: GATE, why: "TPROXY: packets are handed to a transparent socket" },
            Said::Expired { port: 15001, connections: 3 },
        ] {
            let line = Line { namespace: "shop", pod: "cart-7f-x2", said };
            let text = line.to_string();
            assert_eq!(Line::read(&text), Some(line), "{text}");
            assert_eq!(Line::read(&format!("note: {text}\n")), Some(line));
            assert_eq!(Said::read(&said.to_string()), Some(said));
        }
    }

    #[test]
    fn what_others_write_is_none_of_it() {
        for text in [
            "pod shop/cart: evicted: the node was low on memory",
            "pod shop/cart is gate: closed",
            "pod cart: gate: why",
            "pod Shop/cart: gate: why",
            "pod shop/cart: No proxy listened on port x in time: 3 connections",
            "No proxy listened on port 15001 in time",
            "",
        ] {
            assert_eq!(Line::read(text), None, "{text}");
        }
    }
}
