//! The node agent as a node has it: told of pods by an API server, called through its plugin by the
//! name and at the place that it gave it, asked for its status, and gone again without a trace.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sunup_sys::ns::Namespace;
use sunup_sys::standin::{Address, StandIn};

const UID: &str = "1c8f0a52-9a3e-4d51-8d7e-0f6f2a3b4c5d";

/// An API server with these pods, and a DaemonSet if it `stays`; which events it was told.
fn api_server(pods: Value, stays: bool) -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let events: Arc<Mutex<Vec<Value>>> = Arc::default();
    let heard = Arc::clone(&events);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (pods, heard) = (pods.clone(), Arc::clone(&heard));
            std::thread::spawn(move || drop(answer(stream, &pods, stays, &heard)));
        }
    });
    (address, events)
}

fn answer(
    stream: TcpStream,
    pods: &Value,
    stays: bool,
    events: &Mutex<Vec<Value>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = first.split(' ').nth(1).unwrap_or_default();
    let mut stream = stream;
    if path.contains("watch=") {
        write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        std::thread::sleep(Duration::from_secs(60));
        return Ok(());
    }
    let (status, answer) = if first.starts_with("POST") {
        events.lock().expect("no test panics here").extend(serde_json::from_slice(&body));
        ("201 Created", json!({}))
    } else if path.starts_with("/api/v1/pods") {
        let node = path.contains("fieldSelector=spec.nodeName%3Dn1");
        let items = if node { pods.clone() } else { json!([]) };
        ("200 OK", json!({"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": items}))
    } else if path.contains("/daemonsets/") && stays {
        ("200 OK", json!({"kind": "DaemonSet", "metadata": {"name": "sunup-node"}}))
    } else if path.contains("/deployments") {
        ("200 OK", json!({"kind": "DeploymentList", "metadata": {}, "items": []}))
    } else {
        (
            "404 Not Found",
            json!({"kind": "Status", "status": "Failure", "code": 404,
            "reason": "NotFound", "message": "not found"}),
        )
    };
    let text = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    )
}

/// Ends the agent whatever becomes of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn plugin(program: &Path, verb: &str, namespace: &str, config: &str) -> (String, String) {
    let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=a;K8S_POD_UID={UID}");
    let mut command = Command::new(program);
    command.env_clear().env("CNI_COMMAND", verb).env("CNI_CONTAINERID", "f00");
    command.env("CNI_NETNS", namespace).env("CNI_IFNAME", "eth0").env("CNI_ARGS", args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the plugin is there");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(config.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

const LIST: &str = r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"}]}"#;

/// A node's folders, an agent that was started with them, and what it was told.
struct Node {
    folder: tempfile::TempDir,
    events: Arc<Mutex<Vec<Value>>>,
    agent: Running,
    /// How it was started.
    words: Vec<std::ffi::OsString>,
}

/// Starts an agent that says what it has to say into a file.
fn started(words: &[std::ffi::OsString], said: &Path) -> Running {
    let said = std::fs::File::create(said).expect("made");
    let mut command = Command::new(&words[0]);
    Running(command.args(&words[1..]).stderr(said).spawn().expect("it starts"))
}

impl Node {
    /// `before`: what stands before the program, such as `setpriv …`.
    fn start(before: &[&str], pods: Value, proc: &Path) -> Self {
        Self::start_with(before, pods, proc, ("300ms", false))
    }

    fn start_with(
        before: &[&str],
        pods: Value,
        proc: &Path,
        (deadline, stays): (&str, bool),
    ) -> Self {
        let (address, events) = api_server(pods, stays);
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("net.d")).expect("made");
        std::fs::create_dir(at("bin")).expect("made");
        std::fs::write(at("net.d/10-a.conflist"), LIST).expect("written");
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config",
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {}}]});
        std::fs::write(at("kubeconfig"), kubeconfig.to_string()).expect("written");
        let program = [env!("CARGO_BIN_EXE_sunup"), "node", "run", "--node", "n1"];
        let options = ["--health", "127.0.0.1:0", "--daemonset", "sunup-node/sunup-node"];
        let mut words: Vec<std::ffi::OsString> =
            before.iter().chain(&program).chain(&options).map(Into::into).collect();
        words.extend(["--deadline".into(), deadline.into(), "--proc".into(), proc.into()]);
        for (option, path) in [
            ("--kubeconfig", at("kubeconfig")),
            ("--socket", at("run/agent.sock")),
            ("--cni-socket", at("run/agent.sock")),
            ("--cni-configurations", at("net.d")),
            ("--cni-programs", at("bin")),
        ] {
            words.extend([option.into(), path.into()]);
        }
        let agent = started(&words, &at("said"));
        let node = Self { folder, events, agent, words };
        until("the plugin's entry", || node.entry().contains("sunup-cni"));
        node
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn entry(&self) -> String {
        std::fs::read_to_string(self.at("net.d/10-a.conflist")).unwrap_or_default()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.at("said")).unwrap_or_default()
    }

    /// Calls the plugin as the node's configuration says.
    fn call(&self, verb: &str, namespace: &str) -> (String, String, String) {
        let called: Value = serde_json::from_str(&self.entry()).expect("JSON");
        let mut config = called["plugins"][1].clone();
        config["cniVersion"] = "1.0.0".into();
        config["prevResult"] = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.2/24"}]});
        let previous = config["prevResult"].to_string();
        let (out, said) = plugin(&self.at("bin/sunup-cni"), verb, namespace, &config.to_string());
        (out, said, previous)
    }

    fn status(&self, option: &str) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
        command.args(["node", "status", option, "--socket"]).arg(self.at("run/agent.sock"));
        command.output().expect("it runs")
    }

    fn pods(&self) -> Value {
        let status: Value =
            serde_json::from_slice(&self.status("--json").stdout).unwrap_or_default();
        status["pods"].clone()
    }
}

