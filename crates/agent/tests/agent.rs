//! The agent with real pods' networks, real sockets behind a real redirect, and its plugin: early
//! connections are answered, a proxy's death refuses nobody, and no pod waits for an agent.
//!
//! More of it: `SUNUP_STAND_IN_RUNS=50 cargo test --release -p sunup-agent --test agent`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_reuseport;
use socket2::{Domain, Protocol, Socket, Type};
use sunup_agent::{Agent, Said, Settings, plugin, serve};
use sunup_capture::{Plan, Ruleset};
use sunup_node::wire::PodName;
use sunup_node::{Host, Pod};
use sunup_sys::ns::Namespace;
use sunup_sys::route;

const PORT: u16 = 15001;
const UID: &str = "1c8f0a52-9a3e-4d51-8d7e-0f6f2a3b4c5d";

/// A pod's network, with capture as a mesh sets it and no gate.
struct Network {
    pod: Namespace,
    file: File,
    _outside: Namespace,
}

impl Network {
    fn new(test: &str) -> Option<Self> {
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
    fn path(&self) -> String {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&self.file.as_fd());
        format!("/proc/{}/fd/{fd}", std::process::id())
    }

    fn connect(&self, within: Duration) -> std::io::Result<TcpStream> {
        let to = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 9), 80));
        self.pod.run(|| TcpStream::connect_timeout(&to, within)).unwrap()
    }

    /// Connects and reads what it is answered.
    fn ask(&self, within: Duration) -> std::io::Result<String> {
        let mut stream = self.connect(within)?;
        stream.set_read_timeout(Some(within))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    fn listen(&self, shares: bool) -> std::io::Result<TcpListener> {
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
fn redirect(rules: &Ruleset) {
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
fn host_proc(pods: &[(&str, &str)]) -> tempfile::TempDir {
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
fn answer(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((mut stream, _)) => drop(stream.write_all(b"proxy")),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn pod(image: &str) -> Pod {
    let text = format!(
        r#"{{"metadata": {{"name": "a", "namespace": "shop", "uid": "{UID}"}},
            "spec": {{"containers": [{{"name": "app"}}, {{"name": "istio-proxy",
            "image": "{image}", "securityContext": {{"runAsUser": 0}}}}]}},
            "status": {{"phase": "Running", "podIPs": [{{"ip": "10.0.0.2"}}]}}}}"#
    );
    Pod::read(&serde_json::from_str(&text).unwrap()).unwrap()
}

fn name() -> PodName {
    PodName { namespace: "shop".into(), name: "a".into(), uid: UID.into() }
}

const NEW: &str = "istio/proxyv2:1.24.0";

struct Started {
    agent: Arc<Agent>,
    said: Arc<Mutex<Vec<Said>>>,
}

fn start(deadline: Duration, proc: &Path) -> Started {
    let host = Host { kernel: sunup_sys::host::kernel(), ..Host::default() };
    let said: Arc<Mutex<Vec<Said>>> = Arc::default();
    let heard = Arc::clone(&said);
    let settings = Settings { proc: proc.to_owned(), deadline, host };
    let hear = move |s: &Said| heard.lock().unwrap().push(s.clone());
    Started { agent: Agent::start(settings, Box::new(hear)).unwrap(), said }
}

impl Started {
    fn add(&self, network: &Network) -> String {
        let file = network.file.try_clone().unwrap();
        self.agent.add("sandbox", name(), vec!["10.0.0.2".into()], file).unwrap().mode
    }

    fn phase(&self) -> String {
        let status = self.agent.status().unwrap();
        status.pods[0].ports.first().map(|p| p.phase.clone()).unwrap_or_default()
    }

    fn wait_for(&self, phase: &str) {
        let end = Instant::now() + Duration::from_secs(5);
        while self.phase() != phase {
            assert!(Instant::now() < end, "{} is not {phase}", self.phase());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn proc() -> &'static Path {
    Path::new("/proc")
}

#[test]
fn early_connections_are_answered_as_soon_as_the_proxy_listens() {
    let Some(network) = Network::new("early_connections_are_answered…") else { return };
    let started = start(Duration::from_secs(60), proc());
    started.agent.pod(pod(NEW));
    assert_eq!(started.add(&network), "stand-in");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..40)
            .map(|n| {
                let network = &network;
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(10 * n));
                    let begun = Instant::now();
                    let stream = network.connect(Duration::from_millis(500));
                    let connected = begun.elapsed();
                    let mut text = String::new();
                    let read = stream.and_then(|mut stream| {
                        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
                        stream.read_to_string(&mut text)
                    });
                    (connected, read.map(|_| text))
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(250));
        assert_eq!(started.phase(), "stood-in");
        let listener = network.listen(true).unwrap();
        let serving = scope.spawn({
            let stop = &stop;
            move || answer(&listener, stop)
        });
        for client in clients {
            let (connected, text) = client.join().unwrap();
            assert_eq!(text.unwrap(), "proxy");
            assert!(connected < Duration::from_millis(400), "{connected:?}");
        }
        started.wait_for("served");
        stop.store(true, Ordering::SeqCst);
        serving.join().unwrap();
    });
    let counters = started.agent.counters().unwrap();
    assert!((10..=40).contains(&counters.handed_over), "{counters:?}");
    assert_eq!((counters.expired, counters.troubles), (0, 0));
    // The proxy is gone: its successor is stood in for.
    started.wait_for("stood-in");
    started.agent.del("sandbox");
    assert_eq!(started.agent.status().unwrap().pods, []);
}

#[test]
fn a_proxy_that_dies_again_and_again_refuses_nobody() {
    let Some(network) = Network::new("a_proxy_that_dies_again_and_again…") else { return };
    let runs = std::env::var("SUNUP_STAND_IN_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let started = start(Duration::from_secs(60), proc());
    started.agent.pod(pod(NEW));
    started.add(&network);
    let over = AtomicBool::new(false);
    let outcomes: Vec<std::io::Result<()>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (network, over) = (&network, &over);
                scope.spawn(move || {
                    let mut out = Vec::new();
                    while !over.load(Ordering::SeqCst) {
                        let connected = network.connect(Duration::from_secs(5));
                        out.push(connected.map(|mut stream| {
                            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                            let _ = stream.read(&mut [0; 8]);
                        }));
                    }
                    out
                })
            })
            .collect();
        for _ in 0..runs {
            let listener = network.listen(true).unwrap();
            let stop = AtomicBool::new(false);
            std::thread::scope(|inner| {
                inner.spawn(|| answer(&listener, &stop));
                started.wait_for("served");
                std::thread::sleep(Duration::from_millis(30));
                stop.store(true, Ordering::SeqCst);
            });
            drop(listener);
            started.wait_for("stood-in");
        }
        let listener = network.listen(true).unwrap();
        over.store(true, Ordering::SeqCst);
        let stop = AtomicBool::new(false);
        std::thread::scope(|inner| {
            inner.spawn(|| answer(&listener, &stop));
            let all = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
            stop.store(true, Ordering::SeqCst);
            all
        })
    });
    // A reset is that of a connection which the dead proxy had: it was made.
    let refused = |error: &std::io::Error| error.kind() != std::io::ErrorKind::ConnectionReset;
    let failed: Vec<_> = outcomes.iter().filter(|o| o.as_ref().is_err_and(refused)).collect();
    assert!(outcomes.len() > runs, "{} connections", outcomes.len());
    assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), outcomes.len());
}

