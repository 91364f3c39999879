//! What an agent takes of a node that has many pods: processor time, memory, and time of each call of
//! the plugin. In a process of its own, which has no other test's agents; with few pods in CI, in full by
//! `SUNUP_NODE_PODS=100 cargo test --release -p sunup-agent --test agent cost -- --nocapture`.
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sunup_agent::plugin;
use sunup_agent::serve::{self, Serving};
use sunup_node::Pod;

use super::kit::*;

/// Processor time of this process's threads of a name, in ticks of a hundredth of a second.
fn ticks(thread: &str) -> u64 {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.split_once('(').and_then(|(_, s)| s.rsplit_once(')')) else {
            continue;
        };
        if name == thread {
            let fields: Vec<&str> = rest.split_whitespace().collect();
            sum += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    sum
}

/// Memory that is this process's own, in kB.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn uid(number: usize) -> String {
    format!("1c8f0a52-9a3e-4d51-8d7e-{number:012x}")
}

fn numbered(number: usize) -> Pod {
    let mut pod = pod(NEW);
    pod.metadata.uid = uid(number);
    pod.metadata.name = format!("a-{number}");
    pod
}

/// Says that this process is the test's own.
const ALONE: &str = "SUNUP_NODE_COST_ALONE";

#[test]
fn many_pods_cost_little() {
    if std::env::var_os(ALONE).is_some() {
        return measured();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "agent::cost::many_pods_cost_little", "--nocapture"]).env(ALONE, "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}{told}");
}

/// One ADD: by the program that a runtime would start where `SUNUP_NODE_PLUGIN` names it, `sunup` by the
/// name `sunup-cni`; else without a process of its own. How long it took.
fn add(socket: &Path, number: usize, network: &str) -> Duration {
    let config = CONFIG.replace("SOCKET", socket.to_str().unwrap());
    let args =
        format!("K8S_POD_NAMESPACE=shop;K8S_POD_NAME=a-{number};K8S_POD_UID={}", uid(number));
    let sandbox = format!("sandbox-{number}");
    let env = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", &sandbox),
        ("CNI_NETNS", network),
        ("CNI_ARGS", &args),
    ];
    let begun = Instant::now();
    let said = match std::env::var_os("SUNUP_NODE_PLUGIN") {
        Some(program) => {
            let mut command = Command::new(program);
            command.env_clear().envs(env).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success() && output.stdout.starts_with(b"{\"cniVersion"));
            String::from_utf8(output.stderr).unwrap()
        }
        None => {
            let of = |name: &str| {
                let found = env.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            plugin::call(of, &config).said.unwrap_or_default()
        }
    };
    let took = begun.elapsed();
    assert!(said.is_empty() || said.contains("No such file"), "{said}");
    took
}

fn measured() {
    let count: usize =
        std::env::var("SUNUP_NODE_PODS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let span = Duration::from_secs(if count > 8 { 20 } else { 2 });
    let mut networks = Vec::new();
    for _ in 0..count {
        let Some(network) = Network::new("many_pods_cost_little") else { return };
        networks.push(network);
    }
    let before = own_memory();
    let started = start(Duration::ZERO, proc());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let _serving = Serving::start(serve::bind(&socket).unwrap(), &started.agent).unwrap();
    let mut calls: Vec<Duration> = Vec::new();
    for (number, network) in networks.iter().enumerate() {
        started.agent.pod(numbered(number));
        calls.push(add(&socket, number, &network.path()));
    }
    calls.sort();
    // The plugin alone, for comparison: nobody listens.
    let nobody = folder.path().join("nobody");
    let mut alone: Vec<Duration> =
        networks.iter().enumerate().map(|(n, network)| add(&nobody, n, &network.path())).collect();
    alone.sort();
    let busy = |what: &str| {
        let begun = (Instant::now(), ticks("keeper"));
        std::thread::sleep(span);
        let share = (ticks("keeper") - begun.1) as f64 / begun.0.elapsed().as_secs_f64();
        println!("{what}: {share:.2} % of a core");
        share
    };
    let nobody = busy("stand-ins in which nobody waits");
    let held: Vec<TcpStream> =
        networks.iter().map(|n| n.connect(Duration::from_secs(5)).unwrap()).collect();
    let all = |agent: &sunup_agent::Agent| agent.counters().unwrap().held == count as u64;
    started.wait_until("all held", all);
    let waiting = busy("stand-ins in which somebody waits");
    let proxies: Vec<_> = networks.iter().map(|n| n.listen(true).unwrap()).collect();
    let begun = Instant::now();
    let given = |agent: &sunup_agent::Agent| agent.counters().unwrap().held == 0;
    started.wait_until("all handed over", given);
    let handed = begun.elapsed();
    assert_eq!(started.agent.counters().unwrap().handed_over, count as u64);
    let rest = busy("pods whose proxy listens");
    let memory = own_memory().saturating_sub(before);
    println!(
        "{count} pods: ADD median {:?}, 90 % {:?}, most {:?}, {:?} without an agent; all handed over \
         after {handed:?}; {memory} kB of memory of their own",
        calls[count / 2],
        calls[count * 9 / 10],
        calls[count - 1],
        alone[count / 2],
    );
    drop((held, proxies));
    // Of a core that others use as well: what polling took before was 26 % for a hundred.
    assert!(rest < 1.0 && nobody < 3.0, "{rest} {nobody}");
    assert!(waiting < 5.0 + count as f64 / 5.0, "{waiting}");
    assert!(memory < 12_000, "{memory} kB");
}
