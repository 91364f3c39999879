//! A pod and its outside as two network namespaces, capture in force, and the proxy as a process.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sunup_capture::{Host, Plan, Ruleset, Settings};
use sunup_sys::ns::Namespace;
use sunup_sys::{capture, route};

const INSIDE: &str = "SUNUP_TEST_IN_USER_NAMESPACE";
const PROXY: &str = "SUNUP_TEST_RUN_PROXY";
pub(crate) const MARK: &str = "7";
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The pod's addresses, then the outside's.
pub(crate) const POD: [&str; 2] = ["10.0.0.2", "fd00::2"];
pub(crate) const OUTSIDE: [&str; 2] = ["10.0.0.1", "fd00::1"];

/// Runs a test body as root of a namespace: here, or in this program started again.
pub(crate) fn with_world(test: &str, body: impl FnOnce(&World)) {
    if std::env::var_os(INSIDE).is_none() && Namespace::try_new().is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").stdin(Stdio::null());
        sunup_sys::ns::in_user_namespace(&mut again);
        let what = "network namespaces (root, or user.max_user_namespaces above zero)";
        let Some(out) = sunup_testkit::require(test, what, again.output().ok()) else { return };
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        // What was skipped in there is told out here.
        for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        assert!(out.status.success(), "{}{said}", String::from_utf8_lossy(&out.stdout));
        return;
    }
    body(&World::new());
}

pub(crate) struct World {
    pub(crate) pod: Namespace,
    pub(crate) outside: Namespace,
}

impl World {
    fn new() -> Self {
        let (pod, outside) = (Namespace::new().unwrap(), Namespace::new().unwrap());
        let net = |ip: &str| {
            let ip: IpAddr = ip.parse().unwrap();
            ipnet::IpNet::new(ip, if ip.is_ipv4() { 24 } else { 64 }).unwrap()
        };
        outside.run(quick_ipv6).unwrap();
        pod.run(|| {
            quick_ipv6();
            route::veth("eth0", "out0", outside.fd()).unwrap();
            for ip in POD {
                route::add_address("eth0", net(ip)).unwrap();
            }
            route::link_up("eth0").unwrap();
        })
        .unwrap();
        outside
            .run(|| {
                for ip in OUTSIDE {
                    route::add_address("out0", net(ip)).unwrap();
                }
                route::link_up("out0").unwrap();
            })
            .unwrap();
        let world = Self { pod, outside };
        world.capture(&["-i", "*", "-b", "*", "-d", "15090,15021,15020"]);
        world
    }

    /// Puts capture in force with these arguments.
    pub(crate) fn capture(&self, args: &[&str]) {
        self.capture_for(&[args, &["--proxy-mark", MARK]].concat());
    }

    /// The same, with the proxy known as the arguments say: by its uid, 1337, as in a cluster.
    pub(crate) fn capture_for(&self, args: &[&str]) {
        let host = Host {
            resolv_conf: Some("nameserver 10.0.0.1\n".into()),
            addresses: Some(POD.map(|ip| ip.parse().unwrap()).to_vec()),
            ..Host::default()
        };
        let args = [args, &["--dual-stack"]].concat();
        let plan = Plan::new(Settings::from_args(&args, &[], &host).unwrap());
        let rules = Ruleset::new(&plan).unwrap();
        let applied = self.pod.run(|| capture::apply(&rules)).unwrap();
        applied.unwrap();
    }

    /// A listener in the outside world; each connection is handled on a thread of its own.
    pub(crate) fn serve(&self, at: &str, work: impl Fn(TcpStream) + Send + Clone + 'static) {
        serve_in(&self.outside, at, work);
    }

    /// The same in the pod: an application.
    pub(crate) fn application(&self, at: &str, work: impl Fn(TcpStream) + Send + Clone + 'static) {
        serve_in(&self.pod, at, work);
    }

