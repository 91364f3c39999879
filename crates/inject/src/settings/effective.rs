//! Everything that holds for all pods, and what follows from it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::options::{NativeSidecars, Options, ProxyKind};
use crate::decide::Policy;
use crate::value::{at, scalar, text_at, truth};

/// Everything that holds for all pods.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Helm values, defaults included.
    pub values: Value,
    /// MeshConfig, defaults included.
    pub mesh: Value,
    /// Who is injected.
    pub policy: Policy,
    /// Source of each injection template.
    pub templates: BTreeMap<String, String>,
    /// Templates of a pod that names none.
    pub default_templates: Vec<String>,
    /// Names that stand for several templates.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// Annotations that every injected pod gets.
    pub injected_annotations: BTreeMap<String, String>,
    /// The caller's choices.
    pub options: Options,
}

/// The first Kubernetes whose kubelets run native sidecars unasked (beta, on by default).
pub(crate) const NATIVE_SINCE: (u32, u32) = (1, 29);
/// The first Kubernetes on which Istio's `auto` uses them (stable).
const NATIVE_SINCE_ISTIO: (u32, u32) = (1, 33);

impl Settings {
    /// Whether the sidecar is a native one where the pod doesn't say.
    #[must_use]
    pub fn native_by_default(&self) -> bool {
        let since = if self.own_way() { NATIVE_SINCE } else { NATIVE_SINCE_ISTIO };
        match self.options.native {
            NativeSidecars::Always => true,
            NativeSidecars::Never => false,
            // Not known: a classic sidecar starts everywhere, a native one doesn't.
            NativeSidecars::Auto => self.options.kubernetes.is_some_and(|v| v >= since),
        }
    }

    /// Sunup's proxy, and Sunup's way where Istio's has a trap.
    #[must_use]
    pub fn own_way(&self) -> bool {
        self.options.proxy == ProxyKind::Sunup && !self.options.istio_compat
    }

    pub(crate) fn revision(&self) -> &str {
        &self.policy.revision
    }

    /// A Helm value as Go prints it; empty where there is none.
    pub(crate) fn helm(&self, path: &[&str]) -> String {
        at(&self.values, path).and_then(scalar).map(|s| s.into_owned()).unwrap_or_default()
    }

    /// A Helm value as Go's templates judge it: set, and not zero, false or empty.
    pub(crate) fn helm_truth(&self, path: &[&str]) -> bool {
        at(&self.values, path).is_some_and(truth)
    }

    pub(crate) fn trust_domain(&self) -> &str {
        text_at(&self.mesh, &["trustDomain"])
            .filter(|t| !t.is_empty())
            .or_else(|| text_at(&self.values, &["global", "trustDomain"]))
            .unwrap_or_default()
    }

    /// A port of the MeshConfig.
    pub(crate) fn mesh_port(&self, key: &str, default: u16) -> u64 {
        at(&self.mesh, &[key])
            .and_then(Value::as_u64)
            .filter(|p| *p != 0)
            .unwrap_or(u64::from(default))
    }

    pub(crate) fn prometheus_merge(&self) -> bool {
        at(&self.mesh, &["enablePrometheusMerge"]).and_then(Value::as_bool).unwrap_or(true)
    }

    pub(crate) fn inbound_localhost(&self) -> bool {
        text_at(&self.mesh, &["inboundTrafficPolicy", "mode"]) == Some("LOCALHOST")
    }
}
