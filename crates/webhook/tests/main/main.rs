//! The server on real sockets: what strangers may take of it, and when it says that it is ready.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod floods;
mod ready;
mod strangers;
mod world;
