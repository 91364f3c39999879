//! Traffic capture as a pure plan: settings in, decision for one packet out.
//!
//! [`settings`] reads what a user or an injector says (istio-init's arguments, pod annotations,
//! mesh configuration, Helm values) with Istio's precedence; [`Plan`] is the normalised outcome;
//! [`Plan::decide`] is the model of one packet's way, each answer with its reason.
//! Nothing here reads a file, a clock or a socket: what the host knows is handed in as [`Host`].

pub mod decide;
pub mod plan;
pub mod ruleset;
pub mod settings;

pub use decide::{Decision, Direction, Packet, Protocol, Verdict};
pub use plan::{DnsCapture, Identity, Plan};
pub use ruleset::{Ruleset, RulesetError};
pub use settings::{Host, Settings, SettingsError};

/// Port that outbound connections are sent to unless settings say otherwise.
pub const OUTBOUND_PORT: u16 = 15001;
/// Port that inbound connections are sent to unless settings say otherwise.
pub const INBOUND_PORT: u16 = 15006;
/// Tunnel port, never redirected.
pub const TUNNEL_PORT: u16 = 15008;
/// Port that captured DNS goes to; Istio's agent fixes it.
pub const DNS_PORT: u16 = 15053;
/// Packet mark Istio gives the proxy's own connections back into the pod in TPROXY mode.
pub const TPROXY_OUTBOUND_MARK: u32 = 1338;
/// The uid and gid of the proxy unless settings say otherwise.
pub const PROXY_UID: u32 = 1337;
