//! What is asked of the API server, each with its reason. The collector runs on this list and the
//! roles are printed from it, so that neither can ask for more than the other.

/// How far a kind of object has to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// In the namespaces that were asked for.
    Asked,
    /// In the mesh's own namespace.
    Mesh,
    /// In all namespaces; where that is refused, in those asked for.
    All,
    /// An object of the cluster, in no namespace.
    Cluster,
}

/// One kind of object, and why it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// API group, empty for the core.
    pub group: &'static str,
    /// Version in which it is read.
    pub version: &'static str,
    /// As paths and roles name it, a subresource behind a slash.
    pub resource: &'static str,
    /// As manifests name it.
    pub kind: &'static str,
    /// How far.
    pub reach: Reach,
    /// Verbs, each with its reason.
    pub verbs: &'static [(&'static str, &'static str)],
}

const fn need(
    (group, version): (&'static str, &'static str),
    (resource, kind): (&'static str, &'static str),
    reach: Reach,
    verbs: &'static [(&'static str, &'static str)],
) -> Need {
    Need { group, version, resource, kind, reach, verbs }
}

const CORE: (&str, &str) = ("", "v1");
const APPS: (&str, &str) = ("apps", "v1");
const BATCH: (&str, &str) = ("batch", "v1");

/// Pods: what everything else hangs on.
pub(crate) const PODS: Need = need(
    CORE,
    ("pods", "Pod"),
    Reach::Asked,
    &[("list", "what the containers are, in which order they start, and what became of them")],
);

/// Logs of their containers.
pub(crate) const LOGS: Need = need(
    CORE,
    ("pods/log", "Pod"),
    Reach::Asked,
    &[("get", "the application's first errors, and when the proxy was ready")],
);

/// The mesh's settings.
pub(crate) const MESH_CONFIG: Need = need(
    CORE,
    ("configmaps", "ConfigMap"),
    Reach::Mesh,
    &[("get", "the mesh's settings: MeshConfig and the injector's values, by name")],
);

/// Nodes.
pub(crate) const NODES: Need = need(
    CORE,
    ("nodes", "Node"),
    Reach::Cluster,
    &[("list", "versions of kubelets, kernels and container runtimes, on which fixes depend")],
);

/// Everything that is listed besides pods.
pub(crate) const LISTS: &[Need] = &[
    need(
        CORE,
        ("events", "Event"),
        Reach::Asked,
        &[("list", "failing probes, refused pods, back-off: what the kubelet saw, and when")],
    ),
    need(
        APPS,
        ("deployments", "Deployment"),
        Reach::Asked,
        &[("list", "owners of pods, and the template that a fix changes")],
    ),
    need(
        APPS,
        ("statefulsets", "StatefulSet"),
        Reach::Asked,
        &[("list", "owners of pods, and the template that a fix changes")],
    ),
    need(
        APPS,
        ("daemonsets", "DaemonSet"),
        Reach::Asked,
        &[("list", "owners of pods, and the template that a fix changes")],
    ),
    need(
        APPS,
        ("replicasets", "ReplicaSet"),
        Reach::Asked,
        &[("list", "which Deployment or Rollout a pod belongs to")],
    ),
    need(
        BATCH,
        ("jobs", "Job"),
        Reach::Asked,
        &[("list", "owners of pods, and whether a CronJob made them")],
    ),
    need(
        BATCH,
        ("cronjobs", "CronJob"),
        Reach::Asked,
        &[("list", "owners of Jobs, and the template that a fix changes")],
    ),
    need(
        CORE,
        ("services", "Service"),
        Reach::All,
        &[("list", "whose address a refused connection went to, in whatever namespace")],
    ),
    need(
        ("discovery.k8s.io", "v1"),
        ("endpointslices", "EndpointSlice"),
        Reach::Asked,
        &[("list", "whether a Service had anybody to answer")],
    ),
    need(
        ("networking.istio.io", "v1"),
        ("gateways", "Gateway"),
        Reach::All,
        &[("list", "which ports a gateway has to listen on")],
    ),
    need(
        ("install.istio.io", "v1alpha1"),
        ("istiooperators", "IstioOperator"),
        Reach::Mesh,
        &[("list", "the mesh's settings where an operator's object has them")],
    ),
    need(
        CORE,
        ("namespaces", "Namespace"),
        Reach::Cluster,
        &[("list", "which namespaces are injected, and by which revision")],
    ),
    NODES,
    need(
        ("admissionregistration.k8s.io", "v1"),
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
        Reach::Cluster,
        &[("list", "in which order injectors change a pod")],
    ),
];

/// All that the doctor reads.
pub fn reads() -> impl Iterator<Item = &'static Need> {
    [&PODS, &LOGS, &MESH_CONFIG].into_iter().chain(LISTS)
}

const FIX: &[(&str, &str)] =
    &[("patch", "put the fix into the pod template, restart the pods, and take it back")];
const ANEW: &[(&str, &str)] = &[
    ("create", "make it anew, with --recreate only: its template can't be changed"),
    ("delete", "make it anew, with --recreate only: its template can't be changed"),
];

/// What is changed, and watched meanwhile.
const FIXES: &[Need] = &[
    need(APPS, ("deployments", "Deployment"), Reach::Asked, FIX),
    need(APPS, ("statefulsets", "StatefulSet"), Reach::Asked, FIX),
    need(APPS, ("daemonsets", "DaemonSet"), Reach::Asked, FIX),
    need(BATCH, ("cronjobs", "CronJob"), Reach::Asked, FIX),
    need(BATCH, ("jobs", "Job"), Reach::Asked, ANEW),
    need(CORE, ("pods", "Pod"), Reach::Asked, &[("watch", "see the new pods come up, or fail")]),
    need(
        CORE,
        ("pods", "Pod"),
        Reach::Asked,
        &[
            ("create", "make it anew, with --recreate only: its template can't be changed"),
            (
                "delete",
                "make it anew, with --recreate; one that isn't ready, for which its StatefulSet \
                 would wait for ever",
            ),
        ],
    ),
];

/// What fixing takes beside [`reads`].
pub fn fixes() -> impl Iterator<Item = &'static Need> {
    FIXES.iter()
}

/// What is heard of.
const WATCHES: &[Need] = &[
    need(CORE, ("pods", "Pod"), Reach::Asked, &[("watch", "hear of a pod when it changes")]),
    need(
        CORE,
        ("events", "Event"),
        Reach::Asked,
        &[
            ("watch", "hear of a warning when it is given"),
            ("create", "tell of a finding on its workload, with --events only"),
            ("patch", "tell of it again, with --events only"),
        ],
    ),
];

/// What watching takes beside [`reads`].
pub fn watches() -> impl Iterator<Item = &'static Need> {
    WATCHES.iter()
}

/// Kinds of workload that are asked for by name.
pub(crate) fn workload(kind: &str) -> Option<&'static Need> {
    const OWNERS: [&str; 6] =
        ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"];
    if kind == PODS.kind {
        return Some(&PODS);
    }
    LISTS.iter().find(|need| need.kind == kind && OWNERS.contains(&kind))
}

impl Need {
    /// Path of its collection; `None` is all namespaces, or no namespace.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let root = match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.resource),
            None => format!("{root}/{}", self.resource),
        }
    }

    /// `apps/v1`, as objects say it.
    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }
}
