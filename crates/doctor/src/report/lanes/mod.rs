//! What is known of each pod's start, as lanes: who ran when, what failed when, and how well each
//! instant is known. Data for a drawing; knows no format and no rule.

mod build;
mod story;
#[cfg(test)]
mod tests;

pub use build::stories;
pub use story::{End, Lane, Role, Span, State, Story, Tick, TickKind};
