//! Facts about pods, taken from what people already have, and their timelines.
//!
//! Readers (in `sunup-intake`) turn bytes into [`record`]s and [`object`]s; this crate says what a
//! line means and folds everything into a frozen picture. It knows no file, no clock and no rule.

pub mod access;
mod adopt;
pub mod collect;
pub mod control_plane;
pub mod decode;
pub mod gap;
pub mod identity;
mod json_path;
pub mod layout;
pub mod line;
pub mod listed;
pub mod log;
mod named;
mod names;
pub mod node_gate;
pub mod object;
pub mod owners;
mod phrases;
pub mod readiness;
pub mod record;
pub mod refused;
pub mod rejected;
mod room;
mod runs;
pub mod scope;
pub mod shape;
mod sign;
pub mod snapshot;
pub mod subject;
pub mod time;
pub mod timeline;
mod unresolved;
mod weight;
pub mod window;
