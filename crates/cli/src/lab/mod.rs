//! Scenarios played in a lab and judged: what `sunup lab` and `sunup demo` both do.

mod agent;
pub(crate) mod judge;
pub(crate) mod machine;
pub(crate) mod play;
pub(crate) mod pods;
pub(crate) mod times;
