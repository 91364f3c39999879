//! When a pod's start is looked into while it happens, and what is told of what was found.
//!
//! Pods and Warning events go in as they are heard of, with the time; out come [`Look`]s, each one
//! pod or owner of which evidence is to be collected at once. What a judgement says of it goes in
//! again, and what is new in it comes out to be told. A thousand replicas that fail alike, and each of
//! their restarts, are one trouble; looks, and what is told of a workload, have their rates.
//!
//! [`pod`] is what is read of a pod's object, [`trouble`] what is wrong with it at a glance,
//! [`watch`] the whole, [`metrics`] what Prometheus reads of it. No IO, no clock, no thread; it judges nothing itself.

mod agenda;
mod group;
pub mod metrics;
pub mod pod;
mod rate;
mod starts;
mod story;
pub mod trouble;
pub mod watch;

pub use pod::{Mode, Owner, Pod};
pub use rate::Rate;
pub use trouble::{Trouble, Warning};
pub use watch::{At, Counts, Judged, Look, Outcome, Settings, Watch};
