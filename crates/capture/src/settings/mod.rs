//! What capture is asked to do: typed settings, each checked, none guessed silently.
//!
//! [`Config`] is the raw form (Istio's own field names, values as people type them);
//! [`Config::resolve`] turns it into [`Settings`]. Errors name the argument, annotation or field
//! that the bad value came from.

mod args;
mod checked;
mod config;
mod error;
mod host;
mod injection;
mod parse;

pub use args::{FLAGS, Flag, FlagKind, Invocation};
pub use checked::{DnsServers, Group, Include, Mode, OwnerGroups, PortRange, Settings, StartGate};
pub use config::Config;
pub use error::SettingsError;
pub use host::Host;
pub use injection::Injection;
pub use parse::parse_duration;
