//! How long the HTML report of many pods takes to be made, and to be opened by a real browser.
//!
//! `cargo bench -p sunup-cli --bench page`; `SUNUP_BENCH_PODS` says how many (500),
//! `SUNUP_BENCH_ROUNDS` how often each is timed (5). Every pod is the one of
//! `examples/app-before-proxy` under another name, and has its finding, its fix and its timeline.
//! Opened is: loaded, laid out, and two frames drawn, from the start of the navigation.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[path = "../tests/cli/chromium.rs"]
#[allow(dead_code, reason = "a bench needs less of it than tests do")]
mod chromium;

/// Milliseconds from the start of the navigation until the second frame after loading.
const OPENED: &str = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
    () => done(performance.now()))))";

fn main() {
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (pods, rounds) = (number("SUNUP_BENCH_PODS", 500), number("SUNUP_BENCH_ROUNDS", 5));
    let folder = tempfile::tempdir().expect("a folder to write to");
    let evidence = folder.path().join("evidence");
    for pod in 0..pods {
        incident(&evidence.join(pod.to_string()), pod);
    }
    let page = folder.path().join("report.html");
    let made = (0..rounds).map(|_| report(&evidence, &page)).collect();
    let size = fs::metadata(&page).expect("it was made").len();
    println!("{pods} pods, a page of {:.1} MB", size as f64 / 1e6);
    show("made by sunup doctor --format html", made);
    let Some(mut browser) = chromium::Browser::start("page") else { return };
    let opened = (0..rounds).map(|_| {
        browser.open(&page);
        let ms = browser.eval(OPENED).as_f64().expect("milliseconds");
        Duration::from_secs_f64(ms / 1e3)
    });
    show("opened by Chromium", opened.collect());
}

/// The example, its workload under another name.
fn incident(folder: &Path, pod: usize) {
    let example = sunup_testkit::workspace_root().join("examples/app-before-proxy");
    for below in ["", "logs"] {
        fs::create_dir_all(folder.join(below)).expect("made");
        for file in fs::read_dir(example.join(below)).expect("readable") {
            let path = file.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
            if !path.is_file() || ["README.md", "expected.json"].contains(&name) {
                continue;
            }
            let other = |text: &str| text.replace("orders", &format!("orders{pod}"));
            let text = fs::read_to_string(&path).expect("readable");
            fs::write(folder.join(below).join(other(name)), other(&text)).expect("written");
        }
    }
}

fn report(evidence: &Path, page: &Path) -> Duration {
    let file = fs::File::create(page).expect("created");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
    command.args(["doctor", "--format=html"]).arg(evidence).stdout(file).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().expect("it starts");
    // Findings are its exit code.
    assert_eq!(status.code(), Some(1));
    start.elapsed()
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |time: Option<&Duration>| time.map_or(0, Duration::as_millis);
    let median = times.get(times.len() / 2);
    println!("{what:<40} {} ms ({} to {})", ms(median), ms(times.first()), ms(times.last()));
}
