//! One diagnosis: every rule over every pod and workload, then what was ignored and what follows
//! from what. The list of rules is handed down from here: nothing below knows which there are.

mod consequences;
pub(crate) mod engine;
mod entries;
mod gone;
mod ignored;
mod merged;
