//! Sunup's proxy beside HAProxy, nginx and, where `SUNUP_ENVOY` names it, Envoy, one worker each, in
//! one run: requests and new connections per second, processor time, memory, start. Needs root (or
//! `unshare -Ur`), haproxy, nginx and taskset.
//!
//! The proxy under test has core 0 to itself; load generator and origin are one thread on core 1,
//! whose load is told: below 100 % it isn't what bounds the figures. Pod and origin are two network
//! namespaces, new for each measurement, so that the sidecar is measured behind real capture and
//! nobody inherits what another left behind. Contenders take turns, round by round.
//!
//! Arguments: words, of which a contender's name has to contain one. `SUNUP_ROUNDS`: 5.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a bench that can't go on stops")]
#![expect(clippy::print_stdout, reason = "its table is its output")]

mod contenders;
mod load;
mod table;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use sunup_capture::{Host, Plan, Ruleset, Settings};
use sunup_proxy::config::ChosenPorts;
use sunup_proxy::{Level, Options, Role};
use sunup_sys::ns::Namespace;
use sunup_sys::{capture, route};

use crate::contenders::{Contender, MARK, ORIGIN, Way, sunup};
use crate::load::Pattern;
use crate::table::{Measured, Memory, Rate};

const TIME: Duration = Duration::from_millis(1500);
const STREAM_TIME: Duration = Duration::from_millis(700);
/// A proxy needs two files for each, and many systems allow 20,000.
const IDLE_CONNECTIONS: usize = 9_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("proxy") => be_the_proxy(args.get(1).map(PathBuf::from)),
        _ => compare(&args),
    }
}

fn be_the_proxy(gateway: Option<PathBuf>) {
    let code = sunup_proxy::run(Options {
        role: gateway.map_or(Role::Sidecar, Role::Gateway),
        resolv_conf: "/etc/resolv.conf".into(),
        started: Instant::now(),
        env: std::env::vars().collect::<BTreeMap<_, _>>(),
        mesh_file: None,
        ports: ChosenPorts::default(),
        log: Box::new(std::io::sink()),
        level: Level::Error,
        log_json: false,
    });
    std::process::exit(i32::from(code.unwrap()));
}

fn compare(words: &[String]) {
    let mut files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    files.current = files.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, files).unwrap();
    let rounds = std::env::var("SUNUP_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let mut contenders = contenders::all();
    contenders.retain(|c| words.is_empty() || words.iter().any(|word| c.name.contains(word)));
    let mut all: Vec<Vec<Measured>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (contender, measured) in contenders.iter().zip(&mut all) {
            measured.push(World::new(contender).measure(contender, round == 0));
        }
    }
    table::print(&contenders, &all);
    if words.is_empty() {
        start_times();
    }
    println!(
        "\n{rounds} rounds; the proxy had core 0, load generator and origin shared core 1; {} cores \
         here, load {}.",
        std::thread::available_parallelism().map_or(0, usize::from),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
}

/// A pod and an origin outside of it, joined by a virtual cable.
struct World {
    pod: Namespace,
    outside: Namespace,
    dir: tempfile::TempDir,
}

impl World {
    fn new(contender: &Contender) -> Self {
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
        let world = Self { pod, outside, dir: tempfile::tempdir().unwrap() };
        if contender.way == Way::Captured {
            world.capture();
        }
        world
    }

    fn capture(&self) {
        let host = Host { addresses: Some(vec!["10.0.0.2".parse().unwrap()]), ..Host::default() };
        let args = ["-i", "*", "-b", "*", "-d", "15090,15021,15020", "--proxy-mark", MARK];
        let plan = Plan::new(Settings::from_args(&args, &[], &host).unwrap());
        let rules = Ruleset::new(&plan).unwrap();
        self.pod.run(|| capture::apply(&rules)).unwrap().unwrap();
    }

    /// Starts the contender on core 0, lets the load at it from core 1, and ends it.
    fn measure(&self, contender: &Contender, memory: bool) -> Measured {
        let child = contender.command(self.dir.path()).map(|command| {
            let mut pin = pinned(0, Path::new(command.get_program()));
            pin.args(command.get_args());
            pin.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
            self.pod.run(|| pin.spawn().unwrap()).unwrap()
        });
        let listener = self.outside.run(|| listen(ORIGIN)).unwrap();
        let pid = child.as_ref().map(Child::id);
        let measured = self.pod.run(|| on_core_1(listener, contender, pid, memory)).unwrap();
        child.map(end).unwrap_or_default();
        measured
    }
}

fn listen(at: &str) -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind(at).unwrap();
    listener.set_nonblocking(true).unwrap();
    // Longer than the standard library's.
    rustix::net::listen(&listener, 4096).unwrap();
    listener
}

/// All that is asked of one contender, in one round.
fn on_core_1(
    listener: std::net::TcpListener,
    contender: &Contender,
    pid: Option<u32>,
    memory: bool,
) -> Measured {
    let mut core = rustix::thread::CpuSet::new();
    core.set(1);
    rustix::thread::sched_setaffinity(None, &core).unwrap();
    let at: SocketAddr = contender.at.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(load::origin(listener));
        let begun = Instant::now();
        while !load::is_answered(at).await {
            assert!(begun.elapsed() < Duration::from_secs(20), "{at} never answers");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let idle = pid.and_then(rss_mb);
        let rate = async |pattern, time| {
            let before = pid.map(cpu_of);
            let outcome = load::run(at, pattern, time).await;
            Rate::new(outcome, pid.map(cpu_of).zip(before))
        };
        let mut measured = Measured {
            requests: rate(Pattern::KeepAlive, TIME).await,
            connections: rate(Pattern::Fresh, TIME).await,
            ..Measured::default()
        };
        if matches!(contender.way, Way::Tcp | Way::Direct | Way::Captured) {
            measured.stream = Some(rate(Pattern::Stream, STREAM_TIME).await);
        }
        if memory && pid.is_some() {
            let held = load::idle(at, IDLE_CONNECTIONS).await;
            measured.memory = Some(Memory { idle, full: pid.and_then(rss_mb) });
            drop(held);
        }
        measured
    })
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// From fork to the first accepted connection, and to a 200 on 15021.
fn start_times() {
    let pod = Namespace::new().unwrap();
    let (mut listening, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let mut command = sunup(None);
        let begun = Instant::now();
        let child = pod.run(|| command.spawn().unwrap()).unwrap();
        let times = pod.run(|| (answered(b"", begun), answered(b"200", begun))).unwrap();
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

/// Resident memory of a process.
fn rss_mb(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Processor time of all threads of a process so far: what a busy machine can't falsify much.
fn cpu_of(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| cpu(&format!("{pid}/task/{}/schedstat", task.unwrap().file_name().display())))
        .sum()
}

/// Processor time of one thread, user and system.
fn cpu(of: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{of}")).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
