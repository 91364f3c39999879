//! What the admission server can be asked.

use std::net::SocketAddr;
use std::path::PathBuf;

use sunup_inject::Classic;

use crate::injector::Settings;
use crate::live::Where;

pub(super) const SERVICE: &str = "sunup-webhook";
pub(super) const NAMESPACE: &str = "sunup-system";
/// API servers call webhooks in the order of their configurations' names, so that this one is
/// behind Istio's, Vault's and everybody's whose name doesn't begin with `zz` too: what others add
/// or drop is there to be seen, and seldom is a second call needed to put it right.
pub(super) const CONFIGURATION: &str = "zz-sunup-webhook";
/// Where an Istio has its settings.
pub(super) const ISTIO: &str = "istio-system";

/// Options of the server.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Server {
    /// Where API servers reach it (TLS)
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:15017", help_heading = "Server")]
    pub(super) listen: SocketAddr,
    /// Probes and metrics in plain HTTP: /healthz/live, /healthz/ready, /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:15014", help_heading = "Server")]
    pub(super) health: SocketAddr,
    /// Threads that answer reviews; one per core where not given
    #[arg(long, value_name = "N", help_heading = "Server")]
    pub(super) workers: Option<usize>,
    /// On SIGTERM: how long it goes on taking reviews, not ready, until everybody has noticed
    #[arg(long, value_name = "SECONDS", default_value_t = 5, help_heading = "Server")]
    pub(super) drain_seconds: u64,
    /// What /guard does with classic sidecars of Istio's, behind which the application starts
    /// too early
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, help_heading = "Guard")]
    pub(super) classic_sidecars: ClassicSidecars,
    #[command(flatten)]
    pub(super) settings: Settings,
    #[command(flatten)]
    pub(super) certificate: Certificate,
    #[command(flatten)]
    pub(super) cluster: Cluster,
}

/// What becomes of a classic sidecar of Istio's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ClassicSidecars {
    /// It stays as Istio made it
    #[default]
    Leave,
    /// It holds the application back until it is ready
    Hold,
    /// It becomes a native one where every kubelet and the mesh's Istio run those; else it holds
    Native,
}

impl From<ClassicSidecars> for Classic {
    fn from(asked: ClassicSidecars) -> Self {
        match asked {
            ClassicSidecars::Leave => Classic::Leave,
            ClassicSidecars::Hold => Classic::Hold,
            ClassicSidecars::Native => Classic::Native,
        }
    }
}

/// Where the serving certificate comes from.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Certificate {
    /// A certificate chain in PEM, such as cert-manager's tls.crt; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Certificate")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Certificate")]
    pub(super) tls_key: Option<PathBuf>,
    /// Demand a certificate of whoever calls: signed by one of the authorities in this file (PEM),
    /// read again when it changes. API servers show one where their admission configuration says so
    #[arg(long, value_name = "FILE", help_heading = "Certificate")]
    pub(super) client_ca: Option<PathBuf>,
    /// For an authority of our own: names that the certificate is for, besides the Service's
    #[arg(long, value_name = "NAME", help_heading = "Certificate")]
    pub(super) san: Vec<String>,
    /// For an authority of our own: the Service in front of the replicas; its Secret is NAME-ca
    #[arg(long, value_name = "NAME", default_value = SERVICE, help_heading = "Certificate")]
    pub(super) service: String,
    /// The namespace of Service and Secret
    #[arg(long, value_name = "NAMESPACE", default_value = NAMESPACE, help_heading = "Certificate")]
    pub(super) namespace: String,
    /// The webhook configurations whose caBundle is kept right
    #[arg(long, value_name = "NAME", default_value = CONFIGURATION, help_heading = "Certificate")]
    pub(super) configuration: String,
}

/// Which cluster is served.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Cluster {
    #[command(flatten)]
    pub(super) which: Where,
    /// Speak to no cluster: settings and certificate are files
    #[arg(long, requires = "tls_cert", conflicts_with_all = ["context", "kubeconfig"])]
    #[arg(help_heading = "Which cluster")]
    pub(super) no_cluster: bool,
    /// Where an existing Istio has its ConfigMaps istio and istio-sidecar-injector; empty where
    /// there is no Istio
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = ISTIO,
        help_heading = "Which cluster"
    )]
    pub(super) istio_namespace: String,
}
