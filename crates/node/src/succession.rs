//! What an agent that ends leaves to its successor, a line each, in this order: the socket by which
//! plugins call, every pod, the end. With a line go descriptors, of which the line says which they are.
//! The successor answers each line with an empty one; a pod whose line was not answered stays with the
//! agent that ends.

use serde::{Deserialize, Serialize};

use crate::pod::Pod;
use crate::version::Known;
use crate::wire::PodName;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "left", rename_all = "lowercase")]
pub enum Left {
    /// With it goes the listening socket: calls that wait in its queue are the successor's.
    Socket {
        /// What is known of proxies' versions, so that the successor decides as its predecessor did.
        known: Known,
    },
    /// With it go the pod's network namespace and, in the order of `ports`, its stand-ins.
    Pod(Box<LeftPod>),
    /// That was all.
    End,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftPod {
    /// Which.
    pub name: PodName,
    /// Its sandbox; empty where no plugin told of it.
    pub sandbox: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// As the API server told of it, if it did.
    pub object: Option<Pod>,
    /// Its ports, in each family.
    pub ports: Vec<LeftPort>,
}

/// A port in one family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftPort {
    /// Number.
    pub port: u16,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// Whether a stand-in goes with it.
    pub stand_in: bool,
    /// Whether istio-validation is not over.
    pub before_validation: bool,
    /// For how long somebody has waited, in milliseconds.
    pub waited_ms: Option<u64>,
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
        let object = serde_json::json!({"metadata": {"name": "a", "uid": "1"}, "spec": {
            "hostUsers": false, "containers": [{"name": "c", "securityContext": {"runAsUser": 7}}]},
            "status": {"podIPs": [{"ip": "10.0.0.1"}]}});
        let object = Pod::read(&object).unwrap();
        assert_eq!(object.spec.containers[0].security_context.run_as_user, Some(7));
        let ports = vec![LeftPort { port: 15001, waited_ms: Some(3), ..LeftPort::default() }];
        let pod = LeftPod { object: Some(object), ports, ..LeftPod::default() };
        let known = Known { asserted: vec!["x/".into()], ..Known::default() };
        for left in [Left::Socket { known }, Left::Pod(Box::new(pod)), Left::End] {
            let line = serde_json::to_string(&left).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Left>(&line).unwrap(), left, "{line}");
        }
    }
}
