//! `sunup watch` against an API server: what fails is told when it fails, once, and what is well isn't.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::kit;

/// How long what must come may take, on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// The faulty pod of an example, for nobody to run, as the pod of an owner.
struct Fault {
    pod: Value,
    owner: Value,
    logs: Vec<(String, String)>,
}

impl Fault {
    /// With a StatefulSet that makes no pods by itself here.
    fn new(cluster: &Cluster) -> Fault {
        let folder = sunup_testkit::workspace_root().join("examples/app-before-proxy");
        let text = std::fs::read_to_string(folder.join("pod.json")).expect("a pod");
        let mut pod: Value = serde_json::from_str(&text).expect("JSON");
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        pod["spec"]["schedulerName"] = json!("nobody");
        let spec = pod["spec"].as_object_mut().expect("a spec");
        for field in ["nodeName", "serviceAccountName", "serviceAccount"] {
            spec.remove(field);
        }
        let labels = json!({"app": "orders"});
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "orders"},
            "spec": {"serviceName": "orders", "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "orders", "image": "orders"}]}}}});
        let made = cluster.create("statefulsets", &set);
        let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "orders",
            "uid": made["metadata"]["uid"], "controller": true}]);
        let logs = std::fs::read_dir(folder.join("logs")).expect("logs").flatten().map(|log| {
            let of = log.file_name().into_string().expect("UTF-8");
            let of = of.strip_prefix(&format!("{name}.")).expect("the pod's");
            let of = of.strip_suffix(".log").expect("a log").to_owned();
            (of, std::fs::read_to_string(log.path()).expect("readable"))
        });
        Fault { pod, owner, logs: logs.collect() }
    }

    /// A pod of this number, of which nothing is known yet.
    fn begin(&self, cluster: &Cluster, number: usize) -> String {
        let name = format!("orders-{number}");
        for (of, text) in &self.logs {
            cluster.log(&name, of, text.clone());
        }
        let meta = &self.pod["metadata"];
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": self.pod["spec"],
            "metadata": {"name": name, "namespace": cluster.namespace, "labels": meta["labels"],
                "annotations": meta["annotations"], "ownerReferences": self.owner}});
        cluster.send("POST", &format!("/api/v1/namespaces/{}/pods", cluster.namespace), &pod);
        name
    }

    /// What becomes of it.
    fn happen(&self, cluster: &Cluster, name: &str) {
        let path = format!("/api/v1/namespaces/{}/pods/{name}/status", cluster.namespace);
        cluster.send("PATCH", &path, &json!({"status": self.pod["status"]}));
    }
}

/// A run whose lines are read as they come.
struct Watching {
    child: Child,
    out: Receiver<Value>,
    err: Receiver<String>,
}

impl Watching {
    fn new(cluster: &Cluster, arguments: &[&str]) -> Watching {
        let mut all = vec!["watch", "--kubeconfig", "kubeconfig", "--format", "json"];
        all.extend(arguments);
        let mut command = kit::sunup(cluster.folder.path(), &all);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (tell_out, told_out) = channel();
        let (tell_err, told_err) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = tell_out.send(serde_json::from_str(&line).expect("a line of JSON"));
            }
        });
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let _ = tell_err.send(line);
            }
        });
        Watching { child, out: told_out, err: told_err }
    }

    fn line(&self) -> Value {
        self.out.recv_timeout(PATIENCE).expect("a finding is told")
    }

    /// Ends it as Ctrl-C does: what was told since, the notes, and the exit code.
    fn end(mut self) -> (Vec<Value>, Vec<String>, i32) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        let code = self.child.wait().expect("it ends").code().expect("it was not killed");
        (self.out.iter().collect(), self.err.iter().collect(), code)
    }
}

fn told(report: &Value) -> (&Value, &Value, &Value) {
    let finding = &report["findings"][0];
    (&finding["rule"], &finding["subject"]["kind"], &finding["subject"]["name"])
}

