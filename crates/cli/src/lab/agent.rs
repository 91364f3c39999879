//! The node agent on the lab's node: told of pods by the lab's kubelet, as a runtime's network
//! plugins tell it on a node.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use sunup_agent::{Agent, Settings};
use sunup_api::container;
use sunup_lab::Plugin;
use sunup_node::{Host, Pod};

/// An agent of one lab.
#[derive(Debug)]
pub(crate) struct NodeAgent {
    agent: Arc<Agent>,
}

impl NodeAgent {
    /// Starts it, with a node's defaults.
    pub(crate) fn start() -> anyhow::Result<Arc<Self>> {
        let host = Host { kernel: sunup_sys::host::kernel(), ..Host::default() };
        let deadline = Duration::from_secs(60);
        let settings = Settings { proc: Path::new("/proc").to_owned(), deadline, host };
        let agent = Agent::start(settings, Box::new(|_| ())).context("starting the node agent")?;
        Ok(Arc::new(Self { agent }))
    }

    /// Connections that were handed over so far.
    pub(crate) fn handed_over(&self) -> u64 {
        self.agent.counters().map_or(0, |counters| counters.handed_over)
    }
}

impl Plugin for NodeAgent {
    fn added(&self, pod: &Value, address: Ipv4Addr, network: File) {
        let Ok(mut pod) = Pod::read(pod) else { return };
        // Where there is a single user id, everybody has it, whatever a pod says.
        if !sunup_sys::host::uid_exists(container::PROXY_UID) {
            for proxy in pod.spec.containers.iter_mut().chain(&mut pod.spec.init_containers) {
                proxy.security_context.run_as_user = Some(0);
            }
        }
        let name = pod.name();
        let sandbox = name.uid.clone();
        self.agent.pod(pod);
        // A pod comes up without it, as on a node.
        let _ = self.agent.add(&sandbox, name, vec![address.to_string()], network);
    }

    fn gone(&self, uid: &str) {
        self.agent.pod_gone(uid);
    }
}