#[test]
fn a_proxy_that_never_comes_becomes_an_error_and_is_told() {
    let Some(network) = Network::new("a_proxy_that_never_comes…") else { return };
    let started = start(Duration::from_millis(400), proc());
    started.agent.pod(pod(NEW));
    started.add(&network);
    let begun = Instant::now();
    let outcome = network.ask(Duration::from_secs(5));
    assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(begun.elapsed() > Duration::from_millis(350), "{:?}", begun.elapsed());
    started.wait_for("expired");
    let said = started.said.lock().unwrap().clone();
    assert!(said.contains(&Said::Expired { pod: name(), port: PORT, queued: 1 }), "{said:?}");
    // The gate holds once more, by its own deadline, and then lets refusals through.
    let refused = network.ask(Duration::from_secs(5)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn what_is_not_known_to_be_safe_gets_the_gate_and_its_proxy_starts() {
    let Some(network) = Network::new("what_is_not_known_to_be_safe…") else { return };
    let started = start(Duration::from_secs(60), proc());
    started.agent.pod(pod("corp/sidecar:9"));
    assert_eq!(started.add(&network), "gate");
    assert_eq!(started.phase(), "");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let early = scope.spawn(|| network.ask(Duration::from_secs(4)));
        std::thread::sleep(Duration::from_millis(100));
        let listener = network.listen(false).unwrap();
        let serving = scope.spawn({
            let stop = &stop;
            move || answer(&listener, stop)
        });
        assert_eq!(early.join().unwrap().unwrap(), "proxy");
        stop.store(true, Ordering::SeqCst);
        serving.join().unwrap();
    });
    let status = started.agent.status().unwrap();
    assert!(status.pods[0].refusals_dropped > 0, "{status:?}");
    assert_eq!(status.pods[0].reason, "proxy-version-unknown");
}

