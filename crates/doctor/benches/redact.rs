//! How fast evidence is redacted: `cargo bench -p sunup-doctor --bench redact`. Each kind is read twice,
//! as `sunup redact` does: once for what fields hold, once to be written. `SUNUP_BENCH_MB` sets how much
//! of each (default 64); the processor time of the better of two runs counts.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::fmt::Write as _;
use std::time::Duration;

use sunup_doctor::redact::{Addresses, Redactor, Sheet};
use sunup_evidence::collect::Collector;
use sunup_evidence::layout::Layout;
use sunup_testkit::process;

fn main() {
    let size = std::env::var("SUNUP_BENCH_MB").ok().and_then(|mb| mb.parse().ok()).unwrap_or(64);
    println!("{:34} {:>10} {:>10} {:>10}", "", "first read", "second", "both");
    for (name, layout, text) in [
        ("a log", Layout::Text, log(size << 20)),
        ("a log of secrets", Layout::Text, secrets(size << 20)),
        ("entries of a log service", Layout::Json, entries(size << 20)),
        ("lines of a megabyte", Layout::Text, long(size << 20)),
    ] {
        let (learn, copy) = [(); 2]
            .map(|()| both(layout, &text))
            .into_iter()
            .fold((Duration::MAX, Duration::MAX), |least, took| {
                (least.0.min(took.0), least.1.min(took.1))
            });
        let speed = |time: Duration| text.len() as f64 / 1e6 / time.as_secs_f64();
        println!(
            "{name:34} {:>5.0} MB/s {:>5.0} MB/s {:>5.1} MB/s",
            speed(learn),
            speed(copy),
            speed(learn + copy)
        );
    }
}

/// Processor time of either reading.
fn both(layout: Layout, text: &str) -> (Duration, Duration) {
    let snapshot = Collector::new(Default::default()).finish();
    let mut redactor = Redactor::new(&snapshot, Addresses::Mapped).learning();
    let began = used();
    pass(&mut redactor, layout, text);
    redactor.learnt().expect("little");
    let learnt = used();
    pass(&mut redactor, layout, text);
    (learnt - began, used() - learnt)
}

fn used() -> Duration {
    process::used("/proc/self").expect("its own file")
}

fn pass(redactor: &mut Redactor, layout: Layout, text: &str) {
    let mut sheet = Sheet::new(layout, sunup_intake::says);
    let mut bytes = 0;
    for line in text.split_inclusive('\n') {
        bytes += sheet.line(redactor, line).len();
    }
    bytes += sheet.rest(redactor).len();
    assert!(bytes > text.len() / 2, "it was rewritten");
}

fn each(size: usize, line: impl Fn(usize, &mut String)) -> String {
    let mut text = String::with_capacity(size + 512);
    let mut number = 0;
    while text.len() < size {
        line(number, &mut text);
        number += 1;
    }
    text
}

/// What applications mostly write: nothing that is secret, an address now and then.
fn log(size: usize) -> String {
    each(size, |i, out| {
        let (ms, ms9) = (i % 1000, i % 100_000_000);
        let _ = match i % 8 {
            0 => writeln!(
                out,
                "2026-10-02T07:14:{:02}.{ms9:09}Z stdout F {{\"level\":\"info\",\"msg\":\"request handled\",\"status\":200,\"took_ms\":{ms}}}",
                i % 60
            ),
            1 => writeln!(
                out,
                "2026-10-02T07:14:{:02}.{ms9:09}Z stdout F GET /orders/{i} 200 {ms}ms",
                i % 60
            ),
            2 => writeln!(
                out,
                "2026-10-02T07:14:{:02}.{ms9:09}Z stderr F dial tcp 10.8.{}.{}:6379: connect: connection refused",
                i % 60,
                i % 7,
                i % 251
            ),
            3 => writeln!(
                out,
                "2026-10-02T07:14:{:02}.{ms9:09}Z stdout F 2026-10-02 07:14:05.{ms:03}  INFO 1 --- [main] o.s.b.w.embedded.tomcat.TomcatWebServer  : Tomcat started on port(s): 8080 (http)",
                i % 60
            ),
            4 => writeln!(
                out,
                "2026-10-02T07:14:{:02}.{ms9:09}Z stderr F \tat io.netty.channel.AbstractChannel.connect(AbstractChannel.java:{ms})",
                i % 60
            ),
            _ => writeln!(
                out,
                "2026-10-02T07:14:{:02}.{ms9:09}Z stdout F worker {} finished its job number {i} after {ms} steps, and waits for the next one",
                i % 60,
                i % 16
            ),
        };
    })
}

/// One secret a line.
fn secrets(size: usize) -> String {
    each(size, |i, out| {
        let _ = match i % 4 {
            0 => writeln!(
                out,
                "2026-10-02T07:14:05Z connecting with password=hunter{i} to db.corp.example:5432"
            ),
            1 => writeln!(out, "2026-10-02T07:14:05Z Authorization: Bearer abcdefgh{i}.ijkl"),
            2 => writeln!(
                out,
                "2026-10-02T07:14:05Z postgres://alice:word{i}@db.corp.example/orders"
            ),
            _ => writeln!(
                out,
                "2026-10-02T07:14:05Z token ghp_0123456789abcdef{i} of alice@corp.example"
            ),
        };
    })
}

fn entries(size: usize) -> String {
    each(size, |i, out| {
        let _ = writeln!(
            out,
            "{{\"insertId\":\"q{i}z\",\"resource\":{{\"type\":\"k8s_container\",\"labels\":{{\"namespace_name\":\"shop\",\"pod_name\":\"web-5d4f8c7b9-{:05}\",\"container_name\":\"app\",\"cluster_name\":\"prod\",\"location\":\"europe-west1\"}}}},\"severity\":\"INFO\",\"textPayload\":\"request {i} handled by worker {}\",\"timestamp\":\"2026-10-02T07:14:05.{:09}Z\"}}",
            i % 500,
            i % 16,
            i % 1_000_000_000,
        );
    })
}

/// Of all that is looked for, thousands in a line.
fn long(size: usize) -> String {
    each(size, |i, out| {
        let end = if i % 10_000 == 9_999 { '\n' } else { ' ' };
        let _ = write!(
            out,
            "10.8.{}.{} a{i}.k8s.io app-before-proxy db{i}.corp.example:5432 token={i}x :: ## %3D{end}",
            i % 7,
            i % 251
        );
    })
}
