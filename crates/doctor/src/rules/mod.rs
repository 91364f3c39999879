//! The rules, one file each. A rule judges one workload from frozen evidence and knows no other.
//!
//! `cargo xtask new-rule ID` writes a rule's files and its two lines here.

mod address_family_missing;
mod ambient_probe_blocked;
mod annotation_misplaced;
mod annotation_unknown;
mod app_before_proxy;
mod app_listens_on_loopback;
mod app_runs_as_proxy_uid;
mod capture_lock_contention;
mod capture_not_permitted;
mod capture_run_twice;
mod cni_not_ready;
mod cni_plugin_missing;
mod cni_unauthorized;
mod configuration_rejected;
mod control_plane_unreachable;
mod exclude_range_not_cidr;
mod gateway_listener_skipped;
mod gateway_not_injected;
mod gateway_port_mismatch;
mod gateway_privileged_port;
mod hold_not_effective;
mod hold_timed_out;
mod hold_with_job;
mod identity_rejected;
mod init_before_dns_proxy;
mod init_before_proxy;
mod init_capabilities_forbidden;
mod init_outside_mesh;
mod injected_pod_invalid;
mod injected_twice;
mod injection_rejected;
mod injection_webhook_no_endpoints;
mod injection_webhook_unreachable;
mod injection_webhook_untrusted;
mod job_never_completes;
mod linkerd_not_captured;
mod mesh_container_not_created;
mod metadata_server_before_proxy;
mod native_sidecar_not_terminating;
mod native_sidecar_stripped;
mod network_attachment_missing;
mod node_limits_exhausted;
mod port_taken;
mod probe_not_rewritten;
mod probe_unknown_to_agent;
mod proxy_cannot_run_on_node;
mod proxy_exited_for_good;
mod proxy_exits_before_app;
mod proxy_image_unavailable;
mod proxy_out_of_memory;
mod proxy_resources_over_quota;
mod proxy_restarted_by_startup_probe;
mod readiness_endpoint_wrong;
mod ready_without_endpoints;
mod request_before_app;
mod root_certificate_missing;
mod start_gate_expired;
mod sysctl_forbidden;
mod sysctl_unknown_to_kernel;
mod token_volume_missing;
mod unused_ignore;
mod webhook_order_fragile;
mod webhook_server_in_mesh;
mod workload_not_injected;
mod ztunnel_not_connected;

pub(crate) use unused_ignore::unused;

use crate::judging::meta::Meta;
use crate::judging::rule::Rule;

/// Every rule, sorted by id.
pub(crate) static RULES: &[&dyn Rule] = &[
    &address_family_missing::AddressFamilyMissing,
    &ambient_probe_blocked::AmbientProbeBlocked,
    &annotation_misplaced::AnnotationMisplaced,
    &annotation_unknown::AnnotationUnknown,
    &app_before_proxy::AppBeforeProxy,
    &app_listens_on_loopback::AppListensOnLoopback,
    &app_runs_as_proxy_uid::AppRunsAsProxyUid,
    &capture_lock_contention::CaptureLockContention,
    &capture_not_permitted::CaptureNotPermitted,
    &capture_run_twice::CaptureRunTwice,
    &cni_not_ready::CniNotReady,
    &cni_plugin_missing::CniPluginMissing,
    &cni_unauthorized::CniUnauthorized,
    &configuration_rejected::ConfigurationRejected,
    &control_plane_unreachable::ControlPlaneUnreachable,
    &exclude_range_not_cidr::ExcludeRangeNotCidr,
    &gateway_listener_skipped::GatewayListenerSkipped,
    &gateway_not_injected::GatewayNotInjected,
    &gateway_port_mismatch::GatewayPortMismatch,
    &gateway_privileged_port::GatewayPrivilegedPort,
    &hold_not_effective::HoldNotEffective,
    &hold_timed_out::HoldTimedOut,
    &hold_with_job::HoldWithJob,
    &identity_rejected::IdentityRejected,
    &init_before_dns_proxy::InitBeforeDnsProxy,
    &init_before_proxy::InitBeforeProxy,
    &init_capabilities_forbidden::InitCapabilitiesForbidden,
    &init_outside_mesh::InitOutsideMesh,
    &injected_pod_invalid::InjectedPodInvalid,
    &injected_twice::InjectedTwice,
    &injection_rejected::InjectionRejected,
    &injection_webhook_no_endpoints::InjectionWebhookNoEndpoints,
    &injection_webhook_unreachable::InjectionWebhookUnreachable,
    &injection_webhook_untrusted::InjectionWebhookUntrusted,
    &job_never_completes::JobNeverCompletes,
    &linkerd_not_captured::LinkerdNotCaptured,
    &mesh_container_not_created::MeshContainerNotCreated,
    &metadata_server_before_proxy::MetadataServerBeforeProxy,
    &native_sidecar_not_terminating::NativeSidecarNotTerminating,
    &native_sidecar_stripped::NativeSidecarStripped,
    &network_attachment_missing::NetworkAttachmentMissing,
    &node_limits_exhausted::NodeLimitsExhausted,
    &port_taken::PortTaken,
    &probe_not_rewritten::ProbeNotRewritten,
    &probe_unknown_to_agent::ProbeUnknownToAgent,
    &proxy_cannot_run_on_node::ProxyCannotRunOnNode,
    &proxy_exited_for_good::ProxyExitedForGood,
    &proxy_exits_before_app::ProxyExitsBeforeApp,
    &proxy_image_unavailable::ProxyImageUnavailable,
    &proxy_out_of_memory::ProxyOutOfMemory,
    &proxy_resources_over_quota::ProxyResourcesOverQuota,
    &proxy_restarted_by_startup_probe::ProxyRestartedByStartupProbe,
    &readiness_endpoint_wrong::ReadinessEndpointWrong,
    &ready_without_endpoints::ReadyWithoutEndpoints,
    &request_before_app::RequestBeforeApp,
    &root_certificate_missing::RootCertificateMissing,
    &start_gate_expired::StartGateExpired,
    &sysctl_forbidden::SysctlForbidden,
    &sysctl_unknown_to_kernel::SysctlUnknownToKernel,
    &token_volume_missing::TokenVolumeMissing,
    &unused_ignore::UnusedIgnore,
    &webhook_order_fragile::WebhookOrderFragile,
    &webhook_server_in_mesh::WebhookServerInMesh,
    &workload_not_injected::WorkloadNotInjected,
    &ztunnel_not_connected::ZtunnelNotConnected,
];

/// Ids that were in use once: they are never given to another rule.
pub const RETIRED: &[&str] = &[];

/// What the rules are, sorted by id.
pub fn rules() -> impl ExactSizeIterator<Item = &'static Meta> {
    RULES.iter().map(|rule| rule.meta())
}
