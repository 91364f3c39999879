//! The agent with real pods' networks, real sockets behind a real redirect, and its plugin: early
//! connections are answered, a proxy's death refuses nobody, and no pod waits for an agent.
//!
//! More of it: `SUNUP_STAND_IN_RUNS=50 cargo test --release -p sunup-agent --test agent`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod agent {
    //! What these tests share, and longer ones.
    mod cost;
    pub(crate) mod kit;
    mod nri;
    mod succession;
}

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::kit::*;
use socket2::{Domain, Socket, Type};
use sunup_agent::serve::{self, Serving};
use sunup_agent::{Agent, Said, Settings, plugin};
use sunup_node::Host;
use sunup_node::wire::PodName;

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
    let runs = runs(6);
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

#[test]
fn the_plugin_tells_the_agent_and_hands_it_the_namespace() {
    let Some(network) = Network::new("the_plugin_tells_the_agent…") else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/agent.sock");
    let started = start(Duration::from_secs(60), proc());
    started.agent.pod(pod(NEW));
    let listener = serve::bind(&socket).unwrap();
    assert!(serve::bind(&socket).is_err(), "a second agent");
    let _serving = Serving::start(listener, &started.agent).unwrap();
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
    let _serving = Serving::start(listener, &agent).unwrap();
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
