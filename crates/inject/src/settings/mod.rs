//! Settings of the injector, from what a mesh has: Helm values, MeshConfig, IstioOperator files,
//! the ConfigMaps `istio` and `istio-sidecar-injector`. Read once, used for every pod.
//!
//! Knows no pods and reads no files: it is handed text.

mod defaults;
mod effective;
mod options;
pub(crate) mod proxy_config;
mod sources;

pub(crate) use effective::NATIVE_SINCE;
pub use effective::Settings;
pub use options::{NativeSidecars, Options, ProxyKind, kubernetes_version};
pub use sources::Sources;
