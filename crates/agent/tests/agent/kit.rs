//! Pods' networks with a redirect, proxies in them, agents, and calls of the plugin.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_reuseport;
use socket2::{Domain, Protocol, Socket, Type};
use sunup_agent::{Agent, Said, Settings, plugin};
use sunup_capture::{Plan, Ruleset};
use sunup_node::wire::PodName;
use sunup_node::{Host, Pod};
use sunup_sys::ns::Namespace;
use sunup_sys::route;

pub(crate) const PORT: u16 = 15001;
pub(crate) const UID: &str = "1c8f0a52-9a3e-4d51-8d7e-0f6f2a3b4c5d";

/// A pod's network, with capture as a mesh sets it and no gate.
pub(crate) struct Network {
    pub(crate) pod: Namespace,
    pub(crate) file: File,
    _outside: Namespace,
}

impl Network {
    pub(crate) fn new(test: &str) -> Option<Self> {
        let space = Namespace::try_new();
        let pod = sunup_testkit::require(test, "a network namespace", space)?;
        let outside = Namespace::new().unwrap();
        let here = || {
            route::veth("eth0", "out0", outside.fd()).unwrap();
            route::add_address("eth0", "10.0.0.2/24".parse().unwrap()).unwrap();
            route::link_up("eth0").unwrap();
            route::add_route("192.0.2.0/24".parse().unwrap(), [10, 0, 0, 1].into()).unwrap();
            let args = ["-i", "*", "--proxy-mark", "7", "--start-gate=off"];
            let settings =
                sunup_capture::Settings::from_args(&args, &[], &sunup_capture::Host::default());
            let rules = Ruleset::new(&Plan::new(settings.unwrap())).unwrap();
            // Not under the name by which the agent knows a pod that has a gate of its own.
            redirect(&rules);
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        let file = pod.run(here).unwrap();
        Some(Self { pod, file, _outside: outside })
    }

    /// By which it can be opened.
    pub(crate) fn path(&self) -> String {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&self.file.as_fd());
        format!("/proc/{}/fd/{fd}", std::process::id())
    }

    pub(crate) fn connect(&self, within: Duration) -> std::io::Result<TcpStream> {
        let to = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 9), 80));
        self.pod.run(|| TcpStream::connect_timeout(&to, within)).unwrap()
    }

    /// Connects and reads what it is answered.
    pub(crate) fn ask(&self, within: Duration) -> std::io::Result<String> {
        let mut stream = self.connect(within)?;
        stream.set_read_timeout(Some(within))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    pub(crate) fn listen(&self, shares: bool) -> std::io::Result<TcpListener> {
        let bind = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            set_socket_reuseport(&socket, shares)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
            socket.listen(1024)?;
            socket.set_nonblocking(true)?;
            Ok(TcpListener::from(socket))
        };
        self.pod.run(bind).unwrap()
    }
}

/// Leads what goes out to the port, as a mesh's own rules do.
pub(crate) fn redirect(rules: &Ruleset) {
    let text = rules.to_nft().replace("sunup_capture", "mesh");
    let mut child = std::process::Command::new(sunup_testkit::program("nft").unwrap())
        .args(["-f", "-"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// A host's `/proc` with a process of each of these pods, in the network that stands beside it.
pub(crate) fn host_proc(pods: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, (uid, network)) in (123..).zip(pods) {
        let process = folder.path().join(format!("{number}"));
        std::fs::create_dir_all(process.join("ns")).unwrap();
        let slice = uid.replace('-', "_");
        let cgroup = format!("0::/kubepods.slice/kubepods-pod{slice}.slice/x.scope");
        std::fs::write(process.join("cgroup"), cgroup).unwrap();
        std::os::unix::fs::symlink(network, process.join("ns/net")).unwrap();
    }
    std::os::unix::fs::symlink("/proc/sys", folder.path().join("sys")).unwrap();
    folder
}

/// Answers whoever comes, until it is told to stop.
pub(crate) fn answer(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((mut stream, _)) => drop(stream.write_all(b"proxy")),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

pub(crate) fn pod(image: &str) -> Pod {
    let text = format!(
        r#"{{"metadata": {{"name": "a", "namespace": "shop", "uid": "{UID}"}},
            "spec": {{"containers": [{{"name": "app"}}, {{"name": "istio-proxy",
            "image": "{image}", "securityContext": {{"runAsUser": 0}}}}]}},
            "status": {{"phase": "Running", "podIPs": [{{"ip": "10.0.0.2"}}]}}}}"#
    );
    Pod::read(&serde_json::from_str(&text).unwrap()).unwrap()
}

pub(crate) fn name() -> PodName {
    PodName { namespace: "shop".into(), name: "a".into(), uid: UID.into() }
}

pub(crate) const NEW: &str = "istio/proxyv2:1.24.0";

pub(crate) struct Started {
    pub(crate) agent: Arc<Agent>,
    pub(crate) said: Arc<Mutex<Vec<Said>>>,
}

pub(crate) fn start(deadline: Duration, proc: &Path) -> Started {
    let host = Host { kernel: sunup_sys::host::kernel(), ..Host::default() };
    let said: Arc<Mutex<Vec<Said>>> = Arc::default();
    let heard = Arc::clone(&said);
    let settings = Settings { proc: proc.to_owned(), deadline, host };
    let hear = move |s: &Said| heard.lock().unwrap().push(s.clone());
    Started { agent: Agent::start(settings, Box::new(hear)).unwrap(), said }
}

impl Started {
    pub(crate) fn add(&self, network: &Network) -> String {
        let file = network.file.try_clone().unwrap();
        self.agent.add("sandbox", name(), vec!["10.0.0.2".into()], file).unwrap().mode
    }

    pub(crate) fn phase(&self) -> String {
        let status = self.agent.status().unwrap();
        status.pods[0].ports.first().map(|p| p.phase.clone()).unwrap_or_default()
    }

    pub(crate) fn wait_for(&self, phase: &str) {
        self.wait_until(phase, |_| self.phase() == phase);
    }

    pub(crate) fn wait_until(&self, what: &str, is: impl Fn(&Agent) -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !is(&self.agent) {
            assert!(Instant::now() < end, "not {what}: {:?}", self.agent.status());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// How often a test repeats what it does.
pub(crate) fn runs(usual: usize) -> usize {
    std::env::var("SUNUP_STAND_IN_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

pub(crate) fn proc() -> &'static Path {
    Path::new("/proc")
}

pub(crate) const CONFIG: &str = r#"{"cniVersion":"1.0.0","name":"n","type":"sunup-cni","socket":"SOCKET",
    "prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]}}"#;

pub(crate) fn called(verb: &str, socket: &Path, namespace: &str) -> (plugin::Answer, Duration) {
    called_with(CONFIG, verb, socket, namespace)
}

pub(crate) fn called_with(
    config: &str,
    verb: &str,
    socket: &Path,
    namespace: &str,
) -> (plugin::Answer, Duration) {
    let args = format!("K8S_POD_NAMESPACE=shop;K8S_POD_NAME=a;K8S_POD_UID={UID}");
    let env = |name: &str| {
        let value = match name {
            "CNI_COMMAND" => verb,
            "CNI_CONTAINERID" => "sandbox",
            "CNI_NETNS" => namespace,
            "CNI_ARGS" => &args,
            _ => return None,
        };
        Some(value.to_owned())
    };
    let begun = Instant::now();
    let answer = plugin::call(env, &config.replace("SOCKET", socket.to_str().unwrap()));
    (answer, begun.elapsed())
}
