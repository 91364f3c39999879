//! Sunup's proxy beside HAProxy, nginx and, where `SUNUP_ENVOY` names it, Envoy, one worker each, in
//! one run: requests per second, times, new connections, memory, start. Needs root (or `unshare
//! -Ur`), haproxy, nginx, wrk and taskset.
//!
//! The proxy under test has core 0 to itself; load generator and backend share core 1. Pod and
//! backend are two network namespaces, so that the sidecar is measured behind real capture.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a bench that can't go on stops")]
#![expect(clippy::print_stdout, reason = "its table is its output")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sunup_capture::{Host, Plan, Ruleset, Settings};
use sunup_proxy::config::Ports;
use sunup_proxy::{Level, Options, Role};
use sunup_sys::ns::Namespace;
use sunup_sys::{capture, route};

const BACKEND: &str = "10.0.0.1:8000";
const WRK_SECONDS: f64 = 3.0;
const MARK: &str = "7";
/// A proxy needs two files for each, and many systems allow 20,000.
const IDLE_CONNECTIONS: usize = 9_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("proxy") => be_the_proxy(args.get(2).map(PathBuf::from)),
        _ => compare(),
    }
}

fn be_the_proxy(gateway: Option<PathBuf>) {
    let code = sunup_proxy::run(Options {
        role: gateway.map_or(Role::Sidecar, Role::Gateway),
        resolv_conf: "/etc/resolv.conf".into(),
        started: Instant::now(),
        env: std::env::vars().collect::<BTreeMap<_, _>>(),
        mesh_file: None,
        ports: Ports::default(),
        log: Box::new(std::io::sink()),
        level: Level::Error,
        log_json: false,
    });
    std::process::exit(i32::from(code.unwrap()));
}

struct Bench {
    pod: Namespace,
    outside: Namespace,
    dir: tempfile::TempDir,
}

fn compare() {
    let bench = Bench::new();
    let backend = bench.nginx_backend();
    println!(
        "| way | requests/s | p50 | p99 | CPU per request | new connections/s | CPU per connection \
         | idle RSS | RSS, 9,000 idle connections |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    bench.row("direct", BACKEND, None);
    let haproxy = bench.write("haproxy.cfg", HAPROXY);
    let nginx = bench.write("nginx.conf", NGINX);
    for (name, port) in [("HAProxy, TCP", 9001), ("HAProxy, HTTP", 9002)] {
        let mut command = Command::new("haproxy");
        command.arg("-f").arg(&haproxy).arg("-db");
        bench.row(name, &format!("127.0.0.1:{port}"), Some(command));
    }
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&nginx).args(["-e", "/dev/null"]);
    bench.row("nginx, HTTP", "127.0.0.1:9003", Some(command));
    let envoy = std::env::var_os("SUNUP_ENVOY").map(|program| {
        let mut command = Command::new(program);
        command.arg("-c").arg(bench.write("envoy.json", ENVOY));
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]);
        command
    });
    for (name, port) in [("Envoy, TCP", 9006), ("Envoy, HTTP", 9007)] {
        if let Some(envoy) = &envoy {
            bench.row(name, &format!("127.0.0.1:{port}"), Some(again(envoy)));
        }
    }
    let routes = bench.write("gateway.yaml", GATEWAY);
    for (name, port) in [("Sunup gateway, TCP", 9004), ("Sunup gateway, HTTP", 9005)] {
        bench.row(name, &format!("127.0.0.1:{port}"), Some(sunup(Some(&routes))));
    }
    bench.capture();
    bench.row("Sunup sidecar, behind capture", BACKEND, Some(sunup(None)));
    if let Some(envoy) = envoy {
        bench.row("Envoy sidecar, behind capture", BACKEND, Some(envoy));
    }
    bench.start_times();
    println!(
        "The proxy had core 0, load generator and origin shared core 1; {} cores here, load {}.",
        std::thread::available_parallelism().map_or(0, usize::from),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
    end(backend);
}

