//! Capture measured beside its peers in one run: time and memory of the whole process, of the
//! transaction alone, and what capture costs a connection.
//!
//! `cargo build --release -p sunup-cli && cargo run --release -p sunup-sys --example
//! bench_capture target/release/sunup` (as root, or under `unshare -Ur`).
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sunup_capture::ruleset::{Family, iptables};
use sunup_capture::{Host, Plan, Ruleset, Settings};
use sunup_sys::capture;
use sunup_sys::ns::Namespace;
use sunup_sys::route;

const DEFAULT: &[&str] = &[
    "-p",
    "15001",
    "-z",
    "15006",
    "-u",
    "1337",
    "-m",
    "REDIRECT",
    "-i",
    "*",
    "-b",
    "*",
    "-d",
    "15090,15021,15020",
];

fn plan(args: &[&str]) -> Plan {
    let args: Vec<&str> = args.iter().copied().chain(["--proxy-mark", "7"]).collect();
    Plan::new(Settings::from_args(&args, &[], &Host::default()).unwrap())
}

fn ranges(count: u32) -> String {
    let one = |n: u32| format!("{}.{}.{}.0/24", 20 + n / 16384, n / 128 % 128 * 2, n % 128 * 2);
    (0..count).map(one).collect::<Vec<_>>().join(",")
}

/// Runs a program in a fresh namespace; wall time and peak memory in KiB.
fn run(program: &str, args: &[&str], input: &str) -> (Duration, i64) {
    Namespace::new()
        .unwrap()
        .run(|| {
            let start = Instant::now();
            #[expect(clippy::zombie_processes, reason = "wait4 below waits for it")]
            let mut child = Command::new(program)
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::inherit())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let (ok, memory) = wait(&child);
            let took = start.elapsed();
            assert!(ok, "{program} {args:?}");
            (took, memory)
        })
        .unwrap()
}

/// Waits for a child; whether it succeeded, and its peak resident memory in KiB.
#[expect(unsafe_code, reason = "wait4 is the only way to one child's memory")]
fn wait(child: &std::process::Child) -> (bool, i64) {
    let pid = i32::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid `rusage`, a structure of plain numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables that the kernel fills in.
    let outcome = unsafe { libc::wait4(pid, &mut status, 0, &mut usage) };
    (outcome == pid && status == 0, usage.ru_maxrss)
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() * 9 / 10])
}

fn processes(title: &str, sunup: &str, args: &[&str], count: usize) {
    println!("{title} ({count} runs each, a fresh namespace each time)");
    let plan = plan(args);
    let nft = Ruleset::new(&plan).unwrap().to_nft();
    let restore = iptables::render(&plan, Family::Ip, "ISTIO", false);
    // One argument may be 128 KiB long at most: long lists come from a file.
    let file = std::env::temp_dir().join(format!("bench-capture-{}.json", std::process::id()));
    let list = args.iter().position(|arg| *arg == "-x").map_or("", |at| args[at + 1]);
    let text = format!("{{\"OutboundIPRangesExclude\": \"{list}\"}}");
    std::fs::write(&file, text).unwrap();
    let file = file.to_string_lossy().into_owned();
    let mut own: Vec<&str> = vec!["capture", "apply"];
    own.extend(DEFAULT.iter().copied().chain(["--proxy-mark", "7"]));
    if !list.is_empty() {
        own.extend(["--config", file.as_str()]);
    }
    let peers: [(&str, &str, Vec<&str>, &str); 4] = [
        ("sunup capture apply", sunup, own, ""),
        ("nft -f -", "nft", vec!["-f", "-"], &nft),
        ("iptables-restore", "iptables-restore", vec!["--noflush"], &restore),
        ("true (a process alone)", "true", vec![], ""),
    ];
    let mut results: Vec<(Vec<Duration>, i64)> = vec![(Vec::new(), 0); peers.len()];
    for _ in 0..count {
        for ((_, program, args, input), (times, memory)) in peers.iter().zip(&mut results) {
            let (took, peak) = run(program, args, input);
            times.push(took);
            *memory = (*memory).max(peak);
        }
    }
    let _ = std::fs::remove_file(&file);
    for ((name, ..), (times, memory)) in peers.iter().zip(results) {
        let least = times.iter().min().copied().unwrap_or_default();
        let (half, most) = median(times);
        println!(
            "  {name:24} least {least:>9.2?}   median {half:>10.2?}   p90 {most:>10.2?}   peak {memory:>6} KiB"
        );
    }
}

fn transaction(title: &str, args: &[&str], count: usize) {
    let ruleset = Ruleset::new(&plan(args)).unwrap();
    let times = (0..count).map(|_| {
        let work = || {
            let start = Instant::now();
            capture::apply(&ruleset).unwrap();
            start.elapsed()
        };
        Namespace::new().unwrap().run(work).unwrap()
    });
    let (half, most) = median(times.collect());
    println!("{title}: median {half:.2?}, p90 {most:.2?}");
}

