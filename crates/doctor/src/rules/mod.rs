//! The rules, one file each. A rule judges one workload from frozen evidence and knows no other.
//!
//! `cargo xtask new-rule ID` writes a rule's files and its two lines here.

mod address_family_missing;
mod app_before_proxy;
mod configuration_rejected;
mod control_plane_unreachable;
mod gateway_listener_skipped;
pub(crate) mod gateway_privileged_port;
mod identity_rejected;
pub(crate) mod init_before_proxy;
mod injection_webhook_no_endpoints;
mod injection_webhook_unreachable;
mod injection_webhook_untrusted;
mod node_limits_exhausted;
mod port_taken;
mod proxy_image_unavailable;
mod proxy_out_of_memory;
mod proxy_restarted_by_startup_probe;
mod start_gate_expired;
mod unused_ignore;

pub(crate) use unused_ignore::unused;

use crate::rule::{Meta, Rule};

/// Every rule, sorted by id.
pub(crate) static RULES: &[&dyn Rule] = &[
    &address_family_missing::AddressFamilyMissing,
    &app_before_proxy::AppBeforeProxy,
    &configuration_rejected::ConfigurationRejected,
    &control_plane_unreachable::ControlPlaneUnreachable,
    &gateway_listener_skipped::GatewayListenerSkipped,
    &gateway_privileged_port::GatewayPrivilegedPort,
    &identity_rejected::IdentityRejected,
    &init_before_proxy::InitBeforeProxy,
    &injection_webhook_no_endpoints::InjectionWebhookNoEndpoints,
    &injection_webhook_unreachable::InjectionWebhookUnreachable,
    &injection_webhook_untrusted::InjectionWebhookUntrusted,
    &node_limits_exhausted::NodeLimitsExhausted,
    &port_taken::PortTaken,
    &proxy_image_unavailable::ProxyImageUnavailable,
    &proxy_out_of_memory::ProxyOutOfMemory,
    &proxy_restarted_by_startup_probe::ProxyRestartedByStartupProbe,
    &start_gate_expired::StartGateExpired,
    &unused_ignore::UnusedIgnore,
];

/// Ids that were in use once: they are never given to another rule.
pub const RETIRED: &[&str] = &[];

/// What the rules are, sorted by id.
pub fn rules() -> impl ExactSizeIterator<Item = &'static Meta> {
    RULES.iter().map(|rule| rule.meta())
}