fn a_pod(name: &str, uid: &str, user: u32, phase: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "uid": uid},
        "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "app:1"},
            {"name": "istio-proxy", "image": "istio/proxyv2:1.24.0",
             "securityContext": {"runAsUser": user}}]},
        "status": {"phase": phase}})
}

/// A namespace by a path that any process of root's can open.
fn path(namespace: &Namespace) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), namespace.fd().as_raw_fd())
}

#[test]
fn the_agent_is_told_called_asked_and_leaves_no_trace() {
    let test = "node::the_agent_is_told_called_asked_and_leaves_no_trace";
    let space = Namespace::try_new();
    let Some(pod) = sunup_testkit::require(test, "a network namespace", space) else { return };
    let mut node = Node::start(&[], json!([a_pod("a", UID, 0, "Pending")]), Path::new("/proc"));
    let (out, said, previous) = node.call("ADD", &path(&pod));
    assert_eq!((out, said.as_str()), (previous, ""));
    let now = node.pods();
    assert_eq!(now[0]["mode"], "stand-in", "{now}");
    assert_eq!(now[0]["ports"][0]["phase"], "stood-in", "{now}");
    let alive = node.status("--alive");
    assert!(alive.status.success() && alive.stdout.is_empty(), "{alive:?}");
    // Nobody comes: the pod gets an event.
    let waits = pod.run(|| TcpStream::connect("127.0.0.1:15001")).expect("entered");
    until("an event", || !node.events.lock().expect("no test panics here").is_empty());
    drop(waits);
    let told = node.events.lock().expect("no test panics here")[0].clone();
    assert_eq!(
        (&told["reason"], &told["involvedObject"]["uid"]),
        (&json!("StartGateExpired"), &json!(UID))
    );
    node.call("DEL", "");
    until("the pod is forgotten", || node.pods() == json!([]));
    // Its DaemonSet is gone, and it is asked to end.
    let pid = node.agent.0.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().expect("kill").success());
    assert!(node.agent.0.wait().expect("it ends").success());
    assert_eq!(node.entry(), LIST);
    assert_eq!(std::fs::read_dir(node.at("bin")).expect("there").count(), 0);
    assert!(!node.at("run/agent.sock").exists());
    assert!(!node.status("--alive").status.success());
}

/// An upgrade of the agent, as the chart has it: the next one before the one that runs.
#[test]
fn the_next_agent_goes_on_with_what_waits() {
    let test = "node::the_next_agent_goes_on_with_what_waits";
    let space = Namespace::try_new();
    let Some(pod) = sunup_testkit::require(test, "a network namespace", space) else { return };
    let pods = json!([a_pod("a", UID, 0, "Pending")]);
    let mut node = Node::start_with(&[], pods, Path::new("/proc"), ("60s", true));
    node.call("ADD", &path(&pod));
    let waits = pod.run(|| TcpStream::connect("127.0.0.1:15001")).expect("entered");
    let mut waits = waits.expect("made at once");
    until("it is seen to wait", || node.pods()[0]["ports"][0]["held"] == 1);
    let next = started(&node.words, &node.at("next"));
    let folder = node.folder.path().to_owned();
    let said = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    until("it waits for its turn", || said("next").contains("this one begins when it ends"));
    let pid = node.agent.0.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().expect("kill").success());
    assert!(node.agent.0.wait().expect("it ends").success());
    assert!(said("said").contains("left 1 pod(s) to the next agent"), "{}", said("said"));
    until("it goes on", || node.pods()[0]["ports"][0]["held"] == 1);
    assert!(said("next").contains("goes on with 1 pod(s)"), "{}", said("next"));
    assert!(node.entry().contains("sunup-cni"), "{}", node.entry());
    // The proxy comes, and answers whoever came before the agent did.
    let address = Address { port: 15001, ipv6: false };
    let proxy = StandIn::bind(&pod, address, None, Path::new("/proc")).expect("it shares the port");
    let proxy = TcpListener::from(proxy.as_fd().try_clone_to_owned().expect("cloned"));
    let (mut accepted, _) = proxy.accept().expect("handed over");
    accepted.write_all(b"served").expect("written");
    drop(accepted);
    let mut text = String::new();
    waits.read_to_string(&mut text).expect("not reset");
    assert_eq!(text, "served");
    drop(next);
}

