//! Names and types that Sunup's users see: ports, labels, annotations, the report; and how what
//! others wrote is shown and quoted.
//!
//! No IO, no Kubernetes client, no runtime: every other crate may depend on this one.

pub mod annotation;
pub mod causes;
pub mod container;
pub mod label;
pub mod link;
pub mod node;
pub mod port;
pub mod report;
pub mod shell;
pub mod show;