fn again(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args());
    again
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

const ORIGIN: &str = "
daemon off; master_process off; worker_processes 1; error_log /dev/null; pid o.pid;
events { worker_connections 19000; }
http {
  access_log off; keepalive_timeout 600s; keepalive_requests 100000000;
  server { listen 10.0.0.1:8000 backlog=4096; location / { return 200 'ok'; } }
}
";

const GATEWAY: &str = "
listeners:
- {port: 9004, protocol: TCP, to: '10.0.0.1:8000'}
- {port: 9005, protocol: HTTP, routes: [{to: '10.0.0.1:8000'}]}
";

fn sunup(gateway: Option<&Path>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("proxy").args(gateway);
    command.env("PROXY_CONFIG", r#"{"concurrency": 1}"#).env("SUNUP_PROXY_MARK", MARK);
    command
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

impl Bench {
    fn new() -> Self {
        let (pod, outside) = (Namespace::new().unwrap(), Namespace::new().unwrap());
        pod.run(|| {
            route::veth("eth0", "out0", outside.fd()).unwrap();
            route::add_address("eth0", "10.0.0.2/24".parse().unwrap()).unwrap();
            route::link_up("eth0").unwrap();
            std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "10000 65000").unwrap();
            std::fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "1").unwrap();
        })
        .unwrap();
        outside
            .run(|| {
                route::add_address("out0", "10.0.0.1/24".parse().unwrap()).unwrap();
                route::link_up("out0").unwrap();
            })
            .unwrap();
        let mut files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        files.current = files.maximum;
        rustix::process::setrlimit(rustix::process::Resource::Nofile, files).unwrap();
        Self { pod, outside, dir: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        let pid = format!("pid {}/", self.dir.path().display());
        std::fs::write(&path, text.replace("pid ", &pid)).unwrap();
        path
    }

    fn nginx_backend(&self) -> Child {
        let file = self.write("origin.conf", ORIGIN);
        let mut command = pinned(1, Path::new("nginx"));
        command.arg("-c").arg(file).args(["-e", "/dev/null"]);
        self.outside.run(|| command.spawn().unwrap()).unwrap()
    }

    fn capture(&self) {
        let host = Host { addresses: Some(vec!["10.0.0.2".parse().unwrap()]), ..Host::default() };
        let args = ["-i", "*", "-b", "*", "-d", "15090,15021,15020", "--proxy-mark", MARK];
        let plan = Plan::new(Settings::from_args(&args, &[], &host).unwrap());
        let rules = Ruleset::new(&plan).unwrap();
        self.pod.run(|| capture::apply(&rules)).unwrap().unwrap();
    }

    /// Starts a proxy on core 0, measures it, and ends it.
    fn row(&self, name: &str, at: &str, proxy: Option<Command>) {
        let child = proxy.map(|command| {
            let mut pin = pinned(0, Path::new(command.get_program()));
            pin.args(command.get_args());
            pin.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
            self.pod.run(|| pin.spawn().unwrap()).unwrap()
        });
        self.until_answered(at);
        let memory = |child: &Option<Child>| {
            let rss = child.as_ref().and_then(|c| rss_kb(c.id()));
            rss.map_or_else(|| "–".to_owned(), |kb| format!("{:.1} MB", f64::from(kb) / 1024.0))
        };
        let idle = memory(&child);
        let measured = |more: &[&str]| {
            let before = child.as_ref().and_then(|c| cpu_us(c.id()));
            let told = self.wrk(at, more);
            let after = child.as_ref().and_then(|c| cpu_us(c.id()));
            let served = told.0.parse::<f64>().unwrap_or(f64::NAN) * WRK_SECONDS;
            let used = after.zip(before).map(|(after, before)| (after - before) / served);
            (told, used.map_or_else(|| "–".to_owned(), |us| format!("{us:.1} µs")))
        };
        let ((rate, p50, p99), cpu) = measured(&[]);
        let ((fresh, ..), cpu_fresh) = measured(&["-H", "Connection: close"]);
        let held = self.pod.run(|| idle_connections(at)).unwrap();
        let full = memory(&child);
        println!(
            "| {name} | {rate} | {p50} | {p99} | {cpu} | {fresh} | {cpu_fresh} | {idle} | {full} |"
        );
        drop(held);
        child.map(end).unwrap_or_default();
    }

    fn until_answered(&self, at: &str) {
        let begun = Instant::now();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        loop {
            let answered = self.pod.run(|| {
                let mut stream = TcpStream::connect(at)?;
                stream.set_read_timeout(Some(Duration::from_secs(1)))?;
                stream.write_all(request)?;
                stream.read(&mut [0; 1])
            });
            if answered.unwrap().is_ok_and(|n| n == 1) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{at} never answers");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wrk(&self, at: &str, more: &[&str]) -> (String, String, String) {
        let mut command = pinned(1, Path::new("wrk"));
        command.args(["-t1", "-c64", &format!("-d{WRK_SECONDS}s"), "--latency"]).args(more);
        command.arg(format!("http://{at}/"));
        let output = self.pod.run(|| command.stdout(Stdio::piped()).output().unwrap()).unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let word = |start: &str| {
            let line = text.lines().map(str::trim).find_map(|l| l.strip_prefix(start));
            line.unwrap_or("–").trim().to_owned()
        };
        (word("Requests/sec:"), word("50%"), word("99%"))
    }

    /// From fork to the first accepted connection, and to a 200 on 15021.
    fn start_times(&self) {
        let (mut listening, mut ready) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let mut command = sunup(None);
            let begun = Instant::now();
            let child = self.pod.run(|| command.spawn().unwrap()).unwrap();
            let times = self.pod.run(|| (answered(b"", begun), answered(b"200", begun))).unwrap();
            listening.push(times.0);
            ready.push(times.1);
            end(child);
        }
        listening.sort();
        ready.sort();
        let ms = |times: &[Duration], n: usize| times[n].as_secs_f64() * 1000.0;
        println!(
            "\nFork to listening: shortest {:.1} ms, median {:.1} ms; to ready: {:.1} ms, {:.1} ms",
            ms(&listening, 0),
            ms(&listening, 10),
            ms(&ready, 0),
            ms(&ready, 10)
        );
    }
}

/// How long it takes until readiness accepts a connection, or answers with a status.
fn answered(status: &[u8], begun: Instant) -> Duration {
    let address: SocketAddr = "127.0.0.1:15021".parse().unwrap();
    loop {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let mut answer = [0; 12];
        let asked = stream
            .write_all(b"GET /healthz/ready HTTP/1.1\r\nHost: a\r\n\r\n")
            .and_then(|()| if status.is_empty() { Ok(()) } else { stream.read_exact(&mut answer) });
        if asked.is_ok() && (status.is_empty() || answer.ends_with(status)) {
            return begun.elapsed();
        }
    }
}

fn pinned(core: u32, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

fn rss_kb(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Processor time used so far, user and system: what a busy machine can't falsify much.
fn cpu_us(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.rsplit_once(") ")?.1;
    let mut fields = after.split(' ').skip(11);
    let ticks: u32 = fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?;
    // A tick is 10 ms on Linux (USER_HZ).
    Some(f64::from(ticks) * 10_000.0)
}

/// Connections that have had one answer and then lie idle.
fn idle_connections(at: &str) -> Vec<TcpStream> {
    let mut all = Vec::with_capacity(IDLE_CONNECTIONS);
    for _ in 0..IDLE_CONNECTIONS {
        let Ok(mut stream) = TcpStream::connect(at) else { break };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let _ = stream.read(&mut [0; 1024]);
        all.push(stream);
    }
    assert_eq!(all.len(), IDLE_CONNECTIONS, "the system ran out of something");
    all
}
