//! `sunup doctor` as a whole process, beside searches of the same export: ripgrep for every phrase
//! that the doctor looks for, ripgrep for the one phrase, and jq that reads every entry for them.
//!
//! `cargo bench -p sunup-cli`. `SUNUP_BENCH_BYTES` sets the size of the big export (default 1 GB),
//! `SUNUP_BENCH_PODS` whose it is (5,000), `SUNUP_BENCH_DIR` where it is written,
//! `SUNUP_BENCH_ROUNDS` how often each is timed. Files are read once before timing, so all contenders
//! find them in memory. First 20,000 manifests are linted, with `istioctl analyze` on one file beside
//! it where it is installed; `SUNUP_BENCH_MANIFESTS_ALONE=1` leaves it at that.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use crate::common::{Cost, Input, manifests, measure, number, show};

mod common;

fn main() {
    let bytes = number("SUNUP_BENCH_BYTES", 1_000_000_000);
    let rounds = number("SUNUP_BENCH_ROUNDS", 5);
    let parent = std::env::var_os("SUNUP_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent).expect("a folder to write to");

    println!("{:<44} {:>9} {:>19} {:>9} {:>9}", "", "median", "spread", "processor", "memory");
    lint(&folder.path().join("manifests"), rounds);
    if std::env::var_os("SUNUP_BENCH_MANIFESTS_ALONE").is_some() {
        return;
    }
    let pods = number("SUNUP_BENCH_PODS", 5_000) as usize;
    for (what, bytes, pods) in [
        (format!("{pods} pods, their events, logs"), bytes, pods),
        ("a hand-over of 5 MB".to_owned(), 4_500_000, 50),
    ] {
        let input = Input::write(&folder.path().join(pods.to_string()), bytes, pods);
        println!("{what}: {:.0} MB in all", input.size() as f64 / 1e6);
        let doctor = |what: &Path| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
            command.args(["doctor", "--format=json"]).arg(what);
            command
        };
        let mut contenders = vec![
            ("  sunup doctor", doctor(&input.folder), Vec::new()),
            ("  sunup doctor, logs alone", doctor(&input.logs), Vec::new()),
        ];
        if let Some(rg) = sunup_testkit::program("rg") {
            let search = |options: &[&str], phrases: &[&str]| {
                let mut command = Command::new(&rg);
                command.args(["--count", "--fixed-strings"]).args(options);
                command.args(phrases.iter().flat_map(|phrase| ["-e", *phrase])).arg(&input.logs);
                command
            };
            let every = sunup_evidence::line::literals();
            let every = search(&["--ignore-case"], &every);
            contenders.push(("  rg -ciF, the doctor's phrases, logs alone", every, Vec::new()));
            let one = search(&[], &["connection refused"]);
            contenders.push(("  rg -cF 'connection refused', logs alone", one, Vec::new()));
        }
        // Interleaved, so that a busy machine is unfair to all alike.
        for _ in 0..rounds {
            for (_, command, costs) in &mut contenders {
                costs.push(measure(command));
            }
        }
        for (what, _, costs) in &contenders {
            show(what, costs);
        }
        if let Some(jq) = sunup_testkit::program("jq") {
            show("  jq, the doctor's phrases, a twentieth", &[measure(&mut parse(&jq, &input))]);
        }
    }
}

/// 20,000 manifests in 2,000 files, as a repository holds them: every tenth has something to find.
fn lint(folder: &Path, rounds: u64) {
    let first = manifests(folder);
    println!("20,000 manifests in 2,000 files");
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_sunup"));
    doctor.args(["doctor", "--format=json"]).arg(folder);
    let costs: Vec<Cost> = (0..rounds).map(|_| measure(&mut doctor)).collect();
    show("  sunup doctor", &costs);
    if let Some(istioctl) = sunup_testkit::program("istioctl") {
        let mut analyze = Command::new(istioctl);
        analyze.args(["analyze", "--use-kube=false"]).arg(first);
        let costs: Vec<Cost> = (0..rounds).map(|_| measure(&mut analyze)).collect();
        show("  istioctl analyze, one file of the 2,000", &costs);
    }
}

/// jq on the first twentieth of the logs: it is too slow for the whole.
fn parse(jq: &Path, input: &Input) -> Command {
    let part = input.folder.with_extension("part.jsonl");
    let logs = File::open(&input.logs).expect("written before");
    let mut text = String::new();
    logs.take(input.size() / 20).read_to_string(&mut text).expect("ASCII was written");
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    fs::write(&part, &text[..whole]).expect("written");
    let every = sunup_evidence::line::literals();
    let every: Vec<String> = every.into_iter().map(escaped).collect();
    let mut command = Command::new(jq);
    command.args(["-c", "--arg", "every", &every.join("|")]);
    command.arg("select((.textPayload // \"\") | test($every; \"i\"))").arg(part);
    command
}

/// A text as a regular expression for just that text.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\()[]{}|.*+?^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
