//! Labels of Istio, Kubernetes and Cloud Logging that decide something here.

/// Whether a pod is injected (the label decides; the annotation of that name is the old form).
pub const INJECT: &str = "sidecar.istio.io/inject";
/// A revision of the control plane, on namespaces and pods.
pub const REVISION: &str = "istio.io/rev";
/// Namespace-wide injection: `enabled` or `disabled`.
pub const NAMESPACE_INJECTION: &str = "istio-injection";
/// `ambient` on pods and namespaces whose traffic ztunnel carries: no sidecar by design.
pub const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";
/// The hash by which a Deployment's ReplicaSets and their pods are told apart.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// The region that a node is in.
pub const REGION: &str = "topology.kubernetes.io/region";
/// The zone that a node is in.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Name of a pod's topmost owner, as GKE's logging agent adds it to an entry's labels.
pub const TOP_LEVEL_CONTROLLER_NAME: &str = "logging.gke.io/top_level_controller_name";
/// Kind of a pod's topmost owner, likewise.
pub const TOP_LEVEL_CONTROLLER_TYPE: &str = "logging.gke.io/top_level_controller_type";
