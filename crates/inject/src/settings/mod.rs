//! Settings of the injector, from what a mesh has: Helm values, MeshConfig, IstioOperator files,
//! the ConfigMaps `istio` and `istio-sidecar-injector`. Read once, used for every pod.
//!
//! Knows no pods and reads no files: it is handed text.

mod defaults;
pub(crate) mod proxy_config;
mod sources;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::decide::Policy;
use crate::error::SettingsError;
use crate::value::{at, scalar, text_at};

pub use sources::Sources;

/// Which proxy is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyKind {
    /// Sunup's own.
    #[default]
    Sunup,
    /// Istio's (Envoy), with the mesh's own templates.
    Istio,
}

/// Whether the sidecar is a native one (an init container with `restartPolicy: Always`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NativeSidecars {
    /// By the version of Kubernetes.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the caller chooses, beside the mesh's settings.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The proxy.
    pub proxy: ProxyKind,
    /// Native sidecars.
    pub native: NativeSidecars,
    /// The oldest node's version of Kubernetes, `(1, 33)`.
    pub kubernetes: Option<(u32, u32)>,
    /// The control plane's revision; `None` takes the values' own.
    pub revision: Option<String>,
    /// For Sunup's proxy: Istio's way at the places where Sunup's differs on purpose.
    pub istio_compat: bool,
}

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
const NATIVE_SINCE: (u32, u32) = (1, 29);
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

/// What a Go template takes for true.
pub(crate) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(m) => !m.is_empty(),
    }
}

/// Parses `1.33`, `v1.33.2` or `1.33.4-gke.100` (as `kubectl version` prints it).
///
/// # Errors
/// Where there is no `MAJOR.MINOR` to read.
pub fn kubernetes_version(text: &str) -> Result<(u32, u32), SettingsError> {
    let digits = |s: &str| s.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok();
    let mut parts = text.trim().trim_start_matches(['v', 'V']).split('.');
    let version = (parts.next().and_then(digits), parts.next().and_then(digits));
    match version {
        (Some(major), Some(minor)) => Ok((major, minor)),
        _ => Err(SettingsError::Content {
            what: "the version of Kubernetes",
            why: format!("{text:?} is none; write it as 1.33 or v1.33.2"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_kubectl_prints_them() {
        for good in ["1.33", "v1.33.2", "1.33.4-gke.100", " 1.33+ "] {
            assert_eq!(kubernetes_version(good), Ok((1, 33)), "{good}");
        }
        for bad in ["", "1", "latest", "1."] {
            assert!(kubernetes_version(bad).is_err(), "{bad}");
        }
    }
}
