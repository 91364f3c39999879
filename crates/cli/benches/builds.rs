//! Two builds of `sunup` in turn over the same inputs, each as a whole process: whether what made the
//! build faster or the binary smaller made the program slower.
//!
//! `SUNUP_BENCH_BESIDE=PATH cargo bench -p sunup-cli --bench builds`, with the path of the other
//! build's binary (another commit's, or the one that `cargo xtask image` makes).
//! `SUNUP_BENCH_BYTES` sets the size of the export (default 1 GB), `SUNUP_BENCH_ROUNDS` how often
//! each is timed (default 9), `SUNUP_BENCH_DIR` where inputs are written. What is compared is the
//! least processor time of all rounds: the noise of a shared machine only ever adds to it.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Cost, Input, manifests, measure, number, show};

mod common;

/// A query as people write it for the refused connections of one container's logs.
const FILTER: &str = "resource.type=\"k8s_container\" textPayload:\"connection refused\"";

fn main() {
    let Some(beside) = std::env::var_os("SUNUP_BENCH_BESIDE").map(PathBuf::from) else {
        println!("SUNUP_BENCH_BESIDE names no other build: nothing to compare");
        return;
    };
    let rounds = number("SUNUP_BENCH_ROUNDS", 9);
    let parent = std::env::var_os("SUNUP_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent).expect("a folder to write to");
    let linted = folder.path().join("manifests");
    manifests(&linted);
    let bytes = number("SUNUP_BENCH_BYTES", 1_000_000_000);
    let big = Input::write(&folder.path().join("big"), bytes, 1_000);
    let small = Input::write(&folder.path().join("small"), 4_500_000, 50);

    let mut works: Vec<(&str, Vec<OsString>)> = vec![
        ("20,000 manifests", vec!["doctor".into(), "--format=json".into(), linted.into()]),
        ("pods, events, logs", vec!["doctor".into(), "--format=json".into(), big.folder.into()]),
        ("logs alone", vec!["doctor".into(), "--format=json".into(), big.logs.clone().into()]),
        ("a hand-over of 5 MB", vec!["doctor".into(), small.folder.into()]),
        ("sunup logs, text", vec!["logs".into(), FILTER.into(), big.logs.clone().into()]),
        ("sunup --version", vec!["--version".into()]),
    ];
    let packed = big.logs.with_extension("jsonl.zst");
    let zstd = sunup_testkit::program("zstd").is_some_and(|zstd| {
        let done = Command::new(zstd).args(["-q", "-o"]).arg(&packed).arg(&big.logs).status();
        done.is_ok_and(|status| status.success())
    });
    if zstd {
        works.push(("logs alone, zstd", vec!["doctor".into(), packed.into()]));
    } else {
        println!("zstd is not installed: its line is left out");
    }

    println!("{:<44} {:>9} {:>19} {:>9} {:>9}", "", "median", "spread", "processor", "memory");
    for (work, args) in works {
        let builds = [PathBuf::from(env!("CARGO_BIN_EXE_sunup")), beside.clone()];
        let mut commands = builds.map(|build| {
            let mut command = Command::new(build);
            command.args(&args);
            (command, Vec::new())
        });
        for _ in 0..rounds {
            for (command, costs) in &mut commands {
                costs.push(measure(command));
            }
        }
        let [(_, this), (_, other)] = &commands;
        println!(
            "{work}: this build takes {:.2} times the other's time",
            least(this) / least(other)
        );
        show("  this build", this);
        show("  the other", other);
    }
}

/// Processor time in seconds; of work below ten of the kernel's ticks, the time that it took.
fn least(costs: &[Cost]) -> f64 {
    let least = |of: fn(&Cost) -> f64| costs.iter().map(of).fold(f64::INFINITY, f64::min);
    let cpu = least(|cost| cost.cpu.as_secs_f64());
    if cpu < 0.1 { least(|cost| cost.time.as_secs_f64()) } else { cpu }
}
