//! Facts about pods, taken from what people already have, and their timelines.
//!
//! Readers (in `sunup-intake`) turn bytes into [`record`]s and [`object`]s; this crate says what a
//! line means and folds everything into a frozen picture. It knows no file, no clock and no rule.

pub mod collect;
pub mod line;
pub mod object;
pub mod record;
pub mod refused;
pub mod scope;
