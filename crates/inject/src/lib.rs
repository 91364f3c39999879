//! Pod and settings in, patch and reasons out: the injector, pure.
//!
//! Settings are read from what a mesh has ([`Sources`]) and compiled once ([`Injector::new`]);
//! [`Injector::decide`] says whether a pod is injected and by which fact, [`Injector::inject`]
//! what becomes of it. [`manifest`] does both for files as people keep them.
//!
//! Two proxies: Istio's, whose containers come from the mesh's own Go templates, and Sunup's,
//! which is built without templates. Both share all other steps, and both are injected so that
//! everything users rely on is as Istio has it.
//!
//! # Where Sunup's proxy differs from Istio on purpose
//! Unless [`Options::istio_compat`] is set:
//!
//! - **Resources.** One annotation (`sidecar.istio.io/proxyCPULimit` …) overrides one value; the
//!   other three stay the mesh's. Istio drops them.
//! - **Custom lifecycle.** `global.proxy.lifecycle` keeps the hold hook and the drain hook unless
//!   it defines that very hook, and then a warning says so. Istio drops both. A hook in the
//!   user's own `istio-proxy` container replaces the injected one whole, instead of leaving a
//!   handler of each kind, which the API server refuses.
//! - **Gateway sysctl.** It is merged into an existing `securityContext` of the mesh's values or
//!   the pod. Istio lets one replace the other, and the gateway can't bind port 80.
//! - **Hold.** A classic sidecar holds the app back unless ProxyConfig says no, or the pod's
//!   `restartPolicy` would leave it without a proxy for ever. ProxyConfig's no counts even where
//!   the mesh's values say yes; in Istio it doesn't.
//! - **Native sidecars** from Kubernetes 1.29 on, where kubelets run them unasked; Istio waits
//!   for 1.33.
//! - **Startup probe.** A native sidecar has none where early connections wait at the start gate
//!   (capture by the pod's own init container, the gate not switched off): the application needn't
//!   wait for the kubelet to ask. `global.sunup.startupProbe: true` keeps it.
//! - **Vault.** Where a classic sidecar would leave `vault-agent-init` behind the redirect without
//!   a proxy, the address in `vault.hashicorp.com/service` is excluded from capture; a name
//!   instead of an address is warned about.
//! - **CronJobs.** Labels and annotations go to the pod template. `istioctl kube-inject` writes
//!   them to the Job's metadata, where pods don't get them.
//! - **Gateways' canonical name** is cut to the 63 characters a label may have.
//!
//! In every mode of Sunup's proxy the label `security.istio.io/tlsMode: istio` is never added:
//! that proxy speaks no mTLS yet, and the label would make its peers insist on it.
//!
//! No IO, no clock, no Kubernetes client.

mod build;
mod classic;
mod decide;
mod error;
mod fast;
mod go;
pub mod guard;
mod image;
mod injector;
pub mod manifest;
mod memo;
mod merge;
mod mutate;
mod openshift;
mod owner;
mod patch;
mod reason;
mod request;
mod review;
mod selector;
mod settings;
mod splice;
mod template;
mod validate;
mod value;
mod workload;
mod yaml;

pub use classic::{Classic, Mended};
pub use decide::{DecidedBy, Decision, IGNORED_NAMESPACES, Policy, Subject};
pub use error::{InjectError, SettingsError};
pub use injector::{Context, Injection, Injector};
pub use mutate::prometheus::scrape_refusal;
pub use owner::Owner;
pub use patch::{JsonPatchOp, apply, diff};
pub use reason::{Level, Reason};
pub use request::{Answer, Asked, ReviewError};
pub use selector::Selector;
pub use settings::proxy_config::{
    FIELDS as PROXY_CONFIG_FIELDS, is_field as is_proxy_config_field,
};
pub use settings::{NativeSidecars, Options, ProxyKind, Settings, Sources, kubernetes_version};
pub use template::rendered;
pub use validate::refusal;
