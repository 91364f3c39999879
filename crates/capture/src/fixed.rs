//! Numbers that capture and proxy have agreed on, as Istio has them.

pub use sunup_api::port::{
    DNS as DNS_PORT, INBOUND as INBOUND_PORT, OUTBOUND as OUTBOUND_PORT, TUNNEL as TUNNEL_PORT,
};

/// Packet mark Istio gives the proxy's own connections back into the pod in TPROXY mode.
pub const TPROXY_OUTBOUND_MARK: u32 = 1338;
/// The uid and gid of the proxy unless settings say otherwise.
pub const PROXY_UID: u32 = 1337;