#[test]
fn a_pod_that_is_told_of_late_has_the_gate_until_then() {
    let Some(network) = Network::new("a_pod_that_is_told_of_late…") else { return };
    let started = start(Duration::from_secs(60), proc());
    assert_eq!(started.add(&network), "gate");
    started.agent.pod(pod(NEW));
    started.wait_for("stood-in");
    // It ends: nothing is left.
    started.agent.pod_gone(UID);
    assert_eq!(started.agent.status().unwrap().pods, []);
    assert!(network.listen(false).is_ok());
}

#[test]
fn a_pod_that_ran_before_is_found_by_its_processes_and_armed_for_the_next_restart() {
    let Some(network) = Network::new("a_pod_that_ran_before…") else { return };
    let proxy = network.listen(true).unwrap();
    // Another one, without a mesh, stands beside it.
    const OTHER: &str = "3c8f0a52-9a3e-4d51-8d7e-0f6f2a3b4c5d";
    let folder = host_proc(&[(UID, &network.path()), (OTHER, "/proc/thread-self/ns/net")]);
    let mut beside = pod("corp/sidecar:9");
    beside.metadata.uid = OTHER.to_owned();
    beside.metadata.name = "b".to_owned();
    beside.spec.containers.truncate(1);
    let started = start(Duration::from_secs(60), folder.path());
    started.agent.pod(pod(NEW));
    started.agent.pod(beside);
    started.agent.adopt();
    assert_eq!(started.agent.status().unwrap().pods.len(), 2);
    // No plugin was called.
    assert_eq!(started.agent.counters().unwrap().calls.get("add"), None);
    started.wait_for("served");
    let said = started.said.lock().unwrap().clone();
    assert!(!said.iter().any(|s| matches!(s, Said::HandedOver { .. })), "{said:?}");
    drop(proxy);
    started.wait_for("stood-in");
}

/// A runtime may give no uid, or a static pod's, which is not its mirror's.
#[test]
fn a_pod_that_its_runtime_calls_otherwise_is_armed_once() {
    let Some(network) = Network::new("a_pod_that_its_runtime_calls_otherwise…") else { return };
    let folder = host_proc(&[(UID, &network.path())]);
    let mut told = pod(NEW);
    told.metadata.annotations.insert("kubernetes.io/config.mirror".into(), "5f00".into());
    for uid in ["", "5f00"] {
        let started = start(Duration::from_secs(60), folder.path());
        let file = network.file.try_clone().unwrap();
        let called = PodName { uid: uid.to_owned(), ..name() };
        started.agent.add("sandbox", called, vec!["10.0.0.2".into()], file).unwrap();
        // Told of late: what it is armed with is decided again.
        started.agent.pod(told.clone());
        started.wait_for("stood-in");
        started.agent.adopt();
        let pods = started.agent.status().unwrap().pods;
        assert_eq!(pods.len(), 1, "{uid:?}: {pods:?}");
        assert_eq!(started.agent.counters().unwrap().calls.get("add"), Some(&1));
    }
}

#[test]
fn the_nodes_own_network_is_left_alone() {
    let started = start(Duration::from_secs(60), proc());
    let Ok(own) = File::open("/proc/1/ns/net") else { return };
    let refused = started.agent.add("s", name(), Vec::new(), own).unwrap_err();
    assert!(refused.to_string().contains("node's own"), "{refused}");
    assert_eq!(started.agent.status().unwrap().pods, []);
}

const CONFIG: &str = r#"{"cniVersion":"1.0.0","name":"n","type":"sunup-cni","socket":"SOCKET",
    "prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]}}"#;

fn called(verb: &str, socket: &Path, namespace: &str) -> (plugin::Answer, Duration) {
    called_with(CONFIG, verb, socket, namespace)
}

