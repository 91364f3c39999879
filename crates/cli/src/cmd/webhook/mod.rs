//! `sunup webhook`: the admission server, put together from settings, certificates and a cluster.
//!
//! What a review comes to is `sunup-webhook`'s; what is read from and kept in a cluster,
//! `sunup-kube`'s.

mod args;
mod certificate;
mod manifests;
mod run;

use std::process::ExitCode;

use args::Server;

use crate::global::Global;
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
            out::print(global, &manifests::text(&args)?)?;
            Ok(ExitCode::SUCCESS)
        }
        None => run::run(args.server, *global),
    }
}
