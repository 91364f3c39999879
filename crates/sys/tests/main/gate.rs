//! The start gate with real sockets: connections made before the proxy listens wait, whatever
//! made them; a proxy that never comes becomes an error; an outage arms the gate again.
//!
//! More runs of the seeded test: `SUNUP_GATE_RUNS=1000 cargo test -p sunup-sys --test main
//! gate::early -- --nocapture`. Envoy is taken from `SUNUP_ENVOY` or the `PATH`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use sunup_sys::capture::{self, PortState};

use crate::lifecycle::{plan, ruleset};
use crate::world::{Owner, Probe, Servers, World, listen, pod_address, with_namespaces};

/// The proxy is known by its mark, so that one uid is enough.
const MARK: &str = "7";
const PORT: u16 = 15001;

/// Somewhere outside, captured.
fn destination(ipv6: bool) -> SocketAddr {
    if ipv6 { "[fd77::9]:80" } else { "192.0.2.9:80" }.parse().unwrap()
}

fn world(args: &[&str]) -> World {
    let world = World::new(&["eth0"]);
    let args: Vec<&str> = [&["--proxy-mark", MARK], args].concat();
    world.pod.run(|| capture::apply(&ruleset(&args)).unwrap()).unwrap();
    world
}

fn proxy(world: &World) -> Servers {
    let owner = Owner { mark: Some(7), ..Owner::default() };
    Servers::start(&world.pod, "proxy", owner, &[PORT, 15006, 15053], &[15053])
}

fn state(world: &World, ipv6: bool) -> PortState {
    let report = world.pod.run(|| capture::check(None).unwrap()).unwrap();
    let gate = report.gate.iter().find(|g| g.family == if ipv6 { "ip6" } else { "ip" }).unwrap();
    gate.ports.iter().find(|(port, _)| *port == PORT).unwrap().1.clone()
}

/// Connects with a blocking socket; how long it took, and what came of it.
fn connect(to: SocketAddr, timeout: Duration) -> (Duration, std::io::Result<String>) {
    let start = Instant::now();
    let outcome = TcpStream::connect_timeout(&to, timeout).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    });
    (start.elapsed(), outcome)
}

fn refused(outcome: &std::io::Result<String>) -> bool {
    outcome.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// The n-th delay of the seeded series, from 50 ms to 5 s (splitmix64).
fn delay(n: u64) -> Duration {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Duration::from_millis(50 + (z ^ (z >> 31)) % 4951)
}

/// A client program: its argument order is address, port, timeout in seconds.
const PYTHON_BLOCKING: &str = "
import socket, sys, time
t = time.time()
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).recv(9)
    print('ok')
except Exception as e:
    print('failed', type(e).__name__)
