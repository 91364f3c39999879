//! The node agent: what `sunup-node` decides, done with threads, sockets and files.
//!
//! [`Agent`] is one thread that owns every stand-in; [`serve`] is the socket by which the network
//! plugin and `sunup node status` reach it, [`plugin`] that plugin, [`place`] its place on the node,
//! [`nri`] the other way in, [`succession`] what it leaves to the agent that comes after it. It knows no
//! cluster: pods are told to it, and what is worth an event is told back. Nothing here prints.
#![cfg(target_os = "linux")]

mod agent;
pub mod find;
mod keep;
mod lines;
pub mod metrics;
pub mod nri;
pub mod place;
pub mod plugin;
mod said;
pub mod scrape;
mod seen;
pub mod serve;
mod store;
pub mod succession;

pub use agent::{Agent, Hear, Settings};
pub use said::Said;
pub use store::Pods;
