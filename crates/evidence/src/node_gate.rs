//! What Sunup's agent on a node says of pods' early connections: in its status, its log and its
//! metrics. Knows neither files nor rules.

use jiff::Timestamp;
use serde::Deserialize;
use sunup_api::node::{self, Line, Said};

use crate::record::Place;

/// What a pod gets from the agent of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GateMode {
    /// Early connections wait in a listener before the proxy's.
    StandIn,
    /// Refusals are dropped, and the kernel tries again.
    Gate,
    /// Nothing.
    Nothing,
}

impl GateMode {
    /// By the agent's word for it.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word {
            node::STAND_IN => Some(Self::StandIn),
            node::GATE => Some(Self::Gate),
            node::NOTHING => Some(Self::Nothing),
            _ => None,
        }
    }
}

/// What an agent says of one pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeGate {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// When it said so.
    pub at: Option<Timestamp>,
    /// Where it was read.
    pub place: Place,
    /// Which of that name, where it says so.
    pub uid: Option<String>,
    /// What the pod gets, and why; `None` where it is told of something else.
    pub gets: Option<(GateMode, String)>,
    /// Connections that were handed over to the proxy, where it says so.
    pub handed_over: u64,
    /// Connections that were reset since no proxy came, with the port.
    pub expired: Option<(u16, u64)>,
}

/// How many pods of a node get what, by an agent's metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GateCount {
    /// Where it was read.
    pub place: Place,
    /// What they get.
    pub mode: GateMode,
    /// The word for why.
    pub reason: String,
    /// How many.
    pub pods: u64,
}

impl NodeGate {
    fn new(namespace: &str, pod: &str, place: Place) -> Self {
        Self {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            at: None,
            place,
            uid: None,
            gets: None,
            handed_over: 0,
            expired: None,
        }
    }

    /// A line of the agent's log.
    #[must_use]
    pub fn of_line(text: &str, at: Option<Timestamp>, place: Place) -> Option<Self> {
        let Line { namespace, pod, said } = Line::read(text)?;
        let (gets, expired) = match said {
            Said::Gets { mode, why } => (Some((GateMode::of(mode)?, why.to_owned())), None),
            Said::Expired { port, connections } => (None, Some((port, connections))),
        };
        Some(Self { at, gets, expired, ..Self::new(namespace, pod, place) })
    }

    /// A row of the status as a table: `shop/cart`, `stand-in`, `3, 1 reset`, `the proxy …`.
    #[must_use]
    pub fn of_row(
        pod: &str,
        mode: &str,
        handed_over: &str,
        why: &str,
        place: Place,
    ) -> Option<Self> {
        let (namespace, name) = pod.split_once('/')?;
        let gets = Some((GateMode::of(mode)?, why.to_owned()));
        let count = handed_over.split(',').next().and_then(|count| count.trim().parse().ok());
        let handed_over = count.unwrap_or_default();
        Some(Self { gets, handed_over, ..Self::new(namespace, name, place) })
    }

    /// The status as JSON, each pod at the line that `line` gives for its number; `None` where it is
    /// no such.
    #[must_use]
    pub fn of_status(json: &str, place: impl Fn(usize) -> Place) -> Option<Vec<Self>> {
        let status: Status = serde_json::from_str(json).ok()?;
        if status.schema != node::STATUS {
            return None;
        }
        let pods = status.pods.into_iter().enumerate();
        let known = pods.filter_map(|(number, pod)| {
            let expired = pod.ports.iter().find(|port| port.expired > 0);
            Some(Self {
                uid: Some(pod.uid).filter(|uid| !uid.is_empty()),
                gets: Some((GateMode::of(&pod.mode)?, pod.why)),
                handed_over: pod.ports.iter().map(|port| port.handed_over).sum(),
                expired: expired.map(|port| (port.port, port.expired)),
                ..Self::new(&pod.namespace, &pod.name, place(number))
            })
        });
        Some(known.collect())
    }
}

impl GateCount {
    /// A sample of the metric, as Prometheus reads it.
    #[must_use]
    pub fn of_sample(line: &str, place: Place) -> Option<Self> {
        let rest = line.trim().strip_prefix(node::PODS)?.strip_prefix('{')?;
        let (labels, count) = rest.split_once('}')?;
        let label = |name: &str| {
            let mut pairs = labels.split(',').filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"'))
        };
        let count = count.split_whitespace().next()?.parse::<f64>().ok()?;
        // Counts are small and whole; what is not is no count.
        let pods = (0.0..1e6).contains(&count).then_some(count as u64)?;
        let reason = label("reason")?.to_owned();
        Some(Self { place, mode: GateMode::of(label("mode")?)?, reason, pods })
    }
}

#[derive(Deserialize)]
struct Status {
    schema: String,
    #[serde(default)]
    pods: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    namespace: String,
    name: String,
    #[serde(default)]
    uid: String,
    mode: String,
    #[serde(default)]
    why: String,
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
struct Port {
    port: u16,
    #[serde(default)]
    handed_over: u64,
    #[serde(default)]
    expired: u64,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn place() -> Place {
        Place::new(&Arc::from("agent.txt"), 3)
    }

    #[test]
    fn the_same_is_read_of_a_line_a_row_and_a_status() {
        let why = "the proxy shares its port (its tag)";
        let line = format!("pod shop/cart: stand-in: {why}");
        let line = NodeGate::of_line(&line, None, place()).unwrap();
        let row = NodeGate::of_row("shop/cart", "stand-in", "3, 1 reset", why, place()).unwrap();
        let json = format!(
            r#"{{"schema": "sunup.node/v1", "pods": [{{"namespace": "shop", "name": "cart", "uid":
            "1c8f", "mode": "stand-in", "why": "{why}", "ports": [{{"port": 15001, "handed_over": 3,
            "expired": 1}}]}}, {{"namespace": "shop", "name": "odd", "mode": "of the future"}}]}}"#
        );
        let status = NodeGate::of_status(&json, |_| place()).unwrap();
        assert_eq!(line.gets, Some((GateMode::StandIn, why.to_owned())));
        assert_eq!(NodeGate { handed_over: 3, ..line.clone() }, row);
        let uid = Some("1c8f".to_owned());
        assert_eq!(status, [NodeGate { uid, expired: Some((15001, 1)), ..row }]);
        assert_eq!(NodeGate::of_status(r#"{"schema": "other", "pods": []}"#, |_| place()), None);
    }

    #[test]
    fn a_metric_counts_pods() {
        let line = r#"sunup_gate_pods{mode="gate",reason="proxy-version-unknown"} 3"#;
        let count = GateCount::of_sample(line, place()).unwrap();
        assert_eq!((count.mode, count.pods), (GateMode::Gate, 3));
        assert_eq!(count.reason, "proxy-version-unknown");
        for other in ["sunup_gate_held 3", r#"sunup_gate_pods{mode="gate"} 3"#, "# TYPE"] {
            assert_eq!(GateCount::of_sample(other, place()), None, "{other}");
        }
    }
}
