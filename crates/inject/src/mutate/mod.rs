//! What happens to a pod after the templates' output was merged into it, one file per step.
//!
//! # Sources
//! `reapplyOverwrittenContainers` and `postProcessPod` of istio/istio
//! `pkg/kube/inject/webhook.go`, and `app_probe.go` beside it (86c9f01).

pub(crate) mod order;
pub(crate) mod overrides;
pub(crate) mod probes;
pub(crate) mod prometheus;
pub(crate) mod status;
pub(crate) mod vault;
