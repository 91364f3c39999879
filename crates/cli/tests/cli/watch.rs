//! `--watch`: files that grow, are rotated, truncated, come and go.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::kit::{GATEWAY, folder, run, sunup};

/// How long one waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(dir: &Path) -> Watch {
        let mut command = sunup(dir, &["doctor", "--watch", "-q", "seen"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (to, lines) = std::sync::mpsc::sync_channel(0);
        // Ends with the pipe, or when the test has no more use for lines.
        std::thread::spawn(move || {
            for line in out.lines() {
                if to.send(line.expect("UTF-8")).is_err() {
                    break;
                }
            }
        });
        Watch { child, lines }
    }

    /// The next line; it comes when the change has been seen.
    fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const READY: &str = "2026-11-03T08:14:10.418200447Z info Envoy proxy is ready\n";
const WAITS: &str = "2026-11-03T08:14:05.000000000Z info Envoy command: [-c etc/envoy-rev.json]\n\
    2026-11-03T08:14:05.100000000Z warn Envoy proxy is NOT ready: config not received from XDS \
    server (is Istiod running?): cds updates: 0 successful, 0 rejected\n";
const REFUSED: &str = "2026-11-03T08:14:06.000000000Z dial tcp 10.30.4.7:5432: connect: \
    connection refused\n";

#[test]
fn a_growing_log_is_judged_as_it_grows() {
    let proxy = "seen/orders-7f8d6c5b9d-q4w8z.istio-proxy.log";
    let app = "seen/later/orders-7f8d6c5b9d-q4w8z.orders.log";
    let dir = folder(&[(proxy, WAITS)]);
    let mut watch = Watch::start(dir.path());
    assert_eq!(watch.line(), "nothing found yet");

    // A new file in a new directory.
    let path = dir.path().join(app);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, REFUSED).expect("written");
    let found = watch.line();
    assert!(found.contains("app-before-proxy"), "{found}");

    // More of the same is no news; another workload is.
    let mut log = std::fs::OpenOptions::new().append(true).open(dir.path().join(proxy)).expect("x");
    log.write_all(READY.as_bytes()).expect("written");
    std::fs::write(dir.path().join("seen/gateway.yaml"), GATEWAY).expect("written");
    let mut news = watch.line();
    if !news.contains("gateway-privileged-port") {
        assert!(news.contains("app-before-proxy"), "it reads differently now: {news}");
        news = watch.line();
    }
    assert!(news.contains("gateway-privileged-port"), "{news}");

    // Truncated: what it showed is gone.
    std::fs::write(&path, "").expect("written");
    let gone = watch.line();
    assert!(gone.starts_with("no longer found: ") && gone.contains("app-before-proxy"), "{gone}");
    assert!(watch.child.try_wait().expect("it can be asked").is_none(), "it goes on");
}

#[test]
fn it_ends_when_nobody_reads_any_more() {
    let dir = folder(&[("seen/a.yaml", GATEWAY)]);
    let mut watch = Watch::start(dir.path());
    assert!(watch.line().contains("gateway-privileged-port"));
    // The thread stops reading with its next line, and the pipe's end goes with it.
    let (_, none) = std::sync::mpsc::channel();
    watch.lines = none;
    let until = Instant::now() + PATIENCE;
    for i in 0.. {
        if let Some(status) = watch.child.try_wait().expect("it can be asked") {
            assert_eq!(status.code(), Some(0));
            return;
        }
        assert!(Instant::now() < until, "it goes on though nobody reads");
        // Something new to say, until it notices.
        let text = GATEWAY.replace("way-in", &format!("way-{i}"));
        std::fs::write(dir.path().join(format!("seen/{i}.yaml")), text).expect("written");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_can_not_be_watched_is_refused() {
    let dir = folder(&[("a.yaml", GATEWAY)]);
    for (line, words) in [
        (&["doctor", "--watch", "-"][..], "standard input can't be watched"),
        (&["doctor", "--watch", "--format=html", "a.yaml"], "--watch prints text"),
        (&["doctor", "--watch", "--fix", "a.yaml"], "cannot be used with"),
    ] {
        let run = run(dir.path(), line);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains(words), "{run:?}");
    }
}
