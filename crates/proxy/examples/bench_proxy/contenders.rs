//! Who is compared, and how each is set up: one worker, no access log, connections to the origin
//! kept for HTTP.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the origin listens.
pub(crate) const ORIGIN: &str = "10.0.0.1:8000";
/// The socket mark by which capture knows the proxy.
pub(crate) const MARK: &str = "7";

/// What is asked of a contender; compared with HAProxy's of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// No proxy.
    Direct,
    Tcp,
    Http,
    /// TCP to the original destination, behind capture.
    Captured,
}

pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    /// Where clients connect to.
    pub(crate) at: &'static str,
    program: Option<Program>,
}

#[derive(Clone, Copy)]
enum Program {
    HaProxy,
    Nginx,
    Envoy,
    Gateway,
    Sidecar,
}

/// All that can run here; Envoy only where `SUNUP_ENVOY` names it.
pub(crate) fn all() -> Vec<Contender> {
    let envoy = std::env::var_os("SUNUP_ENVOY").is_some();
    [
        ("direct", Way::Direct, ORIGIN, None),
        ("HAProxy, TCP", Way::Tcp, "127.0.0.1:9001", Some(Program::HaProxy)),
        ("Sunup gateway, TCP", Way::Tcp, "127.0.0.1:9004", Some(Program::Gateway)),
        ("HAProxy, HTTP", Way::Http, "127.0.0.1:9002", Some(Program::HaProxy)),
        ("Sunup gateway, HTTP", Way::Http, "127.0.0.1:9005", Some(Program::Gateway)),
        ("nginx, HTTP", Way::Http, "127.0.0.1:9003", Some(Program::Nginx)),
        ("Envoy, TCP", Way::Tcp, "127.0.0.1:9006", Some(Program::Envoy)),
        ("Envoy, HTTP", Way::Http, "127.0.0.1:9007", Some(Program::Envoy)),
        ("Sunup sidecar, behind capture", Way::Captured, ORIGIN, Some(Program::Sidecar)),
        ("Envoy sidecar, behind capture", Way::Captured, ORIGIN, Some(Program::Envoy)),
    ]
    .into_iter()
    .map(|(name, way, at, program)| Contender { name, way, at, program })
    .filter(|c| envoy || !c.name.starts_with("Envoy"))
    .collect()
}

impl Contender {
    /// The command that starts it, with its files in `dir`.
    pub(crate) fn command(&self, dir: &Path) -> Option<Command> {
        Some(match self.program? {
            Program::HaProxy => {
                let mut command = Command::new("haproxy");
                command.arg("-f").arg(write(dir, "haproxy.cfg", HAPROXY)).arg("-db");
                command
            }
            Program::Nginx => {
                let mut command = Command::new("nginx");
                command.arg("-c").arg(write(dir, "nginx.conf", NGINX)).args(["-e", "/dev/null"]);
                command
            }
            Program::Envoy => {
                let mut command = Command::new(std::env::var_os("SUNUP_ENVOY")?);
                command.arg("-c").arg(write(dir, "envoy.json", ENVOY));
                command.args(["--use-dynamic-base-id", "--concurrency", "1"]);
                command.args(["--log-level", "error"]);
                command
            }
            Program::Gateway => sunup(Some(&write(dir, "gateway.yaml", GATEWAY))),
            Program::Sidecar => sunup(None),
        })
    }
}

/// This very program as the proxy.
pub(crate) fn sunup(gateway: Option<&Path>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("proxy").args(gateway);
    command.env("PROXY_CONFIG", r#"{"concurrency": 1}"#).env("SUNUP_PROXY_MARK", MARK);
    command
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text.replace("pid ", &format!("pid {}/", dir.display()))).unwrap();
    path
}

/// TCP, HTTP, and a sidecar's outbound side, marked as capture knows the proxy.
const ENVOY: &str = r#"{"static_resources": {
  "listeners": [
    {"name": "tcp", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 9006}},
     "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config":
       {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "tcp", "cluster": "origin"}}]}]},
    {"name": "http", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 9007}},
     "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager",
       "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http", "http_filters": [{"name": "envoy.filters.http.router",
          "typed_config": {"@type":
            "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
          {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]}]}}}]}]},
    {"name": "outbound", "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15001}},
     "listener_filters": [{"name": "envoy.filters.listener.original_dst", "typed_config":
       {"@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],
     "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config":
       {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "outbound", "cluster": "onward"}}]}]}],
  "clusters": [
    {"name": "origin", "type": "STATIC", "connect_timeout": "5s",
     "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_requests": 20000,
       "max_pending_requests": 20000}]},
     "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [{"endpoint":
       {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 8000}}}}]}]}},
    {"name": "onward", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
     "connect_timeout": "5s",
     "circuit_breakers": {"thresholds": [{"max_connections": 20000}]},
     "upstream_bind_config": {"source_address": {"address": "0.0.0.0", "port_value": 0},
       "socket_options": [{"level": 1, "name": 36, "int_value": 7, "state": "STATE_PREBIND"}]}}]}}"#;

const HAPROXY: &str = "
global
  nbthread 1
  maxconn 9500
defaults
  timeout connect 5s
  timeout client 600s
  timeout server 600s
listen tcp
  mode tcp
  bind 127.0.0.1:9001
  server b 10.0.0.1:8000
listen http
  mode http
  http-reuse always
  bind 127.0.0.1:9002
  server b 10.0.0.1:8000
";

const NGINX: &str = "
daemon off; master_process off; worker_processes 1; error_log /dev/null; pid n.pid;
events { worker_connections 19000; }
http {
  access_log off; keepalive_timeout 600s; keepalive_requests 100000000;
  upstream b { server 10.0.0.1:8000; keepalive 128; keepalive_requests 100000000; }
  server { listen 127.0.0.1:9003;
    location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection ''; } }
}
";

const GATEWAY: &str = "
listeners:
- {port: 9004, protocol: TCP, to: '10.0.0.1:8000'}
- {port: 9005, protocol: HTTP, routes: [{to: '10.0.0.1:8000'}]}
";