    /// Connects as an application of the pod does.
    pub(crate) fn connect(&self, to: &str) -> std::io::Result<TcpStream> {
        connect_in(&self.pod, to)
    }

    /// A connection from outside.
    pub(crate) fn connect_from_outside(&self, to: &str) -> std::io::Result<TcpStream> {
        connect_in(&self.outside, to)
    }

    /// The same, for who doesn't wait: the start gate keeps a refusal back for a minute.
    pub(crate) fn try_from_outside(&self, to: &str, wait: Duration) -> std::io::Result<TcpStream> {
        let to: SocketAddr = to.parse().unwrap();
        self.outside.run(|| TcpStream::connect_timeout(&to, wait)).unwrap()
    }

    /// Starts the proxy in the pod with more variables.
    pub(crate) fn proxy(&self, env: &[(&str, &str)]) -> Proxy {
        start(&self.pod, None, &[env, &[("SUNUP_PROXY_MARK", MARK)]].concat())
    }

    /// Starts the proxy as a cluster does: as uid 1337, without any capability.
    pub(crate) fn proxy_as_in_a_cluster(&self) -> Proxy {
        start(&self.pod, Some(1337), &[])
    }

    /// Starts a gateway in the outside world, as an ordinary user if one is named.
    pub(crate) fn gateway(&self, uid: Option<u32>, file: &Path) -> Proxy {
        start(&self.outside, uid, &[("GATEWAY_FILE", file.to_str().unwrap())])
    }

    /// Starts a sidecar in the pod: ours, or Envoy.
    pub(crate) fn sidecar(&self, kind: &Sidecar) -> Proxy {
        match kind {
            Sidecar::Sunup => self.proxy(&[]),
            Sidecar::Envoy(program) => {
                let mut command = Command::new(program);
                command.args(["--config-yaml", crate::envoy::SIDECAR, "--concurrency", "1"]);
                command.args(["--use-dynamic-base-id", "--log-level", "error"]);
                spawn(&self.pod, command)
            }
        }
    }

    /// A gateway with more variables.
    pub(crate) fn gateway_with(&self, env: &[(&str, &str)], file: &Path) -> Proxy {
        let file = [("GATEWAY_FILE", file.to_str().unwrap())];
        start(&self.outside, None, &[env, &file].concat())
    }

    /// [`World::sidecar`], and waits until it is ready.
    pub(crate) fn ready_sidecar(&self, kind: &Sidecar) -> Proxy {
        let proxy = self.sidecar(kind);
        self.until("ready", || self.get(15021, "/healthz/ready").is_ok_and(|a| a.0 == 200));
        proxy
    }

    /// [`World::proxy`], and waits until it is ready.
    pub(crate) fn ready_proxy(&self, env: &[(&str, &str)]) -> Proxy {
        let proxy = self.proxy(env);
        self.until("ready", || self.get(15021, "/healthz/ready").is_ok_and(|a| a.0 == 200));
        proxy
    }

    /// Asks one of the proxy's endpoints from within the pod: status and body.
    pub(crate) fn get(&self, port: u16, path: &str) -> std::io::Result<(u16, String)> {
        self.ask(port, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }

    pub(crate) fn ask(&self, port: u16, request: &str) -> std::io::Result<(u16, String)> {
        exchange(self.connect(&format!("127.0.0.1:{port}"))?, request)
    }

    /// The same of a gateway, which is outside.
    pub(crate) fn ask_gateway(&self, port: u16, request: &str) -> std::io::Result<(u16, String)> {
        exchange(self.connect_from_outside(&format!("127.0.0.1:{port}"))?, request)
    }

    /// A gateway's readiness.
    pub(crate) fn gateway_ready(&self) -> (u16, String) {
        let request = "GET /healthz/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        self.ask_gateway(15021, request).unwrap_or_default()
    }

    pub(crate) fn metrics(&self) -> String {
        self.get(15090, "/stats/prometheus").unwrap().1
    }

    /// Until a connection waits at the start gate.
    pub(crate) fn until_held(&self) {
        let holds = |state: &capture::PortState| matches!(state, capture::PortState::Holding(_));
        self.until("a connection waits at the gate", || {
            let report = self.pod.run(|| capture::check(None).unwrap()).unwrap();
            report.gate.iter().flat_map(|gate| &gate.ports).any(|(_, state)| holds(state))
        });
    }

    pub(crate) fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn exchange(mut stream: TcpStream, request: &str) -> std::io::Result<(u16, String)> {
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, b)| b);
    Ok((status, body.to_owned()))
}

