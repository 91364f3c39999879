//! `sunup webhook`: the admission server, put together from settings, certificates and a cluster.
//!
//! What a review comes to is `sunup-webhook`'s; what is read from and kept in a cluster,
//! `sunup-kube`'s.

mod certificate;
mod manifests;
mod run;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Global;
use crate::injector::Settings;
use crate::live::Where;
use crate::out;

/// Serves the injector and the pod checks as admission webhooks
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Sub>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    /// Prints what to install: configurations, server, Service and rights
    Manifests(manifests::Args),
}

/// Options of the server.
#[derive(Debug, Clone, clap::Args)]
struct Server {
    /// Where API servers reach it (TLS)
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:15017", help_heading = "Server")]
    listen: SocketAddr,
    /// Probes and metrics in plain HTTP: /healthz/live, /healthz/ready, /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:15014", help_heading = "Server")]
    health: SocketAddr,
    /// Threads that answer reviews; one per core where not given
    #[arg(long, value_name = "N", help_heading = "Server")]
    workers: Option<usize>,
    /// On SIGTERM: how long it goes on taking reviews, not ready, until everybody has noticed
    #[arg(long, value_name = "SECONDS", default_value_t = 5, help_heading = "Server")]
    drain_seconds: u64,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    certificate: Certificate,
    #[command(flatten)]
    cluster: Cluster,
}

/// Where the serving certificate comes from.
#[derive(Debug, Clone, clap::Args)]
struct Certificate {
    /// A certificate chain in PEM, such as cert-manager's tls.crt; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Certificate")]
    tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Certificate")]
    tls_key: Option<PathBuf>,
    /// For an authority of our own: names that the certificate is for, besides the Service's
    #[arg(long, value_name = "NAME", help_heading = "Certificate")]
    san: Vec<String>,
    /// For an authority of our own: the Service in front of the replicas; its Secret is NAME-ca
    #[arg(long, value_name = "NAME", default_value = manifests::SERVICE, help_heading = "Certificate")]
    service: String,
    /// The namespace of Service and Secret
    #[arg(long, value_name = "NAMESPACE", default_value = manifests::NAMESPACE, help_heading = "Certificate")]
    namespace: String,
    /// The webhook configurations whose caBundle is kept right
    #[arg(long, value_name = "NAME", default_value = manifests::CONFIGURATION, help_heading = "Certificate")]
    configuration: String,
}

/// Which cluster is served.
#[derive(Debug, Clone, clap::Args)]
struct Cluster {
    #[command(flatten)]
    which: Where,
    /// Speak to no cluster: settings and certificate are files
    #[arg(long, requires = "tls_cert", conflicts_with_all = ["context", "kubeconfig"])]
    #[arg(help_heading = "Which cluster")]
    no_cluster: bool,
    /// Where an existing Istio has its ConfigMaps istio and istio-sidecar-injector
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "istio-system",
        help_heading = "Which cluster"
    )]
    istio_namespace: String,
}

const AFTER_HELP: &str = "\
Paths: /inject (also /inject/cluster/NAME/net/NAME, as Istio's), /guard for pods that Istio's
injector injects, /validate for warnings about the final pod, /validate/deny for refusals.

Settings come from an existing Istio's ConfigMaps, where there are any, and from files, which win;
both are followed. With Istio's ConfigMap, Istio's proxy is the default. Replicas share nothing but
the certificate authority, which is made once, kept in a Secret and renewed in its last third.

Examples:
  sunup webhook manifests | kubectl apply -f -
  sunup webhook manifests --guard | kubectl apply -f -
  sunup webhook --context kind-dev --san host.docker.internal
  sunup webhook --no-cluster --tls-cert tls.crt --tls-key tls.key --values values.yaml";

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(Sub::Manifests(args)) => {
            out::print(global, &manifests::text(&args))?;
            Ok(ExitCode::SUCCESS)
        }
        None => run::run(args.server, *global),
    }
}
