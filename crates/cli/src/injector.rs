//! The injector's settings as options of a command, for `inject` and `webhook` alike.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sunup_inject::{Injector, NativeSidecars, Options, ProxyKind, Sources};

/// Where the settings come from.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Settings {
    /// Helm values, an IstioOperator file, or the ConfigMap istio-sidecar-injector; later ones win
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    values: Vec<PathBuf>,
    /// MeshConfig, or the ConfigMap istio
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    mesh_config: Vec<PathBuf>,
    /// The mesh's ConfigMap istio-sidecar-injector: its templates and values
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    injector_config: Option<PathBuf>,
    /// Which proxy: istio needs --injector-config and is the default with it
    #[arg(long, value_name = "PROXY", value_enum, help_heading = "Settings")]
    proxy: Option<Proxy>,
    /// Whether sidecars are native ones (init containers with restartPolicy: Always); auto goes by
    /// --kubernetes-version
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Settings")]
    native_sidecars: Native,
    /// Version of the oldest node, such as 1.33
    #[arg(long, value_name = "VERSION", help_heading = "Settings")]
    kubernetes_version: Option<String>,
    /// The control plane's revision or channel, such as asm-managed
    #[arg(long, value_name = "REVISION", help_heading = "Settings")]
    revision: Option<String>,
    /// For Sunup's proxy: Istio's way where Sunup's differs on purpose (see Differences)
    #[arg(long, help_heading = "Settings")]
    istio_compat: bool,
    /// The image that Sunup's proxy comes from; global.sunup.image of the values wins
    #[arg(long, value_name = "IMAGE", help_heading = "Settings")]
    image: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Proxy {
    /// Sunup's own
    Sunup,
    /// Istio's (Envoy), by the mesh's own templates
    Istio,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Native {
    /// By --kubernetes-version; without it classic, which starts everywhere
    #[default]
    Auto,
    /// Always
    True,
    /// Never
    False,
}

/// What a file looked like when it was last seen.
type Stamp = Option<(std::time::SystemTime, u64)>;

impl Settings {
    /// By which a change of the files is noticed.
    pub(crate) fn stamp(&self) -> Vec<Stamp> {
        let files = self.values.iter().chain(&self.mesh_config).chain(&self.injector_config);
        let stamp = |path: &PathBuf| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        files.map(stamp).collect()
    }

    /// The revision that was asked for, `default` where none was.
    pub(crate) fn revision(&self) -> &str {
        self.revision.as_deref().filter(|r| !r.is_empty()).unwrap_or("default")
    }

    /// Settings and templates, compiled. Files win over `sources`; `istio` says whether those have
    /// the templates of Istio's proxy, which is then the default. `oldest` is the oldest node's
    /// Kubernetes, where a cluster was asked.
    pub(crate) fn injector(
        &self,
        mut sources: Sources,
        istio: bool,
        oldest: Option<(u32, u32)>,
    ) -> anyhow::Result<Injector> {
        let proxy = match (self.proxy, &self.injector_config) {
            (Some(Proxy::Istio), _) | (None, Some(_)) => ProxyKind::Istio,
            (None, None) if istio => ProxyKind::Istio,
            (Some(Proxy::Sunup), _) | (None, None) => ProxyKind::Sunup,
        };
        if let Some(path) = &self.injector_config {
            let text = read(path)?;
            sources.injector_config(&text).with_context(|| path.display().to_string())?;
        }
        for path in &self.values {
            let text = read(path)?;
            sources.values(&text).with_context(|| path.display().to_string())?;
        }
        for path in &self.mesh_config {
            let text = read(path)?;
            sources.mesh_config(&text).with_context(|| path.display().to_string())?;
        }
        let version = self.kubernetes_version.as_deref();
        let options = Options {
            proxy,
            native: match self.native_sidecars {
                Native::Auto => NativeSidecars::Auto,
                Native::True => NativeSidecars::Always,
                Native::False => NativeSidecars::Never,
            },
            kubernetes: version.map(sunup_inject::kubernetes_version).transpose()?.or(oldest),
            revision: self.revision.clone(),
            istio_compat: self.istio_compat,
            image: self.image.clone(),
        };
        Ok(Injector::new(sources.build(options)?)?)
    }
}

/// A file's text.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].split(|b| *b == b'\n').count();
        anyhow::anyhow!("{}:{line}: not UTF-8 text", path.display())
    })
}
