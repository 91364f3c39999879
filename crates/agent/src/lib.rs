//! The node agent: what `sunup-node` decides, done with threads, sockets and files.
//!
//! [`Agent`] is one thread that owns every stand-in; [`serve`] is the socket by which the network
//! plugin and `sunup node status` reach it, [`plugin`] that plugin, [`place`] its place on the node.
//! It knows no cluster: pods are told to it, and what is worth an event is told back. Nothing here
//! prints.
#![cfg(target_os = "linux")]

mod agent;
pub mod find;
mod keep;
pub mod metrics;
pub mod place;
pub mod plugin;
pub mod scrape;
pub mod serve;
mod store;

pub use agent::{Agent, Hear, Settings};
pub use keep::Said;
pub use store::Pods;
