//! What a rule says of itself: its id, what it needs, what it wants to hear, its page.

use std::fmt;

use sunup_api::report::Severity;
use sunup_evidence::line::Sign;

/// Where in a pod's life a fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// In the manifest, before anything runs.
    Manifest,
    /// The pod is refused, or admitted without its proxy.
    Admission,
    /// The sandbox, the network and the volumes.
    Sandbox,
    /// The init containers.
    Init,
    /// The proxy on its way to being ready.
    Proxy,
    /// A gateway's listeners.
    Gateway,
    /// The application.
    Application,
    /// The end of a Job, the shutdown.
    End,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Manifest => "manifest",
            Stage::Admission => "admission",
            Stage::Sandbox => "sandbox",
            Stage::Init => "init",
            Stage::Proxy => "proxy",
            Stage::Gateway => "gateway",
            Stage::Application => "application",
            Stage::End => "end",
        })
    }
}

/// How settled a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Its texts come from reports and sources; it may still change.
    Preview {
        /// The release that brought it.
        since: &'static str,
    },
    /// Seen to find its fault in practice.
    Stable {
        /// The release that brought it.
        since: &'static str,
    },
}

/// A kind of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The pod as the API server has it: spec and status.
    PodObject,
    /// Events about the pod.
    PodEvents,
    /// Logs of the application's containers.
    AppLog,
    /// Logs of init containers that are not the mesh's.
    InitLog,
    /// Logs of `istio-init` and `istio-validation`.
    MeshInitLog,
    /// Logs of `istio-proxy`.
    ProxyLog,
    /// Logs of the control plane.
    ControlPlaneLog,
    /// The manifest or the object of what makes the pods.
    Workload,
    /// Events about what makes the pods: ReplicaSets, Jobs …
    WorkloadEvents,
    /// Services.
    Services,
    /// Istio Gateways.
    Gateways,
    /// Nodes.
    Nodes,
    /// Namespaces, for their labels.
    Namespaces,
    /// Mutating webhook configurations.
    Webhooks,
    /// The mesh's settings: ConfigMaps of the control plane, IstioOperators.
    MeshConfig,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Need::PodObject => "the pod object",
            Need::PodEvents => "the pod's events",
            Need::AppLog => "the application's log",
            Need::InitLog => "the init container's log",
            Need::MeshInitLog => "the log of istio-init or istio-validation",
            Need::ProxyLog => "istio-proxy's log",
            Need::ControlPlaneLog => "istiod's log",
            Need::Workload => "the workload's manifest",
            Need::WorkloadEvents => "events about the workload, its ReplicaSets and Jobs",
            Need::Services => "Services",
            Need::Gateways => "Gateways",
            Need::Nodes => "Nodes",
            Need::Namespaces => "the Namespace",
            Need::Webhooks => "MutatingWebhookConfigurations",
            Need::MeshConfig => "the mesh's settings",
        })
    }
}

/// What a rule is.
#[derive(Debug)]
pub struct Meta {
    /// Permanent, never reused.
    pub id: &'static str,
    /// The fault in the user's words, one line.
    pub title: &'static str,
    /// Where it shows.
    pub stage: Stage,
    /// How bad it is at its worst.
    pub severity: Severity,
    /// How settled the rule is.
    pub status: Status,
    /// What a finding takes. Of each group one is enough. The first group is what makes the rule
    /// speak at all; where another one is missing, the rule says `unknown`.
    pub needs: &'static [&'static [Need]],
    /// What makes a finding surer or its fix better.
    pub helps: &'static [Need],
    /// Stable parts (lower case, ASCII) of events and status messages that the rule wants to see.
    pub hears: &'static [&'static str],
    /// Kinds of log lines that the rule wants to see.
    pub signs: &'static [Sign],
    /// Rules whose faults follow from this one: they are folded into its finding.
    pub explains: &'static [&'static str],
    /// The rule's page, without its head.
    pub doc: &'static str,
    /// The smallest evidence that shows the fault: files, each headed by `-- name --`.
    pub fires: &'static str,
    /// The same without the cause.
    pub quiet: &'static str,
}

impl Meta {
    /// Whether the fault shows in manifests alone.
    #[must_use]
    pub fn is_lint(&self) -> bool {
        self.needs == [[Need::Workload].as_slice()]
    }
}

/// The texts in a rule's folder.
macro_rules! page {
    ($folder:literal, $name:literal) => {
        include_str!(concat!($folder, "/", $name))
    };
}
pub(crate) use page;
