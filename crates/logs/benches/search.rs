//! `sunup logs`' search against ripgrep and jq on the same export, in the same run.
//!
//! `cargo bench -p sunup-logs`. `SUNUP_BENCH_BYTES` sets the size of an export (default 1 GB),
//! `SUNUP_BENCH_DIR` where it is written, `SUNUP_BENCH_ROUNDS` how often each is timed. Every
//! contender runs as a process of its own; jq gets a twentieth and its time is scaled.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use sunup_logs::{Filter, SearchOptions, search};
use sunup_testkit::export_gen::{ExportLayout, ExportSpec, WANTED_POD, write_export};

const CHILD: &str = "--one-search";
const JQ_SHARE: u64 = 20;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, child, filter, file] = args.as_slice()
        && child == CHILD
    {
        let filter = Filter::parse(filter).expect("the bench's own filter");
        let input = File::open(file).expect("the bench's own file");
        let options = SearchOptions { count: true, ..SearchOptions::default() };
        let (stats, _) =
            search(input, &filter, &options, &mut |_| ControlFlow::Continue(())).expect("readable");
        println!("{}", stats.hits);
        return;
    }
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let bytes = number("SUNUP_BENCH_BYTES", 1_000_000_000);
    let rounds = number("SUNUP_BENCH_ROUNDS", 5);
    let parent = std::env::var_os("SUNUP_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(parent).expect("a folder to write to");
    println!("{bytes} bytes, median of {rounds} rounds, page cache warm");
    for layout in [ExportLayout::Lines, ExportLayout::Array] {
        for refused_one_in in [10_000, 10] {
            let file = dir.path().join("export.json");
            let spec = ExportSpec { bytes, layout, refused_one_in };
            let mut out = BufWriter::new(File::create(&file).expect("creates"));
            let written = write_export(&mut out, &spec).expect("writes");
            drop(out);
            println!("\n{layout:?}, one in {refused_one_in}: {written:?}");
            compare(&file, layout, rounds, dir.path());
        }
    }
}

fn compare(file: &Path, layout: ExportLayout, rounds: u64, dir: &Path) {
    let text = "resource.type=\"k8s_container\" textPayload:\"connection refused\"";
    let pod = format!("{text} resource.labels.pod_name=\"{WANTED_POD}\"");
    let space = if layout == ExportLayout::Array { " " } else { "" };
    let field = format!("\"textPayload\":{space}\".*connection refused");
    let me = std::env::current_exe().expect("this bench");
    let sunup = |filter: &str| {
        let mut command = Command::new(&me);
        command.args([CHILD, filter]).arg(file);
        command
    };
    let rg = |args: &[&str]| {
        let mut command = Command::new("rg");
        command.args(["--no-config", "-c"]).args(args).arg(file);
        command
    };
    let mut contenders: Vec<(&str, Command)> = vec![
        ("sunup text", sunup(text)),
        ("sunup pod", sunup(&pod)),
        ("rg -i, anywhere", rg(&["-i", "connection refused"])),
        ("rg -i, in the field", rg(&["-i", &field])),
        ("rg, in the field", rg(&[&field])),
    ];
    let mut times = vec![Vec::new(); contenders.len()];
    let mut cpu = times.clone();
    let mut results = vec![(String::new(), 0); contenders.len()];
    for _ in 0..rounds {
        for (n, (_, command)) in contenders.iter_mut().enumerate() {
            let run = timed(command);
            times[n].push(run.wall_ms);
            cpu[n].push(run.cpu_ms);
            results[n] = (run.first_line, run.rss_kib);
        }
    }
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let cpu: Vec<f64> = cpu.into_iter().map(median).collect();
    for (n, (name, _)) in contenders.iter().enumerate() {
        let (found, kib) = &results[n];
        println!(
            "  {name:<22} {:>8.1} ms  {:>7.0} ms CPU  {found:>8} found  {:>5} MB RSS",
            medians[n],
            cpu[n],
            kib / 1024
        );
    }
    let (slice, share) = slice(file, layout, dir);
    let select = "select(.resource.type==\"k8s_container\" and ((.textPayload // \"\") | ascii_downcase | contains(\"connection refused\"))) | 1";
    let each = if layout == ExportLayout::Array { ".[] | " } else { "" };
    let mut jq = Command::new("jq");
    jq.arg(format!("{each}{select}")).arg(&slice);
    let run = timed(&mut jq);
    let jq = run.wall_ms * share;
    let rss = run.rss_kib / 1024;
    println!("  {:<22} {jq:>8.1} ms  scaled from {:.1} ms, {rss} MB RSS", "jq", run.wall_ms);
    println!(
        "  sunup text = {:.2} x rg -i anywhere, {:.2} x rg -i in the field, {:.2} x rg in the field; jq = {:.0} x sunup text",
        medians[0] / medians[2],
        medians[0] / medians[3],
        medians[0] / medians[4],
        jq / medians[0]
    );
}

/// What one run cost and said.
struct Run {
    wall_ms: f64,
    /// Of all threads: what holds on a busy machine too.
    cpu_ms: f64,
    first_line: String,
    rss_kib: u64,
}

fn timed(command: &mut Command) -> Run {
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-q", "-f", "%M %U %S"]).arg(command.get_program()).args(command.get_args());
    let start = Instant::now();
    let mut child = timed
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("GNU time and the contender are installed");
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut first).expect("text");
    std::io::copy(&mut stdout, &mut std::io::sink()).expect("text");
    child.wait().expect("ends");
    let wall_ms = start.elapsed().as_secs_f64() * 1000.0;
    let mut figures = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut figures).expect("text");
    let figures: Vec<f64> =
        figures.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    let [rss, user, system] = figures[..] else { panic!("GNU time says {figures:?}") };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole KiB")]
    let rss_kib = rss as u64;
    let first_line = first.trim().to_owned();
    Run { wall_ms, cpu_ms: (user + system) * 1000.0, first_line, rss_kib }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The first part of the export as a valid one, and by how much the whole is longer.
fn slice(file: &Path, layout: ExportLayout, dir: &Path) -> (std::path::PathBuf, f64) {
    let whole = file.metadata().expect("exists").len();
    let mut bytes = Vec::new();
    let mut input = File::open(file).expect("exists").take(whole / JQ_SHARE);
    input.read_to_end(&mut bytes).expect("readable");
    let end: &[u8] = if layout == ExportLayout::Array { b"\n  }" } else { b"}\n" };
    let at = bytes.windows(end.len()).rposition(|part| part == end).expect("an entry");
    bytes.truncate(at + end.len());
    if layout == ExportLayout::Array {
        bytes.extend_from_slice(b"\n]\n");
    }
    let path = dir.join("slice.json");
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let share = whole as f64 / bytes.len() as f64;
    File::create(&path).and_then(|mut out| out.write_all(&bytes)).expect("writes");
    (path, share)
}