#[test]
fn a_pod_that_fails_is_told_when_it_does_and_its_replicas_are_not() {
    let test = "a_pod_that_fails_is_told_when_it_does_and_its_replicas_are_not";
    let Some(cluster) = Cluster::new(test) else { return };
    let fault = Fault::new(&cluster);
    let watching = Watching::new(&cluster, &[]);
    let pods: Vec<String> = (0..60).map(|number| fault.begin(&cluster, number)).collect();
    fault.happen(&cluster, &pods[0]);
    let began = Instant::now();
    let first = watching.line();
    // Held to its figure by a measurement on a machine that has nothing else to do.
    println!("from the status to the finding: {:?}", began.elapsed());
    assert_eq!(first["schema"], "sunup.doctor/v1");
    let want = (&json!("app-before-proxy"), &json!("StatefulSet"), &json!("orders"));
    assert_eq!(told(&first), want, "{first}");
    assert_eq!(first["findings"][0]["verdict"], "confirmed");
    for pod in &pods[1..] {
        fault.happen(&cluster, pod);
    }
    // Time enough for another look, where there was to be one.
    std::thread::sleep(Duration::from_secs(4));
    let (more, notes, code) = watching.end();
    assert_eq!((more.len(), code), (0, 1), "{more:#?} {notes:?}");
    let namespace = &cluster.namespace;
    let note = "note: watching context test, cluster c (http://127.0.0.1:";
    assert!(notes[0].starts_with(note) && notes[0].ends_with(namespace.as_str()), "{notes:?}");
}

#[test]
fn what_is_there_is_looked_at_once_and_what_is_well_is_not_told() {
    let test = "what_is_there_is_looked_at_once_and_what_is_well_is_not_told";
    let Some(cluster) = Cluster::new(test) else { return };
    let once = |format: &str| cluster.run(&["watch", "--once", "--format", format]);
    let empty = once("text");
    assert_eq!((empty.code, empty.out.as_str()), (0, ""), "{}", empty.err);
    for example in ["native-sidecar-healthy", "no-sidecar"] {
        let path = sunup_testkit::workspace_root().join("examples").join(example).join("pod.json");
        let text = std::fs::read_to_string(path).expect("a pod");
        let mut pod: Value = serde_json::from_str(&text).expect("JSON");
        pod["spec"]["schedulerName"] = json!("nobody");
        let spec = pod["spec"].as_object_mut().expect("a spec");
        for field in ["nodeName", "serviceAccountName", "serviceAccount"] {
            spec.remove(field);
        }
        cluster.create("pods", &pod);
    }
    let well = once("text");
    assert_eq!((well.code, well.out.as_str()), (0, ""), "{}", well.err);
    let mut fault = Fault::new(&cluster);
    // It was not up yet.
    fault.pod["status"]["conditions"] = json!([]);
    for number in 0..3 {
        let pod = fault.begin(&cluster, number);
        fault.happen(&cluster, &pod);
    }
    let text = once("text");
    assert_eq!(text.code, 1, "{}", text.err);
    assert_eq!(text.out.matches("app-before-proxy").count(), 1, "{}", text.out);
    assert!(text.out.contains(" patch statefulset/orders "), "{}", text.out);
    let lines = once("json");
    assert_eq!((lines.code, lines.out.lines().count()), (1, 1), "{}", lines.out);
    let report: Value = serde_json::from_str(&lines.out).expect("JSON");
    assert_eq!(told(&report).0, "app-before-proxy");
}

#[test]
fn where_pods_may_not_be_listed_or_watched_it_says_so() {
    let test = "where_pods_may_not_be_listed_or_watched_it_says_so";
    let Some(cluster) = Cluster::new(test) else { return };
    let forbid = |right| *cluster.logs.without.lock().expect("no test panics here") = right;
    forbid(Some(("", "pods", "list")));
    let run = cluster.run(&["watch", "--for", "20s"]);
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(run.err.contains("error: context test") && run.err.contains("pods"), "{}", run.err);
    // Without events it watches pods, and says what it does not hear.
    forbid(Some(("", "events", "list")));
    let run = cluster.run(&["watch", "--for", "3s"]);
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(run.err.contains("events can't be watched just now"), "{}", run.err);
    forbid(None);
    let run = cluster.run(&["watch", "--for", "1s"]);
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
}

