//! The rules, one file each. A rule judges one workload from frozen evidence and knows no other.
//!
//! `cargo xtask new-rule ID` writes a rule's files and its two lines here.

mod address_family_missing;
mod app_before_proxy;
mod configuration_rejected;
mod control_plane_unreachable;
mod gateway_listener_skipped;
mod gateway_port_mismatch;
pub(crate) mod gateway_privileged_port;
mod hold_not_effective;
mod hold_timed_out;
mod hold_with_job;
mod identity_rejected;
pub(crate) mod init_before_proxy;
mod injection_webhook_no_endpoints;
mod injection_webhook_unreachable;
mod injection_webhook_untrusted;
mod job_never_completes;
mod metadata_server_before_proxy;
mod native_sidecar_not_terminating;
mod node_limits_exhausted;
mod port_taken;
mod probe_not_rewritten;
mod proxy_exited_for_good;
mod proxy_exits_before_app;
mod proxy_image_unavailable;
mod proxy_out_of_memory;
mod proxy_restarted_by_startup_probe;
mod readiness_endpoint_wrong;
mod ready_without_endpoints;
mod request_before_app;
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
    &gateway_port_mismatch::GatewayPortMismatch,
    &gateway_privileged_port::GatewayPrivilegedPort,
    &hold_not_effective::HoldNotEffective,
    &hold_timed_out::HoldTimedOut,
    &hold_with_job::HoldWithJob,
    &identity_rejected::IdentityRejected,
    &init_before_proxy::InitBeforeProxy,
    &injection_webhook_no_endpoints::InjectionWebhookNoEndpoints,
    &injection_webhook_unreachable::InjectionWebhookUnreachable,
    &injection_webhook_untrusted::InjectionWebhookUntrusted,
    &job_never_completes::JobNeverCompletes,
    &metadata_server_before_proxy::MetadataServerBeforeProxy,
    &native_sidecar_not_terminating::NativeSidecarNotTerminating,
    &node_limits_exhausted::NodeLimitsExhausted,
    &port_taken::PortTaken,
    &probe_not_rewritten::ProbeNotRewritten,
    &proxy_exited_for_good::ProxyExitedForGood,
    &proxy_exits_before_app::ProxyExitsBeforeApp,
    &proxy_image_unavailable::ProxyImageUnavailable,
    &proxy_out_of_memory::ProxyOutOfMemory,
    &proxy_restarted_by_startup_probe::ProxyRestartedByStartupProbe,
    &readiness_endpoint_wrong::ReadinessEndpointWrong,
    &ready_without_endpoints::ReadyWithoutEndpoints,
    &request_before_app::RequestBeforeApp,
    &start_gate_expired::StartGateExpired,
    &unused_ignore::UnusedIgnore,
];

/// Ids that were in use once: they are never given to another rule.
pub const RETIRED: &[&str] = &[];

/// What the rules are, sorted by id.
pub fn rules() -> impl ExactSizeIterator<Item = &'static Meta> {
    RULES.iter().map(|rule| rule.meta())
}