/// Latency of a connection out of the pod, and throughput of one, with rules applied.
fn connections(title: &str, args: Option<&[&str]>) {
    let (pod, outside) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let to: SocketAddr = "10.9.0.1:9000".parse().unwrap();
    pod.run(|| {
        route::veth("eth0", "out0", outside.fd().as_fd()).unwrap();
        route::add_address("eth0", "10.9.0.2/24".parse().unwrap()).unwrap();
        route::link_up("eth0").unwrap();
    })
    .unwrap();
    let listener = outside
        .run(|| {
            route::add_address("out0", "10.9.0.1/24".parse().unwrap()).unwrap();
            route::link_up("out0").unwrap();
            TcpListener::bind(to).unwrap()
        })
        .unwrap();
    if let Some(args) = args {
        pod.run(|| capture::apply(&Ruleset::new(&plan(args)).unwrap()).unwrap()).unwrap();
    }
    const CONNECTIONS: usize = 3000;
    let server = std::thread::spawn(move || {
        for _ in 0..CONNECTIONS {
            drop(listener.accept().unwrap());
        }
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 256 * 1024];
        while stream.read(&mut buffer).unwrap() > 0 {}
    });
    let (latency, speed) = pod
        .run(|| {
            let times = (0..CONNECTIONS).map(|_| {
                let start = Instant::now();
                let stream = TcpStream::connect(to).unwrap();
                let took = start.elapsed();
                drop(stream);
                took
            });
            let latency = median(times.collect());
            let mut stream = TcpStream::connect(to).unwrap();
            let (start, block) = (Instant::now(), vec![0; 256 * 1024]);
            let mut bytes = 0;
            while start.elapsed() < Duration::from_secs(2) {
                stream.write_all(&block).unwrap();
                bytes += block.len();
            }
            (latency, bytes as f64 / start.elapsed().as_secs_f64() / 1e9)
        })
        .unwrap();
    server.join().unwrap();
    let (half, most) = latency;
    println!("  {title:44} connect median {half:>9.2?} p90 {most:>9.2?}   {speed:.2} GB/s");
}

/// What early connections come to, by the client's patience: the proxy listens after 0.05 to
/// 5 s (seeded), the client connects at once with a timeout.
fn early(runs: u64) {
    println!("early connections, proxy up after 0.05 to 5 s ({runs} runs per line)");
    for (gate, patience) in [("off", 2000), ("on", 500), ("on", 1000), ("on", 2000), ("on", 8000)] {
        let mut count = [0; 4];
        for chunk in (0..runs).collect::<Vec<_>>().chunks(16) {
            let outcomes: Vec<usize> = std::thread::scope(|scope| {
                let one = |n: &u64| {
                    let n = *n;
                    scope.spawn(move || early_connection(gate, patience, delay_ms(n)))
                };
                let threads: Vec<_> = chunk.iter().map(one).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            outcomes.into_iter().for_each(|outcome| count[outcome] += 1);
        }
        let [ok, refused, hopeless, late] = count;
        println!(
            "  gate {gate:3} timeout {patience:>5} ms: connected {ok:>4}, refused {refused:>4}, timed \
             out {hopeless:>4} with the proxy up less than 1.1 s before, {late:>3} otherwise"
        );
    }
}

/// From 50 ms to 5 s (splitmix64).
fn delay_ms(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    50 + (z ^ (z >> 31)) % 4951
}

/// 0 connected, 1 refused, 2 timed out in vain, 3 timed out although the proxy was up in time.
fn early_connection(gate: &str, patience_ms: u64, delay_ms: u64) -> usize {
    let pod = Namespace::new().unwrap();
    let to: SocketAddr = "192.0.2.9:80".parse().unwrap();
    pod.run(|| {
        // A way out, so that the kernel lets the connection begin.
        route::add_address("lo", "10.9.0.2/32".parse().unwrap()).unwrap();
        let peer = Namespace::new().unwrap();
        route::veth("eth0", "out0", peer.fd().as_fd()).unwrap();
        route::add_address("eth0", "192.0.2.1/24".parse().unwrap()).unwrap();
        peer.run(|| route::link_up("out0").unwrap()).unwrap();
        route::link_up("eth0").unwrap();
        let gate = format!("--start-gate={gate}");
        let args = [DEFAULT, &[gate.as_str()]].concat();
        capture::apply(&Ruleset::new(&plan(&args)).unwrap()).unwrap();
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                pod.run(|| TcpStream::connect_timeout(&to, Duration::from_millis(patience_ms)))
            });
            let pause = delay_ms.min(patience_ms + 50);
            std::thread::sleep(Duration::from_millis(pause));
            let _listener = TcpListener::bind("0.0.0.0:15001").unwrap();
            match client.join().unwrap().unwrap() {
                Ok(_) => 0,
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => 1,
                Err(_) if delay_ms + 1100 > patience_ms => 2,
                Err(_) => 3,
            }
        })
    })
    .unwrap()
}

fn main() {
    let sunup = std::env::args().nth(1).expect("the path of the sunup binary is the argument");
    processes("default plan", &sunup, DEFAULT, 40);
    let many = ranges(10_000);
    let with_many = [DEFAULT, &["-x", &many]].concat();
    processes("10,000 excluded ranges", &sunup, &with_many, 5);
    transaction("netlink transaction alone, default plan", DEFAULT, 60);
    transaction("netlink transaction alone, 10,000 ranges", &with_many, 10);
    println!("connections that go direct (3000 each; then one stream for 2 s)");
    let ten = ranges(10) + ",10.9.0.0/24";
    let all = format!("{many},10.9.0.0/24");
    connections("without capture", None);
    connections("capture, 11 excluded ranges", Some(&[DEFAULT, &["-x", &ten]].concat()));
    connections("capture, 10,001 excluded ranges", Some(&[DEFAULT, &["-x", &all]].concat()));
    connections("without capture, again", None);
    let runs = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(64);
    early(runs);
}