/// A process of a pod's, of another user than the agent's.
fn process_in(pod: &Namespace) -> Running {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "120"]);
    Running(pod.run(|| command.spawn()).expect("entered").expect("it starts"))
}

/// The chart's four capabilities do, and each that is taken away is missed where it says.
#[test]
fn each_capability_is_needed_for_what_the_chart_says() {
    const ALL: [&str; 4] = ["sys_admin", "net_admin", "setuid", "sys_ptrace"];
    const RUNNING: &str = "2c8f0a52-9a3e-4d51-8d7e-0f6f2a3b4c5d";
    let test = "node::each_capability_is_needed_for_what_the_chart_says";
    let root = rustix::process::geteuid().is_root() && sunup_sys::host::uid_exists(65534);
    let space = Namespace::try_new().filter(|_| root);
    let part = "root, setpriv and a network namespace";
    let program = sunup_testkit::program("setpriv").and(space);
    if sunup_testkit::require(test, part, program).is_none() {
        return;
    }
    let printed = Command::new(env!("CARGO_BIN_EXE_sunup")).args(["node", "manifests"]).output();
    let printed = String::from_utf8(printed.expect("it runs").stdout).expect("text");
    let items = printed.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let upper = |word: &&str| word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let given: Vec<String> = items.filter(upper).map(str::to_lowercase).collect();
    assert_eq!(given, ALL);
    for without in ["nothing"].into_iter().chain(ALL) {
        let (fresh, running) = (Namespace::new().expect("made"), Namespace::new().expect("made"));
        let process = process_in(&running);
        let proc = tempfile::tempdir().expect("a folder");
        let of_pod = proc.path().join("123");
        std::fs::create_dir_all(of_pod.join("ns")).expect("made");
        let cgroup =
            format!("0::/kubepods.slice/kubepods-pod{}.slice/x", RUNNING.replace('-', "_"));
        std::fs::write(of_pod.join("cgroup"), cgroup).expect("written");
        let link = |to: &str, at: PathBuf| std::os::unix::fs::symlink(to, at).expect("linked");
        link(&format!("/proc/{}/ns/net", process.0.id()), of_pod.join("ns/net"));
        link("/proc/sys", proc.path().join("sys"));
        let pods = json!([a_pod("a", UID, 1337, "Pending"), a_pod("b", RUNNING, 1337, "Running")]);
        let kept: Vec<String> =
            ALL.iter().filter(|c| **c != without).map(|c| format!(",+{c}")).collect();
        let bounding = format!("--bounding-set=-all{}", kept.concat());
        let before = ["setpriv", &bounding, "--inh-caps=-all", "--no-new-privs"];
        let node = Node::start(&before, pods, proc.path());
        node.call("ADD", &path(&fresh));
        let found = || node.pods().as_array().is_some_and(|pods| pods.len() == 2);
        if without == "sys_ptrace" {
            // Two searches have passed.
            std::thread::sleep(Duration::from_secs(5));
            assert!(!found(), "{}", node.pods());
            continue;
        }
        until("the pod that runs is found", found);
        let pods = node.pods();
        let phase = pods[0]["ports"][0]["phase"].as_str().unwrap_or_default().to_owned();
        let said = node.said();
        match without {
            "sys_admin" => assert!(said.contains("entering the pod's network"), "{said}"),
            "net_admin" => assert!(said.contains("a: the gate: "), "{said}"),
            "setuid" => assert_eq!(phase, "unfit", "{pods} {said}"),
            _ => assert_eq!((phase.as_str(), said.matches("a: stand-in").count()), ("stood-in", 1)),
        }
    }
}
