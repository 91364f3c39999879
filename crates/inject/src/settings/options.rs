//! What the caller chooses, beside the mesh's settings.

use crate::error::SettingsError;

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
    /// The image that Sunup's proxy comes from, unless the values or the pod name another.
    pub image: Option<String>,
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
