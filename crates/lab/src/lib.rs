//! Pods run as a kubelet runs them, in network namespaces; it links no proxy, it starts one.
//!
//! # A pod in, what happens to it out
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//! use sunup_lab::{Lab, Options, Record, Steps, manifest::Pod};
//!
//! # fn example(options: Options, object: serde_json::Value) -> anyhow::Result<()> {
//! let lab = Lab::start(options)?;
//! let record = Record::new(); // or a `Recorder` of your own
//! let pod = lab.run(Pod::read(object)?, Steps::default(), record.clone())?;
//! pod.wait(Duration::from_secs(60), |status| status.is_ready());
//! pod.delete(None); // as `kubectl delete pod`; `Some(0)` without grace
//! pod.join();
//! # Ok(())
//! # }
//! ```
//! [`Recorder`] hears each change of status, each event and each line of a log when it happens;
//! [`Lab::apply`] takes Services, ConfigMaps and Secrets before the pods that need them.
//!
//! # What a process needs to be a lab
//! It must be able to make network namespaces: be root with `CAP_SYS_ADMIN`, or root of a user
//! namespace. [`enter`] starts this program again as such, in a pid namespace of its own, so that
//! whatever ends it ends everything it started; its network stays the one it had, so that it can
//! still reach an API server. The node and the pods have networks of their own, entered by
//! threads.
//!
//! # What is not as in a cluster
//! An image is a program of this machine ([`Images`]); containers see its files read-only. There
//! are no limits on CPU and memory. Where only one user id exists, `runAsUser` has no effect, and
//! uid 1337 is told from others by a socket mark; [`Lab::any_user`] says so. A Service leads to
//! its first ready pod.
#![cfg(target_os = "linux")]

mod dns;
mod enter;
pub mod export;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod image;
mod inside;
mod kubelet;
pub mod manifest;
mod node;
pub mod parts;
mod prepare;
mod process;
mod record;
pub mod scenario;
pub mod webhook;

use std::net::Ipv4Addr;
use std::sync::Arc;

pub use enter::{Enter, enter, is_inside};
pub use image::{Image, Images};
pub use inside::become_container;
pub use kubelet::{
    BackOffTimes, Condition, ContainerStatus, Phase, PodHandle, PodIp, PodStatus, Run, State,
    Steps, Terminated, Time, Waiting,
};
pub use node::{NODE_NAME, Options, Plugin, Random};
pub use process::{Exit, Stream};
pub use record::{Event, Line, PodRecord, Record, Recorder};

use manifest::{Object, Pod};

/// A new unique id for an object.
#[must_use]
pub fn new_uid(lab: &Lab) -> String {
    lab.node.uid()
}

/// A node on which pods run.
#[derive(Debug, Clone)]
pub struct Lab {
    node: Arc<node::Node>,
}

impl Lab {
    /// Makes the node's network, with a DNS server.
    ///
    /// # Errors
    /// No privilege to make network namespaces.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        Ok(Self { node: Arc::new(node::Node::start(options)?) })
    }

    /// Whether processes can be any user. If not, all have the lab's own, and the mesh's proxy is
    /// known by a socket mark.
    #[must_use]
    pub fn any_user(&self) -> bool {
        self.node.any_user
    }

    /// Takes a Service, ConfigMap, Secret, or an object without effect.
    ///
    /// # Errors
    /// The kernel can't forward a Service's connections; or it is a pod.
    pub fn apply(&self, object: Object) -> anyhow::Result<()> {
        self.node.apply(object)
    }

    /// Services and other objects, as a cluster would show them.
    #[must_use]
    pub fn objects(&self) -> Vec<serde_json::Value> {
        self.node.objects()
    }

    /// Gives an address outside of the cluster a name.
    pub fn name(&self, name: &str, ip: Ipv4Addr) {
        self.node.name(name, ip);
    }

    /// Runs a pod, which lives until it is deleted.
    ///
    /// # Errors
    /// No thread can be started, or it has no name.
    pub fn run(
        &self,
        pod: Pod,
        steps: Steps,
        recorder: Arc<dyn Recorder>,
    ) -> anyhow::Result<PodHandle> {
        PodHandle::start(Arc::clone(&self.node), pod, steps, recorder)
    }

    /// A random number of this lab's seed.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.node.random()
    }
}
