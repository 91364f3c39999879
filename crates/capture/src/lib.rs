//! Traffic capture as a pure plan: settings in, decision for one packet out.
//!
//! [`settings`] reads what a user or an injector says (istio-init's arguments, pod annotations,
//! mesh configuration, Helm values) with Istio's precedence; [`Plan`] is the normalised outcome;
//! [`Plan::decide`] is the model of one packet's way, each answer with its reason;
//! [`Ruleset`] is the same plan as nftables rules, start gate included, with renderers to text.
//! Nothing here reads a file, a clock or a socket: what the host knows is handed in as [`Host`].

pub mod decide;
pub mod plan;
pub mod ruleset;
pub mod settings;

pub use decide::{Decision, Direction, Packet, Protocol, Verdict};
pub use plan::{DnsCapture, Identity, Plan};
pub use ruleset::{Ruleset, RulesetError};
pub use settings::{Host, Settings, SettingsError};

pub use sunup_api::port::{
    DNS as DNS_PORT, INBOUND as INBOUND_PORT, OUTBOUND as OUTBOUND_PORT, TUNNEL as TUNNEL_PORT,
};

/// Packet mark Istio gives the proxy's own connections back into the pod in TPROXY mode.
pub const TPROXY_OUTBOUND_MARK: u32 = 1338;
/// The uid and gid of the proxy unless settings say otherwise.
pub const PROXY_UID: u32 = 1337;
