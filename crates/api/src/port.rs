//! The fixed ports of a mesh pod, as Istio numbers them.
//!
//! # Sources
//! <https://istio.io/latest/docs/ops/deployment/application-requirements/#ports-used-by-istio>

/// Envoy's admin interface. Up before the data path works: never wait on it.
pub const ADMIN: u16 = 15000;
/// Outbound capture.
pub const OUTBOUND: u16 = 15001;
/// Inbound capture.
pub const INBOUND: u16 = 15006;
/// HBONE tunnel.
pub const TUNNEL: u16 = 15008;
/// Probes and metrics of the admission webhook, and of the node agent.
pub const WEBHOOK_HEALTH: u16 = 15014;
/// The admission webhook.
pub const WEBHOOK: u16 = 15017;
/// The agent's status endpoint: `/healthz/ready`, rewritten probes, `/quitquitquit`.
pub const AGENT: u16 = 15020;
/// Readiness for the kubelet.
pub const READINESS: u16 = 15021;
/// DNS capture.
pub const DNS: u16 = 15053;
/// The proxy's own Prometheus metrics.
pub const METRICS: u16 = 15090;
/// The lowest port that a process without `CAP_NET_BIND_SERVICE` may bind unless
/// `net.ipv4.ip_unprivileged_port_start` says otherwise (kernel default).
pub const UNPRIVILEGED_START: u16 = 1024;
