//! `sunup proxy`: runs the data plane, and shows its effective configuration.
//!
//! Reads arguments and the environment, hands both over, prints; all else is `sunup-proxy`'s.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use sunup_proxy::config::ChosenPorts;
use sunup_proxy::{Level, Options, Role};

use crate::global::Global;
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
    Sidecar(Run),
    /// Runs a gateway: TCP, TLS by its server name, HTTP by host and path, on any port
    #[command(visible_alias = "gateway", after_help = GATEWAY)]
    Router(Router),
    /// Prints the effective configuration of this environment
    Config(Config),
}

const GATEWAY: &str = "\
The file of listeners, read again when it changes:
  listeners:
  - {port: 5432, protocol: TCP, to: \"db.shop:5432\"}
  - port: 443
    protocol: TLS            # passed through, by the name in its greeting
    routes:
    - {hosts: [\"*.example.com\"], to: \"shop.default:8443\"}
  - port: 6380
    protocol: TLS            # with a certificate it ends here; routes by name, or one `to`
    tls:
    - {certificate: /etc/certs/tls.crt, key: /etc/certs/tls.key}
    to: \"redis.shop:6379\"
  - port: 8443
    protocol: HTTPS          # TLS that ends here, then as HTTP
    tls:
    - {certificate: /etc/certs/tls.crt, key: /etc/certs/tls.key}
    routes:
    - {to: \"web.default:8080\"}
  - port: 80
    protocol: HTTP           # HTTP/1.1, request by request
    routes:
    - {hosts: [shop.example.com], pathPrefix: /api, to: \"api.default:8080\"}
    - {to: \"web.default:8080\"}

Certificates are read again when their files change; a wrong one is refused and the old one stays.
While one of a port's certificates is expired, or not valid yet, readiness (15021) says so: renew it,
or take it out. A request whose Host belongs to another server or certificate than the name that TLS
was made for is answered with 421.

SUNUP_MAX_CONNECTIONS is the limit on connections (default: what open files allow); at the limit the
idlest client makes room. SUNUP_IDLE_TIMEOUT (default 1h) ends what nothing moves on.

A port below 1024 that may not be bound is served at its stand-in (80 at 8080, 443 at 8443, others
8000 higher) and tried again; readiness (15021) says so with the remedy until it is bound.";

#[derive(Debug, clap::Args)]
struct Router {
    /// File of listeners and routes
    #[arg(long, value_name = "FILE", default_value = "/etc/sunup/gateway.yaml")]
    listeners: PathBuf,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, clap::Args)]
struct Run {
    #[command(flatten)]
    mesh: Mesh,
    /// Port that outbound capture leads to; MeshConfig's proxyListenPort, else 15001
    #[arg(long, value_name = "PORT", value_parser = a_port())]
    outbound_port: Option<u16>,
    /// Port that inbound capture leads to; MeshConfig's proxyInboundListenPort, else 15006
    #[arg(long, value_name = "PORT", value_parser = a_port())]
    inbound_port: Option<u16>,
    /// Port of probes, merged metrics and /quitquitquit; ProxyConfig's statusPort, else 15020
    #[arg(long, value_name = "PORT", value_parser = a_port())]
    agent_port: Option<u16>,
    /// Port of readiness for the kubelet; 15021
    #[arg(long, value_name = "PORT", value_parser = a_port())]
    readiness_port: Option<u16>,
    /// Port of the proxy's own metrics; 15090
    #[arg(long, value_name = "PORT", value_parser = a_port())]
    metrics_port: Option<u16>,
    /// Port of the DNS proxy; 15053
    #[arg(long, value_name = "PORT", value_parser = a_port())]
    dns_port: Option<u16>,
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

/// A port that can be told to others.
fn a_port() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..)
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
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    match args.action {
        Action::Config(config) => {
            let effective = sunup_proxy::effective(env, Some(&config.mesh.file))?;
            out::print(global, &format!("{}\n", serde_json::to_string_pretty(&effective)?))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Sidecar(args) => start(started, env, args, Role::Sidecar),
        Action::Router(args) => start(started, env, args.run, Role::Gateway(args.listeners)),
    }
}

fn start(
    started: Instant,
    env: BTreeMap<String, String>,
    args: Run,
    role: Role,
) -> anyhow::Result<ExitCode> {
    let code = sunup_proxy::run(Options {
        role,
        resolv_conf: PathBuf::from("/etc/resolv.conf"),
        started,
        env,
        mesh_file: Some(args.mesh.file),
        ports: ChosenPorts {
            outbound: args.outbound_port,
            inbound: args.inbound_port,
            agent: args.agent_port,
            readiness: args.readiness_port,
            metrics: args.metrics_port,
            dns: args.dns_port,
        },
        log: Box::new(std::io::stdout()),
        level: args.log_level,
        log_json: args.log_as_json,
    })?;
    Ok(ExitCode::from(code))
}