";
const PYTHON_ASYNC: &str = "
import asyncio, sys
async def main():
    try:
        r, w = await asyncio.wait_for(asyncio.open_connection(sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
        await r.read(9)
        print('ok')
    except Exception as e:
        print('failed', type(e).__name__)
asyncio.run(main())
";
const NODE: &str = "
const [host, port, timeout] = process.argv.slice(-3);
const s = require('net').connect(Number(port), host);
const t = setTimeout(() => { console.log('failed timeout'); process.exit(0); }, 1000 * timeout);
s.on('data', () => { console.log('ok'); process.exit(0); });
s.on('error', (e) => { console.log('failed', e.code); process.exit(0); });
";

/// Starts a client program in the calling thread's namespace.
fn client(program: &str, option: &str, code: &str, timeout: Duration) -> Option<Child> {
    let to = destination(false);
    let child = Command::new(sunup_testkit::program(program)?)
        .args([option, code, &to.ip().to_string(), &to.port().to_string()])
        .arg(timeout.as_secs_f64().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    child.ok()
}

fn nonblocking(to: SocketAddr, timeout: Duration) -> std::io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&to.into()) {
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {}
        other => return other,
    }
    let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
    let wait = Timespec::try_from(timeout).unwrap();
    if poll(&mut fds, Some(&wait))? == 0 {
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    socket.take_error()?.map_or(Ok(()), Err)
}

/// What clients of all kinds came to in one run, as (kind, outcome).
fn early_clients(world: &World, timeout: Duration) -> Vec<(&'static str, String)> {
    world
        .pod
        .run(|| {
            let mut children = Vec::new();
            for (kind, program, option, code) in [
                ("python, blocking", "python3", "-c", PYTHON_BLOCKING),
                ("python, asyncio", "python3", "-c", PYTHON_ASYNC),
                ("node", "node", "-e", NODE),
            ] {
                children.extend(client(program, option, code, timeout).map(|child| (kind, child)));
            }
            let blocking = connect(destination(false), timeout).1.map(|_| ());
            let nonblocking = nonblocking(destination(false), timeout);
            let words = |outcome: std::io::Result<()>| match outcome {
                Ok(()) => "ok".to_owned(),
                Err(error) => format!("failed {error}"),
            };
            let mut out = vec![
                ("rust, blocking", words(blocking)),
                ("rust, non-blocking", words(nonblocking)),
            ];
            for (kind, child) in children {
                let output = child.wait_with_output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                out.push((kind, if text.is_empty() { error } else { text }));
            }
            out
        })
        .unwrap()
}

#[test]
fn early_connections_of_every_kind_succeed() {
    let test = "gate::early_connections_of_every_kind_succeed";
    with_namespaces(test, |_| {
        for program in ["python3", "node"] {
            sunup_testkit::require(test, program, sunup_testkit::program(program));
        }
        let runs = std::env::var("SUNUP_GATE_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
        let delays: Vec<Duration> = (0..runs).map(delay).collect();
        let mut connections = 0;
        for chunk in delays.chunks(8) {
            let outcomes: Vec<_> = std::thread::scope(|scope| {
                let one = |delay: Duration| {
                    let world = world(&["-i", "*"]);
                    std::thread::scope(|inner| {
                        let starts = inner.spawn(|| {
                            std::thread::sleep(delay);
                            proxy(&world)
                        });
                        // The client's patience is two seconds beyond the proxy's start; the
                        // programs themselves take a while to start on a busy machine.
                        let outcomes = early_clients(&world, delay + Duration::from_millis(2500));
                        drop(starts.join());
                        outcomes
                    })
                };
                let threads: Vec<_> =
                    chunk.iter().map(|d| (*d, scope.spawn(move || one(*d)))).collect();
                threads.into_iter().map(|(delay, thread)| (delay, thread.join().unwrap())).collect()
            });
            for (delay, outcomes) in outcomes {
                for (kind, outcome) in outcomes {
                    connections += 1;
                    assert_eq!(outcome, "ok", "{kind}, proxy up after {delay:?}");
                }
            }
        }
        eprintln!("{connections} connections in {runs} runs, none failed");
    });
}

#[test]
fn without_the_gate_the_same_connections_are_refused() {
    with_namespaces("gate::without_the_gate_the_same_connections_are_refused", |_| {
        let world = world(&["-i", "*", "--start-gate=off"]);
        for (kind, outcome) in early_clients(&world, Duration::from_secs(2)) {
            assert!(outcome.to_lowercase().contains("refused"), "{kind}: {outcome}");
        }
    });
}

#[test]
fn a_proxy_that_never_comes_is_refused_at_the_deadline_and_an_outage_arms_again() {
    let test = "gate::a_proxy_that_never_comes_is_refused_at_the_deadline_and_an_outage_arms_again";
    with_namespaces(test, |_| {
        for ipv6 in [false, true] {
            let world = world(&["-i", "*", "--start-gate-deadline=1500ms"]);
            let to = destination(ipv6);
            let patience = Duration::from_secs(6);
            let connect = || world.pod.run(|| connect(to, patience)).unwrap();
            assert_eq!(state(&world, ipv6), PortState::Armed);
            let (took, outcome) = connect();
            assert!(refused(&outcome), "{outcome:?}");
            assert!(
                took > Duration::from_millis(1400) && took < Duration::from_secs(4),
                "{took:?}"
            );
            assert_eq!(state(&world, ipv6), PortState::Expired);
            let (took, outcome) = connect();
            assert!(refused(&outcome) && took < Duration::from_millis(500), "{took:?} {outcome:?}");
            let listening = proxy(&world);
            let (_, outcome) = connect();
            assert!(outcome.unwrap().starts_with("proxy:15001"), "while it listens");
            assert_eq!(state(&world, ipv6), PortState::Armed);
            drop(listening);
            let again = std::thread::scope(|scope| {
                let waits = scope.spawn(connect);
                std::thread::sleep(Duration::from_millis(600));
                assert!(matches!(state(&world, ipv6), PortState::Holding(Some(_))), "an outage");
                let _listening = proxy(&world);
                waits.join().unwrap()
            });
            assert!(again.1.unwrap().starts_with("proxy:15001"), "the next outage is waited out");
        }
    });
}

/// Who dials the port itself, and was not led to it, learns at once that nobody listens.
#[test]
fn only_refusals_of_what_was_redirected_are_held() {
    with_namespaces("gate::only_refusals_of_what_was_redirected_are_held", |_| {
        let world = world(&["-i", "*", "--start-gate-deadline=30s"]);
        for own in ["127.0.0.1:15001", "[::1]:15001"] {
            let to = own.parse().unwrap();
            let (took, outcome) = world.pod.run(|| connect(to, Duration::from_secs(5))).unwrap();
            assert!(
                refused(&outcome) && took < Duration::from_millis(500),
                "{own} {took:?} {outcome:?}"
            );
        }
        assert_eq!(state(&world, false), PortState::Armed, "a stranger arms nothing");
        let waits = world.pod.run(|| connect(destination(false), Duration::from_secs(2))).unwrap();
        assert!(waits.1.is_err() && !refused(&waits.1), "what is captured waits: {waits:?}");
    });
}

#[test]
fn a_deadline_of_zero_is_never() {
    with_namespaces("gate::a_deadline_of_zero_is_never", |_| {
        let world = world(&["-i", "*", "--start-gate-deadline", "0"]);
        let attempt = || connect(destination(false), Duration::from_millis(2500));
        let (_, outcome) = world.pod.run(attempt).unwrap();
        assert!(!refused(&outcome) && outcome.is_err(), "{outcome:?}");
        assert_eq!(state(&world, false), PortState::Holding(None));
    });
}

#[test]
fn a_killed_proxy_resets_what_is_open_and_holds_what_is_new() {
    with_namespaces("gate::a_killed_proxy_resets_what_is_open_and_holds_what_is_new", |_| {
        let world = world(&["-i", "*"]);
        let listener = world.pod.run(|| listen(PORT).unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let to = destination(false);
        let mut open = world.pod.run(|| TcpStream::connect(to).unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        open.write_all(b"hello").unwrap();
        // What the kernel does for a killed process: sockets closed with data unread.
        std::thread::sleep(Duration::from_millis(50));
        drop((served, listener));
        open.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let error = open.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        let outcome = std::thread::scope(|scope| {
            let waits = scope.spawn(|| world.pod.run(|| connect(to, Duration::from_secs(5))));
            std::thread::sleep(Duration::from_millis(400));
            let _proxy = proxy(&world);
            waits.join().unwrap().unwrap()
        });
        assert!(outcome.1.unwrap().starts_with("proxy:15001"));
    });
}

#[test]
fn dns_is_held_over_tcp_and_datagrams_are_never_refused() {
    with_namespaces("gate::dns_is_held_over_tcp_and_datagrams_are_never_refused", |_| {
        for (ipv6, server) in [(false, "10.96.0.10:53"), (true, "[fd00:96::10]:53")] {
            let server: SocketAddr = server.parse().unwrap();
            let world = world(&["-i", "*", "--redirect-dns"]);
            let send = || {
                let query = Probe { udp: true, ..Probe::tcp(server) };
                (query.send(), query.send())
            };
            let answers = world.pod.run(send).unwrap();
            assert_eq!(answers, ("silence".to_owned(), "silence".to_owned()), "ipv6: {ipv6}");
            let outcome = std::thread::scope(|scope| {
                let waits =
                    scope.spawn(|| world.pod.run(|| connect(server, Duration::from_secs(5))));
                std::thread::sleep(Duration::from_millis(300));
                let _proxy = proxy(&world);
                waits.join().unwrap().unwrap()
            });
            assert!(outcome.1.unwrap().starts_with("proxy:15053"), "ipv6: {ipv6}");
        }
    });
}

/// Without Istio's zones (a proxy that answers as somebody else), the kernel does tell the
/// application that nobody listens: then the gate must hold that back, with its deadline.
#[test]
fn refused_datagrams_are_held_until_the_deadline() {
    with_namespaces("gate::refused_datagrams_are_held_until_the_deadline", |_| {
        for (family, own) in [("ip", "127.0.0.1:15053"), ("ip6", "[::1]:15053")] {
            let world = world(&["-i", "*", "--redirect-dns", "--start-gate-deadline=1s"]);
            // Straight to the port, as a resolver configured so would: no zone, no translation.
            let own: SocketAddr = own.parse().unwrap();
            let ask = || world.pod.run(|| Probe { udp: true, ..Probe::tcp(own) }.send()).unwrap();
            assert_eq!(ask(), "silence");
            let dns = || {
                let report = world.pod.run(|| capture::check(None).unwrap()).unwrap();
                report.gate.into_iter().find(|g| g.family == family).unwrap().dns.unwrap()
            };
            assert!(matches!(dns(), PortState::Holding(Some(_))));
            std::thread::sleep(Duration::from_millis(1100));
            assert_eq!(dns(), PortState::Expired);
            assert_eq!(ask(), "refused");
            let listening = proxy(&world);
            assert_eq!(ask(), "proxy:15053 answered");
            assert_eq!(dns(), PortState::Armed);
            drop(listening);
            assert_eq!(ask(), "silence");
        }
    });
}

#[test]
fn the_iptables_backend_holds_and_lets_go_too() {
    let test = "gate::the_iptables_backend_holds_and_lets_go_too";
    with_namespaces(test, |_| {
        let program = sunup_testkit::program("iptables-restore");
        if sunup_testkit::require(test, "iptables", program).is_none() {
            return;
        }
        let world = World::new(&["eth0"]);
        let args = ["-i", "*", "--proxy-mark", MARK, "--start-gate-deadline=2s"];
        let apply = || capture::apply_iptables(&plan(&args), capture::Binary::Default);
        match world.pod.run(apply).unwrap() {
            Ok(()) => {}
            Err(error) => {
                // The gate needs the module xt_recent, which some kernels lack.
                let none: Option<()> = None;
                sunup_testkit::require(test, &format!("xt_recent ({error})"), none);
                return;
            }
        }
        let attempt = |ms| world.pod.run(|| connect(destination(false), Duration::from_millis(ms)));
        let (_, early) = attempt(500).unwrap();
        assert!(!refused(&early) && early.is_err(), "{early:?}");
        let (took, late) = attempt(8000).unwrap();
        assert!(refused(&late) && took < Duration::from_secs(5), "{took:?} {late:?}");
        let listening = proxy(&world);
        assert!(attempt(1000).unwrap().1.unwrap().starts_with("proxy:15001"));
        drop(listening);
        let (_, next) = attempt(500).unwrap();
        assert!(!refused(&next) && next.is_err(), "armed again: {next:?}");
    });
}

#[test]
fn inbound_is_held_only_on_request() {
    with_namespaces("gate::inbound_is_held_only_on_request", |_| {
        let to = SocketAddr::new(pod_address(0, false), 80);
        let ask =
            |world: &World| world.outside.run(|| connect(to, Duration::from_millis(700))).unwrap();
        let (took, outcome) = ask(&world(&["-b", "*"]));
        assert!(refused(&outcome) && took < Duration::from_millis(500), "{took:?} {outcome:?}");
        let held = world(&["-b", "*", "--start-gate-inbound=on"]);
        let (_, outcome) = ask(&held);
        assert!(!refused(&outcome) && outcome.is_err(), "{outcome:?}");
    });
}

/// A static configuration: what arrives on 15001 goes on to where it was going, marked.
const ENVOY: &str = r#"{"static_resources": {
  "listeners": [{"name": "outbound",
    "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15001}},
    "listener_filters": [{"name": "envoy.filters.listener.original_dst", "typed_config":
      {"@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],
    "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config":
      {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
       "stat_prefix": "outbound", "cluster": "onward"}}]}]}],
  "clusters": [{"name": "onward", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
    "connect_timeout": "2s", "upstream_bind_config": {
      "source_address": {"address": "0.0.0.0", "port_value": 0},
      "socket_options": [{"level": 1, "name": 36, "int_value": 7, "state": "STATE_PREBIND"}]}}]}}"#;

#[test]
fn envoy_is_waited_for() {
    let test = "gate::envoy_is_waited_for";
    with_namespaces(test, |_| {
        let given = std::env::var_os("SUNUP_ENVOY").map(std::path::PathBuf::from);
        let envoy = given.or_else(|| sunup_testkit::program("envoy"));
        let Some(envoy) = sunup_testkit::require(test, "Envoy", envoy) else { return };
        let world = world(&["-i", "*"]);
        let _outside = Servers::outside(&world);
        let to = destination(false);
        let start = || {
            let envoy = Command::new(&envoy)
                .args(["--config-yaml", ENVOY, "--use-dynamic-base-id", "--concurrency", "1"])
                .args(["--log-level", "error"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            envoy.unwrap()
        };
        let started = Instant::now();
        let (outcome, mut envoy) = std::thread::scope(|scope| {
            let waits = scope.spawn(|| world.pod.run(|| connect(to, Duration::from_secs(20))));
            std::thread::sleep(Duration::from_millis(300));
            let envoy = world.pod.run(start).unwrap();
            (waits.join().unwrap().unwrap(), envoy)
        });
        let _ = envoy.kill();
        let _ = envoy.wait();
        let text = outcome.1.unwrap();
        assert!(text.starts_with("outside:9999 for 192.0.2.9:80"), "{text}");
        eprintln!("connected through Envoy after {:?}", started.elapsed());
        let (_, outcome) = world.pod.run(|| connect(to, Duration::from_millis(700))).unwrap();
        assert!(!refused(&outcome) && outcome.is_err(), "killed, new ones wait: {outcome:?}");
    });
}