fn called_with(
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

#[test]
fn the_plugin_tells_the_agent_and_hands_it_the_namespace() {
    let Some(network) = Network::new("the_plugin_tells_the_agent…") else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/agent.sock");
    let started = start(Duration::from_secs(60), proc());
    started.agent.pod(pod(NEW));
    let listener = serve::bind(&socket).unwrap();
    assert!(serve::bind(&socket).is_err(), "a second agent");
    let agent = Arc::clone(&started.agent);
    std::thread::spawn(move || serve::run(&listener, &agent));
    let path = network.path();
    let (answer, took) = called("ADD", &socket, &path);
    assert_eq!(answer.said, None);
    assert!(answer.out.starts_with(r#"{"cniVersion":"1.0.0","ips""#), "{}", answer.out);
    assert!(took < plugin::WITHIN, "{took:?}");
    assert_eq!(started.phase(), "stood-in");
    let status = plugin::status(&socket).unwrap();
    assert_eq!((status.pods.len(), status.pods[0].mode.as_str()), (1, "stand-in"));
    assert_eq!(
        called("CHECK", &socket, &path).0,
        plugin::Answer { out: String::new(), said: None }
    );
    assert_eq!(called("DEL", &socket, "").0.said, None);
    assert_eq!(plugin::status(&socket).unwrap().pods, []);
}

/// So that the kubelet, which asks as much, starts it again.
#[test]
fn an_agent_whose_thread_has_ended_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let host = Host::default();
    let settings = Settings { proc: proc().to_owned(), deadline: Duration::ZERO, host };
    let agent = Agent::start(settings, Box::new(|_| panic!("its thread ends here"))).unwrap();
    let listener = serve::bind(&socket).unwrap();
    let serving = Arc::clone(&agent);
    std::thread::spawn(move || serve::run(&listener, &serving));
    assert_eq!(plugin::status(&socket).unwrap().pods, []);
    plugin::alive(&socket).unwrap();
    let nothing = File::open("/dev/null").unwrap();
    let _ = agent.add("sandbox", name(), Vec::new(), nothing);
    assert!(plugin::status(&socket).is_err() && plugin::alive(&socket).is_err());
}

#[test]
fn no_pod_waits_for_an_agent() {
    let folder = tempfile::tempdir().unwrap();
    // 200 ms, and what a busy machine adds.
    let late = Duration::from_millis(350);
    // More than a socket's buffer has room for.
    let long = format!("{{\"address\":\"{}\"}},", "1".repeat(1 << 20));
    let long = CONFIG.replace("[{", &format!("[{long}{{"));
    let odd_with = |config: &str, socket: &Path, namespace: &str| {
        let (answer, took) = called_with(config, "ADD", socket, namespace);
        assert!(answer.out.contains("10.0.0.2/24"), "{:?}", answer.said);
        let said = answer.said.unwrap();
        assert!(said.len() < 400 && !said.contains('\n'), "{said}");
        assert!(took < late, "{took:?}: {said}");
        said
    };
    let odd = |socket: &Path, namespace: &str| odd_with(CONFIG, socket, namespace);
    let own = "/proc/self/ns/net";
    assert!(odd(&folder.path().join("nobody"), own).contains("No such file"));
    // One that listens and never accepts, one whose queue is full, one that closes, one that babbles,
    // one that reads a little at a time.
    let silent = folder.path().join("silent");
    let listener = UnixListener::bind(&silent).unwrap();
    odd(&silent, own);
    let full = folder.path().join("full");
    let filled = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    filled.bind(&socket2::SockAddr::unix(&full).unwrap()).unwrap();
    filled.listen(0).unwrap();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&socket2::SockAddr::unix(&full).unwrap());
            socket
        })
        .collect();
    odd(&full, own);
    drop(waiting);
    let closing = folder.path().join("closing");
    let closer = UnixListener::bind(&closing).unwrap();
    std::thread::spawn(move || closer.incoming().for_each(drop));
    odd(&closing, own);
    let babbling = folder.path().join("babbling");
    let babbler = UnixListener::bind(&babbling).unwrap();
    std::thread::spawn(move || {
        for mut stream in babbler.incoming().flatten() {
            while stream.write_all(&[b'x'; 65536]).is_ok() {}
        }
    });
    odd(&babbling, own);
    let sipping = folder.path().join("sipping");
    let sipper = UnixListener::bind(&sipping).unwrap();
    std::thread::spawn(move || {
        for mut stream in sipper.incoming().flatten() {
            while stream.read(&mut [0; 16384]).is_ok_and(|read| read > 0) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    odd_with(&long, &sipping, own);
    assert!(odd(&silent, "/nowhere").contains("CNI_NETNS"));
    drop(listener);
}
