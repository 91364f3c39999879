//! Traffic capture as a pure plan: settings in, decision for one packet out.
//!
//! [`settings`] reads what a user or an injector says (istio-init's arguments, pod annotations,
//! mesh configuration, Helm values) with Istio's precedence; [`Plan`] is the normalised outcome;
//! [`Plan::decide`] is the model of one packet's way, each answer with its reason;
//! [`Ruleset`] is the same plan as nftables rules, start gate included, with renderers to text.
//! Nothing here reads a file, a clock or a socket: what the host knows is handed in as [`Host`].

pub mod decide;
mod fixed;
pub mod plan;
pub mod ruleset;
pub mod settings;

pub use decide::{Decision, Direction, Packet, Protocol, Verdict};
pub use fixed::{
    DNS_PORT, INBOUND_PORT, OUTBOUND_PORT, PROXY_UID, TPROXY_OUTBOUND_MARK, TUNNEL_PORT,
};
pub use plan::{DnsCapture, Identity, Plan};
pub use ruleset::{Ruleset, RulesetError};
pub use settings::{Host, Settings, SettingsError};