/// What a server on loopback answers to a path.
fn get(address: &str, path: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn free() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("bound").port()
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "it does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_found_becomes_one_event_a_metric_and_an_incident_that_is_read_again() {
    let test = "what_is_found_becomes_one_event_a_metric_and_an_incident_that_is_read_again";
    let Some(cluster) = Cluster::new(test) else { return };
    let fault = Fault::new(&cluster);
    let address = format!("127.0.0.1:{}", free());
    let arguments = ["--events", "--incidents", "kept", "--health", &address];
    let watching = Watching::new(&cluster, &arguments);
    until(|| get(&address, "/readyz").filter(|answer| answer.starts_with("HTTP/1.1 200")));
    let pods: Vec<String> = (0..3).map(|number| fault.begin(&cluster, number)).collect();
    for pod in &pods {
        fault.happen(&cluster, pod);
    }
    let told = watching.line();
    let list = format!("/api/v1/namespaces/{}/events", cluster.namespace);
    let events = || {
        let all = cluster.send("GET", &list, &Value::Null);
        all["items"].as_array().cloned().unwrap_or_default()
    };
    let event = until(|| events().first().cloned());
    let about = &event["involvedObject"];
    assert_eq!((&about["kind"], &about["name"]), (&json!("StatefulSet"), &json!("orders")));
    assert_eq!(about["uid"], fault.owner[0]["uid"]);
    assert_eq!((&event["reason"], &event["type"]), (&json!("app-before-proxy"), &json!("Warning")));
    let message = event["message"].as_str().expect("a message");
    let summary = told["findings"][0]["summary"].as_str().expect("a summary");
    assert!(message.starts_with(summary) && message.contains(". Fix: "), "{message}");
    let metrics = get(&address, "/metrics").expect("metrics");
    let want = format!(
        "sunup_finding{{rule=\"app-before-proxy\",cause=\"\",namespace=\"{}\",kind=\"StatefulSet\",\
         name=\"orders\",verdict=\"confirmed\",severity=",
        cluster.namespace
    );
    assert!(metrics.contains(&want), "{metrics}");
    for line in ["sunup_watch_findings 1", "sunup_watch_pods 3", "sunup_watch_hears 1"] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    // Another watch tells nothing of it twice: the Event is there, under the finding's name.
    let second = cluster.run(&["watch", "--for", "1s", "--events"]);
    assert_eq!(events().len(), 1, "{}", second.err);
    let (more, notes, code) = watching.end();
    assert_eq!((more.len(), code), (0, 1), "{notes:?}");
    let kept: Vec<_> = std::fs::read_dir(cluster.folder.path().join("kept"))
        .expect("kept")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?} {notes:?}");
    let page = std::fs::read_to_string(kept[0].join("report.html")).expect("a page");
    assert!(page.contains("app-before-proxy") && !page.contains(&pods[0]));
    let evidence = kept[0].join("evidence").to_string_lossy().into_owned();
    let again = kit::run(cluster.folder.path(), &["doctor", &evidence, "-q"]);
    assert!(
        again.code == 1 && again.out.contains("app-before-proxy"),
        "{}{}",
        again.out,
        again.err
    );
}

/// The commands of the documentation's page, with the names filled in.
#[test]
fn the_pages_commands_do_what_it_says() {
    let Some(cluster) = Cluster::new("watch: the_pages_commands_do_what_it_says") else { return };
    let mut fault = Fault::new(&cluster);
    fault.pod["status"]["conditions"] = json!([]);
    let pod = fault.begin(&cluster, 0);
    fault.happen(&cluster, &pod);
    let real = std::env::var("SUNUP_TEST_KUBECONFIG").expect("a cluster is named");
    let context = std::env::var("SUNUP_TEST_CONTEXT").unwrap_or_default();
    let page = sunup_testkit::workspace_root().join("docs/watch.md");
    let page = std::fs::read_to_string(page).expect("readable");
    let mut blocks: Vec<(&str, &str)> = page
        .split("```sh ")
        .skip(1)
        .filter_map(|block| block.split("```").next()?.trim_end().split_once('\n'))
        .collect();
    assert_eq!(blocks.len(), 6, "{blocks:?}");
    let port = free();
    // What is taken back stands beside what it takes back.
    blocks.sort_by_key(|(name, _)| *name == "rights-back");
    for (name, line) in blocks {
        let line = match name.starts_with("rights") {
            true => line
                .replace("--context CONTEXT", &format!("--context {context}"))
                .replace("rbac", &format!("rbac --istio-namespace {}", cluster.namespace)),
            false => line.replace("CONTEXT", "test").replace("--for 10m", "--for 6s"),
        };
        // No other test's pods are looked at.
        let line = line.replace("YOU", "jane").replace("NAMESPACE", &cluster.namespace);
        let line = line.replace("15014", &port.to_string());
        let line = line.replace("-A", &format!("-n {}", cluster.namespace));
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_sunup")).parent().expect("a folder");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &line]).current_dir(cluster.folder.path()).env("PATH", path);
        shell.env("KUBECONFIG", format!("kubeconfig:{real}"));
        let done: kit::Run = shell.output().expect("a shell").into();
        let said = format!("{line}\n{}{}", done.out, done.err);
        match name {
            "rights" => assert!(done.out.contains("sunup-watch created"), "{said}"),
            "rights-back" => assert!(done.out.contains("deleted"), "{said}"),
            "json" => assert!(done.out.contains("orders connected to"), "{said}"),
            _ => assert!(done.code == 1 && done.out.contains("app-before-proxy"), "{said}"),
        }
    }
}
