//! What anybody who can reach a port may take of a server: a place among the connections, time to
//! read an answer, memory for a body. And how long a certificate is good.
//!
//! Knows neither sockets nor protocols, nor what is served.

mod budget;
mod patient;
mod places;
mod validity;

pub use budget::{Budget, GivenUp, Share};
pub use patient::Patient;
pub use places::{Overstayed, Place, Places, Request, Times};
pub use validity::Validity;
