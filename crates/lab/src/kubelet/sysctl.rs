//! Sysctls of a pod: which a kubelet admits, and setting them in the pod's network.
//!
//! # Sources
//! Kubernetes documentation, "Using sysctls in a Kubernetes Cluster" (the safe set);
//! `pkg/kubelet/sysctl/allowlist.go`.

use anyhow::Context as _;

use crate::manifest::Pod;

/// The safe set, as of Kubernetes 1.33.
const SAFE: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Whether the kubelet takes the pod; else its words.
pub(super) fn admit(pod: &Pod) -> Result<(), String> {
    for sysctl in &pod.spec.security_context.sysctls {
        let name = sysctl.name.replace('/', ".");
        if pod.spec.host_network && name.starts_with("net.") {
            return Err(format!("forbidden sysctl: \"{name}\" not allowed with host net enabled"));
        }
        if !SAFE.contains(&name.as_str()) {
            return Err(format!("forbidden sysctl: \"{name}\" not allowlisted"));
        }
    }
    Ok(())
}

/// Sets them in the calling thread's network. Those of IPC are each container's own here and are
/// left as they are.
pub(super) fn set(pod: &Pod) -> anyhow::Result<()> {
    for sysctl in &pod.spec.security_context.sysctls {
        let name = sysctl.name.replace('.', "/");
        if name.starts_with("net/") {
            std::fs::write(format!("/proc/sys/{name}"), &sysctl.value)
                .with_context(|| format!("setting {}={}", sysctl.name, sysctl.value))?;
        }
    }
    Ok(())
}
