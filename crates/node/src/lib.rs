//! What a node agent does about each pod's start, decided without touching anything.
//!
//! A *stand-in* is a socket that binds a capture port in a pod before the pod's proxy does, in the
//! proxy's reuseport group, and never accepts: early connections wait in its queue, and when it
//! closes the kernel hands them to the proxy (`net.ipv4.tcp_migrate_req`, Linux 5.14). Where that
//! is not known to be safe, the agent sets the start gate alone, which only drops refusals.
//!
//! [`decide()`] says which of the two a pod gets and why; [`life`] is one port's life, events in and
//! actions out, [`succession`] what one agent leaves to the next; [`cni`] and [`nri`] are the protocols by
//! which a runtime tells of pods, [`chain`] the plugin's place in its configuration; [`wire`] is what
//! plugin, agent and `sunup node status` say to each
//! other. No IO, no clock, no thread: the sockets are in `sunup-sys`, the agent in `sunup-agent`.

pub mod chain;
pub mod cni;
pub mod decide;
pub mod life;
pub mod mesh;
pub mod nri;
pub mod pod;
pub mod succession;
pub mod version;
pub mod wire;

pub use decide::{Decision, Host, Mode, Reason, decide};
pub use pod::Pod;
