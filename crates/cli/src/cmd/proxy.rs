//! `sunup proxy`: runs the data plane, and shows its effective configuration.
//!
//! Reads arguments and the environment, hands both over, prints; all else is `sunup-proxy`'s.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use sunup_api::port;
use sunup_proxy::config::Ports;
use sunup_proxy::{Level, Options};

use super::Global;
use crate::out;

/// Runs the proxy of a pod, or shows its configuration
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Runs the sidecar: captured connections, readiness, metrics, rewritten probes
    Sidecar(Sidecar),
    /// Prints the effective configuration of this environment
    Config(Config),
}

#[derive(Debug, clap::Args)]
struct Sidecar {
    #[command(flatten)]
    mesh: Mesh,
    /// Port that outbound capture leads to
    #[arg(long, default_value_t = port::OUTBOUND, value_name = "PORT")]
    outbound_port: u16,
    /// Port that inbound capture leads to
    #[arg(long, default_value_t = port::INBOUND, value_name = "PORT")]
    inbound_port: u16,
    /// Port of probes, merged metrics and /quitquitquit
    #[arg(long, default_value_t = port::AGENT, value_name = "PORT")]
    agent_port: u16,
    /// Port of readiness for the kubelet
    #[arg(long, default_value_t = port::READINESS, value_name = "PORT")]
    readiness_port: u16,
    /// Port of the proxy's own metrics
    #[arg(long, default_value_t = port::METRICS, value_name = "PORT")]
    metrics_port: u16,
    /// Port of the DNS proxy
    #[arg(long, default_value_t = port::DNS, value_name = "PORT")]
    dns_port: u16,
    /// DNS domain of the pod's services; taken as istio's agent is started, not needed yet
    #[arg(long, hide = true)]
    domain: Option<String>,
    /// Least level that is logged: debug, info, warning or error
    #[arg(long = "log_output_level", alias = "log-level", default_value = "info")]
    #[arg(value_name = "LEVEL", value_parser = level)]
    log_level: Level,
    /// Envoy's log level, which this proxy has no use for
    #[arg(long = "proxyLogLevel", hide = true)]
    envoy_log_level: Option<String>,
    /// Envoy's log level by component, likewise
    #[arg(long = "proxyComponentLogLevel", hide = true)]
    envoy_component_log_level: Option<String>,
    /// Log as JSON
    #[arg(long = "log_as_json")]
    log_as_json: bool,
}

#[derive(Debug, clap::Args)]
struct Config {
    #[command(flatten)]
    mesh: Mesh,
}

#[derive(Debug, clap::Args)]
struct Mesh {
    /// MeshConfig file, read again when it changes; it need not exist
    #[arg(long = "meshConfig", alias = "mesh-config", value_name = "FILE")]
    #[arg(default_value = "/etc/istio/config/mesh")]
    file: PathBuf,
}

/// `info`, or `default:info` and `scope:level,…` as Istio writes them: the default's, else the
/// first.
fn level(text: &str) -> Result<Level, String> {
    let mut scopes = text.split(',').map(|s| s.split_once(':').unwrap_or(("default", s)));
    let first = scopes.clone().next();
    let told = scopes.find(|(scope, _)| *scope == "default").or(first).map_or("", |s| s.1);
    match told {
        "debug" => Ok(Level::Debug),
        "info" | "" => Ok(Level::Info),
        "warn" | "warning" => Ok(Level::Warn),
        "error" | "fatal" | "none" => Ok(Level::Error),
        other => Err(format!("{other:?} is not one of debug, info, warning, error")),
    }
}

pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    // A variable that isn't UTF-8 means nothing to a proxy.
    let env = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    match args.action {
        Action::Config(config) => {
            let effective = sunup_proxy::effective(env, Some(&config.mesh.file))?;
            out::print(global, &format!("{}\n", serde_json::to_string_pretty(&effective)?))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Sidecar(sidecar) => {
            let code = sunup_proxy::sidecar(Options {
                started,
                env,
                mesh_file: Some(sidecar.mesh.file),
                ports: Ports {
                    outbound: sidecar.outbound_port,
                    inbound: sidecar.inbound_port,
                    agent: sidecar.agent_port,
                    readiness: sidecar.readiness_port,
                    metrics: sidecar.metrics_port,
                    dns: sidecar.dns_port,
                },
                log: Box::new(std::io::stdout()),
                level: sidecar.log_level,
                log_json: sidecar.log_as_json,
            })?;
            Ok(ExitCode::from(code))
        }
    }
}
