//! How a proxy starts, lives and ends, as a pure state machine: events in, actions out.
//!
//! It holds the one definition of *ready*: no gate is pending and nobody asked the proxy to end.
//! It knows no socket, no clock and no thread; the time of an event is handed in, counted from
//! the start of the process, so that a test can walk every order of events.

mod gate;
mod machine;

pub use gate::{Gate, Gates, Pending};
pub use machine::{Action, Drain, Event, Machine, Phase};
