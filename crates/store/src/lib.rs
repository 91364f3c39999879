//! Log stores asked over the network: a query of ours goes in, pages of entries come out.
//!
//! Knows how a store is asked and who may ask it; must not know what a line means, any rule, nor
//! the terminal. Pages are handed on as they came, for the readers of files.
//!
//! # Sources
//! `google.logging.v2.LoggingServiceV2.ListLogEntries` and its discovery document; "Logging query
//! language" and "Quotas and limits" of Google Cloud's documentation; Loki's HTTP API.

mod ask;
mod cloud;
mod error;
mod held;
mod http;
mod identity;
mod loki;
mod plan;
mod quota;
mod run;

pub use ask::{Ask, Except, Place, What, Window};
pub use cloud::{CloudLogging, Clues, Names, NodeClue, Told, attributes};
pub use error::Trouble;
pub use held::{Held, HeldPod, Since};
pub use http::{Proxies, Web};
pub use identity::{Identity, IdentityError, Where};
pub use loki::{Labels, Loki};
pub use plan::{Seen, Wanted, first, second};
pub use run::{Asked, Bounds, Later, Page, Piece, Store, Watch, ask};
