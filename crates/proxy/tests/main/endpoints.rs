//! The proxy's own ports under clients who take what they can get: the kubelet is still answered.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::world::{World, with_world};

const PROBERS: &str = r#"{"/app-health/a/livez": {"tcpSocket": {"port": 8080}}}"#;

/// The kubelet: another address than the strangers', the pod's node.
fn probed(world: &World, port: u16, path: &str) -> Option<u16> {
    let mut stream = world.connect_from_outside(&format!("10.0.0.2:{port}")).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// From the pod's own address: here it is the stranger.
fn strangers(world: &World, port: u16, count: usize, say: &[u8]) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = world.connect(&format!("10.0.0.2:{port}")).ok()?;
        stream.set_nonblocking(true).ok()?;
        // As much as fits.
        for _ in 0..if say.is_empty() { 0 } else { 200 } {
            if stream.write(say).is_err() {
                break;
            }
        }
        Some(stream)
    };
    (0..count).filter_map(one).collect()
}

#[test]
fn who_never_reads_or_never_speaks_keeps_no_probe_out() {
    let test = "endpoints::who_never_reads_or_never_speaks_keeps_no_probe_out";
    with_world(test, |world| {
        world.application("0.0.0.0:8080", drop);
        let env = [
            ("ISTIO_KUBE_APP_PROBERS", PROBERS),
            ("INSTANCE_IP", "10.0.0.2"),
            ("HOST_IP", "10.0.0.1"),
        ];
        let proxy = world.ready_proxy(&env);
        let pipelined = b"GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50);
        let probes = [
            (15020, "/app-health/a/livez"),
            (15021, "/healthz/ready"),
            (15090, "/stats/prometheus"),
        ];
        for say in [&pipelined[..], b"", b"G"] {
            let held: Vec<_> =
                probes.map(|(port, _)| strangers(world, port, 300, say)).into_iter().collect();
            let mut late = 0;
            for (port, path) in probes {
                for _ in 0..10 {
                    let begun = Instant::now();
                    assert_eq!(probed(world, port, path), Some(200), "{port} {}", proxy.log());
                    late += usize::from(begun.elapsed() > Duration::from_secs(1));
                }
            }
            // A kubelet gives up after a second; it restarts nothing for one that is late.
            assert!(late <= 2, "{late} of 30");
            drop(held);
        }
        let text = world.metrics();
        assert!(text.contains("endpoint=\"agent\",reason=\"displaced\"}"), "{text}");
    });
}

#[test]
fn who_never_reads_an_answer_is_let_go() {
    with_world("endpoints::who_never_reads_an_answer_is_let_go", |world| {
        let _proxy = world.ready_proxy(&[]);
        let pipelined = b"GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50);
        let held = strangers(world, 15020, 5, &pipelined);
        let counted = "endpoint=\"agent\",reason=\"timeout\"} 5";
        world.until("all are let go", || world.metrics().contains(counted));
        drop(held);
    });
}

#[test]
fn nobody_from_elsewhere_passes_for_the_pod_by_way_of_capture() {
    let test = "endpoints::nobody_from_elsewhere_passes_for_the_pod_by_way_of_capture";
    with_world(test, |world| {
        // The agent's port isn't left out of capture: it is reached through the inbound side.
        world.capture(&["-i", "*", "-b", "*", "-d", "15090,15021"]);
        let mut proxy = world.ready_proxy(&[]);
        for (to, path) in [
            ("10.0.0.2:15020", "/quitquitquit"),
            ("10.0.0.2:15020", "/drain"),
            ("[fd00::2]:15020", "/quitquitquit"),
        ] {
            let mut stream = world.connect_from_outside(to).unwrap();
            let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 403"), "{to} {path}: {answer}");
        }
        assert_eq!(world.get(15021, "/healthz/ready").unwrap().0, 200);
        assert!(proxy.is_running());
    });
}
