//! What plugin, agent and `sunup node status` say to each other: one line of JSON each way.

use serde::{Deserialize, Serialize};

/// Bytes of a line, at most: a dump of every pod of a full node fits.
pub const LINE_MAX: usize = 4 << 20;

/// Which pod a runtime means.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// uid; empty where the runtime doesn't say it.
    #[serde(default)]
    pub uid: String,
}

/// An attachment that a runtime still has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Which sandbox's.
    #[serde(rename = "containerID")]
    pub sandbox: String,
}

/// What the agent is told or asked. With [`Request::Add`] goes the open namespace, as a descriptor:
/// the agent needs no path of the node for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase")]
pub enum Request {
    /// A pod's network is there.
    Add {
        /// The sandbox's id.
        sandbox: String,
        /// The pod.
        pod: Option<PodName>,
        /// Its addresses.
        #[serde(default)]
        addresses: Vec<String>,
    },
    /// It goes.
    Del {
        /// The sandbox's id.
        sandbox: String,
    },
    /// All that there are.
    Gc {
        /// Those.
        valid: Vec<Attachment>,
    },
    /// What does the agent do about each pod?
    Status,
    /// I am the next agent: tell me all when you end. Not answered before; see [`crate::succession`].
    Succeed,
    /// Does whoever owns the stand-ins answer? What a kubelet asks often; no pod is looked at.
    Alive,
}

/// The agent's answer to all but [`Request::Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What the pod got; empty where that is not the question.
    #[serde(default)]
    pub mode: String,
    /// Why, in words.
    #[serde(default)]
    pub why: String,
}

/// What the agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `sunup.node/v1`.
    pub schema: String,
    /// The agent's version.
    pub version: String,
    /// The node's kernel.
    pub kernel: String,
    /// Every pod that it knows, sorted.
    pub pods: Vec<PodStatus>,
}

/// What it says of one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodStatus {
    /// The pod.
    #[serde(flatten)]
    pub pod: PodName,
    /// `stand-in`, `gate` or `nothing`.
    pub mode: String,
    /// The word of the reason.
    pub reason: String,
    /// The reason in words.
    pub why: String,
    /// Ports that have, or had, a stand-in.
    pub ports: Vec<PortStatus>,
    /// Refusals that the gate has dropped.
    pub refusals_dropped: u64,
}

/// One port of a pod, in one address family.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortStatus {
    /// Number.
    pub port: u16,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// Where it is in its life.
    pub phase: String,
    /// Connections that wait now.
    pub held: u32,
    /// Connections that were handed over.
    pub handed_over: u64,
    /// Connections that were reset because nobody came.
    pub expired: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let pod = Some(PodName { namespace: "a".into(), name: "b".into(), uid: String::new() });
        for request in [
            Request::Add { sandbox: "f".into(), pod, addresses: vec!["10.0.0.1".into()] },
            Request::Add { sandbox: "f".into(), pod: None, addresses: Vec::new() },
            Request::Del { sandbox: "f".into() },
            Request::Gc { valid: vec![Attachment { sandbox: "f".into() }] },
            Request::Status,
            Request::Alive,
        ] {
            let line = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request, "{line}");
        }
    }
}
