//! The proxy's own ports, and those that were chosen for it.

use serde::Serialize;
use sunup_api::port;

/// The ports that the proxy binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// Outbound capture.
    pub outbound: u16,
    /// Inbound capture.
    pub inbound: u16,
    /// Agent: probes, merged metrics, `/quitquitquit`.
    pub agent: u16,
    /// Readiness for the kubelet.
    pub readiness: u16,
    /// The proxy's own metrics.
    pub metrics: u16,
    /// DNS, UDP and TCP.
    pub dns: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            outbound: port::OUTBOUND,
            inbound: port::INBOUND,
            agent: port::AGENT,
            readiness: port::READINESS,
            metrics: port::METRICS,
            dns: port::DNS,
        }
    }
}

/// Ports that were chosen on the command line: these hold, whatever the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChosenPorts {
    /// Outbound capture.
    pub outbound: Option<u16>,
    /// Inbound capture.
    pub inbound: Option<u16>,
    /// Agent.
    pub agent: Option<u16>,
    /// Readiness for the kubelet.
    pub readiness: Option<u16>,
    /// The proxy's own metrics.
    pub metrics: Option<u16>,
    /// DNS.
    pub dns: Option<u16>,
}

impl ChosenPorts {
    /// These, and the others as they are there.
    pub(crate) fn over(&self, others: Ports) -> Ports {
        Ports {
            outbound: self.outbound.unwrap_or(others.outbound),
            inbound: self.inbound.unwrap_or(others.inbound),
            agent: self.agent.unwrap_or(others.agent),
            readiness: self.readiness.unwrap_or(others.readiness),
            metrics: self.metrics.unwrap_or(others.metrics),
            dns: self.dns.unwrap_or(others.dns),
        }
    }
}