/// Which sidecar a scenario runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sidecar {
    Sunup,
    Envoy(PathBuf),
}

/// Envoy's program: `SUNUP_ENVOY`, or on the path.
pub(crate) fn envoy(test: &str) -> Option<PathBuf> {
    let given = std::env::var_os("SUNUP_ENVOY").map(PathBuf::from);
    sunup_testkit::require(test, "Envoy", given.or_else(|| sunup_testkit::program("envoy")))
}

/// Starts a program that tells all it has to say, as a proxy.
pub(crate) fn spawn(place: &Namespace, mut command: Command) -> Proxy {
    let log = tempfile::NamedTempFile::new().unwrap();
    let out = || log.reopen().unwrap();
    command.stdin(Stdio::null()).stdout(out()).stderr(out());
    let child = place.run(|| command.spawn().unwrap()).unwrap();
    Proxy { child, log }
}

fn start(place: &Namespace, uid: Option<u32>, env: &[(&str, &str)]) -> Proxy {
    let log = tempfile::NamedTempFile::new().unwrap();
    let anybody = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(log.path(), anybody).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["world::the_proxy_itself", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(PROXY, log.path()).envs(env.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let child = place.run(|| command.spawn().unwrap()).unwrap();
    Proxy { child, log }
}

fn quick_ipv6() {
    for which in ["all", "default"] {
        for key in ["accept_dad", "dad_transmits"] {
            // Read-only here means the kernel's default, which only takes longer.
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/{key}"), "0");
        }
    }
}

fn serve_in(place: &Namespace, at: &str, work: impl Fn(TcpStream) + Send + Clone + 'static) {
    let listener = place.run(|| TcpListener::bind(at).unwrap()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let work = work.clone();
            std::thread::spawn(move || work(stream));
        }
    });
}

fn connect_in(place: &Namespace, to: &str) -> std::io::Result<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    place
        .run(|| {
            // Blocking: with a timeout std would report a reset that follows the handshake here.
            let stream = TcpStream::connect(to)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        })
        .unwrap()
}

/// Sends back what comes, until the end.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut other = stream.try_clone().unwrap();
    let _ = std::io::copy(&mut stream, &mut other);
    let _ = other.shutdown(std::net::Shutdown::Write);
}

pub(crate) struct Proxy {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Proxy {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end; the exit code, or 128 and the signal.
    pub(crate) fn end(&mut self) -> i32 {
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The proxy's process: this program, told by a variable.
#[test]
fn the_proxy_itself() {
    let Some(log) = std::env::var_os(PROXY) else { return };
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let mesh_file = env.get("MESH_FILE").map(PathBuf::from);
    let log = std::fs::File::options().append(true).open(log).unwrap();
    let role = env
        .get("GATEWAY_FILE")
        .map_or(sunup_proxy::Role::Sidecar, |file| sunup_proxy::Role::Gateway(PathBuf::from(file)));
    let resolv_conf = env.get("RESOLV_CONF").map_or("/dev/null", String::as_str).into();
    let code = sunup_proxy::run(sunup_proxy::Options {
        role,
        resolv_conf,
        started: Instant::now(),
        env,
        mesh_file,
        ports: sunup_proxy::config::ChosenPorts::default(),
        log: Box::new(log),
        level: sunup_proxy::Level::Info,
        log_json: false,
    });
    std::process::exit(i32::from(code.unwrap()));
}
