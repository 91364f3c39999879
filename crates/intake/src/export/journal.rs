//! A node's journal (`journalctl`, short, precise, ISO or JSON) and what container runtimes say in
//! it of pods. It is no pod's log: what is told of a pod is read as an event of it.
//!
//! # Sources
//! systemd's `logs-show.c` for the shapes; containerd `internal/cri/instrument/…` ("RunPodSandbox for
//! … failed"), CRI-O `server/container_{create,start}.go` and `internal/lib/sandbox` for the words.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::{Map, Value};
use sunup_evidence::record::{Event, Place};
use sunup_logs::scan::Chunk;

use super::stamp::{self, Stamp};
use crate::file::File;
use crate::known::kubelet::{self, value};
use crate::out::Out;
use crate::time;

/// Lines of the head that are looked at.
const HEAD_LINES: usize = 60;

/// A line of a journal.
#[derive(Debug, PartialEq)]
struct Record<'l> {
    at: Option<Timestamp>,
    /// The program: `kubelet`, `containerd`, `crio`.
    program: &'l str,
    message: &'l str,
}

/// Programs of a node, one of which is in every journal that tells of pods. An application's own line
/// (`TIME LEVEL LOGGER: text`) has the shape of a journal's.
const PROGRAMS: &[&str] = &[
    "kubelet",
    "hyperkube",
    "containerd",
    "crio",
    "dockerd",
    "systemd",
    "kernel",
    "k3s",
    "rke2",
    "cri-dockerd",
];

/// Whether a text is a journal, or a part of `/var/log/messages`.
pub(crate) fn is(head: &str) -> bool {
    let lines = head.lines().filter(|l| !l.trim().is_empty() && !l.starts_with("-- "));
    let (mut all, mut shaped, mut known) = (0, 0, false);
    for line in lines.take(HEAD_LINES) {
        all += 1;
        if let Some(record) = record(line, Some(2000)) {
            shaped += 1;
            known |= PROGRAMS.contains(&record.program);
        }
    }
    known && shaped * 5 >= all * 4
}

/// Reads the lines that tell something of a pod.
pub(crate) fn lines(file: &File<'_>, chunk: &Chunk, out: &mut Out) {
    let year = year(&file.head);
    for (number, raw) in chunk.lines() {
        let line = String::from_utf8_lossy(raw);
        if let Some(event) = record(&line, year).and_then(|record| told(&record)) {
            out.event(Event { place: Some(Place::new(&file.label, number)), ..event });
        }
    }
}

/// Whether lines of JSON are records of a journal.
pub(crate) fn is_json(head: &str) -> bool {
    let first = &head[..head.find('\n').unwrap_or(head.len())];
    first.starts_with('{')
        && first.contains("\"__REALTIME_TIMESTAMP\"")
        && first.contains("\"MESSAGE\"")
}

/// Reads records as `journalctl -o json` writes them.
pub(crate) fn json_lines(file: &File<'_>, chunk: &Chunk, out: &mut Out) {
    for (number, line) in chunk.lines() {
        match serde_json::from_slice(line) {
            Ok(map) => json(file, &map, number, out),
            Err(error) => {
                out.bad(number, format!("not valid JSON: {}", crate::json::short(&error)))
            }
        }
    }
}

fn json(file: &File<'_>, map: &Map<String, Value>, number: u64, out: &mut Out) {
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    let at = text("__REALTIME_TIMESTAMP").unwrap_or_default();
    let unit = text("SYSLOG_IDENTIFIER").or_else(|| text("_COMM")).unwrap_or_default();
    // A message with bytes that are no text comes as numbers.
    let message = match map.get("MESSAGE") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(bytes)) => {
            let byte = |v: &Value| v.as_u64().and_then(|n| u8::try_from(n).ok()).unwrap_or(b'?');
            String::from_utf8_lossy(&bytes.iter().map(byte).collect::<Vec<u8>>()).into_owned()
        }
        _ => String::new(),
    };
    let record = Record { at: stamp::epoch(at), program: unit, message: &message };
    if let Some(event) = told(&record) {
        out.event(Event { place: Some(Place::new(&file.label, number)), ..event });
    }
}

/// `Nov 13 09:14:00 node kubelet[1234]: text`, with fractions or as ISO 8601.
fn record(line: &str, year: Option<i16>) -> Option<Record<'_>> {
    let (at, rest) = match time::rfc3339(line) {
        Some((at, rest)) => (Some(at), rest),
        None => short(line, year)?,
    };
    let (_host, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
    let (program, message) = rest.split_once(": ")?;
    let (name, pid) = program.split_once('[').unwrap_or((program, "0]"));
    let digits = pid.strip_suffix(']')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@');
    let fits = !name.is_empty()
        && name.len() < 64
        && name.chars().all(plain)
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then_some(Record { at, program: name, message })
}

/// The time of syslog, which has no year.
fn short(line: &str, year: Option<i16>) -> Option<(Option<Timestamp>, &str)> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (front, _) = line.split_at_checked(15)?;
    let month = MONTHS.find(front.get(..3)?).filter(|at| at % 3 == 0)? / 3 + 1;
    let b = front.as_bytes();
    if b[3] != b' ' || b[6] != b' ' || b[9] != b':' || b[12] != b':' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| front.get(range)?.trim().parse::<i8>().ok();
    let (day, hour, minute, second) =
        (number(4..6)?, number(7..9)?, number(10..12)?, number(13..15)?);
    let fraction = line[15..].strip_prefix('.').unwrap_or_default();
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count().min(9);
    let nanos: i32 = format!("{:0<9}", &fraction[..digits]).parse().ok()?;
    let rest = if digits > 0 { &fraction[digits..] } else { &line[15..] };
    let at = year.and_then(|year| {
        let month = i8::try_from(month).ok()?;
        let civil = DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
        jiff::tz::Offset::UTC.to_timestamp(civil).ok()
    });
    Some((at, rest))
}

/// The year of a journal whose lines have none: that of the first date that stands in its head.
fn year(head: &str) -> Option<i16> {
    let bytes = head.as_bytes();
    memchr::memmem::find_iter(bytes, b"20").find_map(|at| {
        let date = head.get(at..at + 10)?;
        let alone = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        let whole = format!("{date} 00:00:00");
        let civil = alone.then(|| stamp::read(&whole, false))??;
        matches!(civil, Stamp::Clock(_)).then(|| date[..4].parse().ok())?
    })
}

/// What a line tells of a pod.
fn told(record: &Record<'_>) -> Option<Event> {
    let event = match record.program {
        "kubelet" | "hyperkube" => return kubelet::event(record.message, record.at),
        "containerd" | "dockerd" => containerd(record.message),
        "crio" => crio(record.message),
        _ => None,
    }?;
    let own = value(record.message, "time").and_then(|at| time::parse(&at));
    let at = own.or(record.at);
    Some(Event { first: at, last: at, count: 1, ..event })
}

fn of_pod(namespace: &str, pod: &str, reason: &str, message: String) -> Event {
    Event {
        namespace: Some(namespace.to_owned()),
        kind: "Pod".to_owned(),
        name: Some(pod.to_owned()),
        reason: reason.to_owned(),
        message,
        ..Event::default()
    }
}

/// `level=error msg="RunPodSandbox for &PodSandboxMetadata{Name:web-0,…,Namespace:shop,…} failed, error"
/// error="…"`.
fn containerd(text: &str) -> Option<Event> {
    let message = value(text, "msg")?;
    let (_, rest) = message.split_once("RunPodSandbox for &PodSandboxMetadata{")?;
    let (of, rest) = rest.split_once('}')?;
    let part = |name: &str| of.split(',').find_map(|p| p.strip_prefix(name)?.strip_prefix(':'));
    if !rest.contains("failed") {
        return None;
    }
    let why = value(text, "error").unwrap_or_default();
    let message = format!("Failed to create pod sandbox: {why}");
    let event = of_pod(part("Namespace")?, part("Name")?, "FailedCreatePodSandBox", message);
    Some(Event { warning: true, ..event })
}

/// `msg="Created container 0a1b: shop/web-0/app"`, `msg="Started container" … description=shop/web-0/app`,
/// `msg="Error adding pod shop_web-0 to CNI network …"`.
fn crio(text: &str) -> Option<Event> {
    let message = value(text, "msg")?;
    let of_container = |reason: &str, path: &str| {
        let mut parts = path.trim().split('/');
        let (namespace, pod, container) = (parts.next()?, parts.next()?, parts.next()?);
        let event = of_pod(namespace, pod, reason, format!("{reason} container {container}"));
        Some(Event { container: Some(container.to_owned()), ..event })
    };
    if let Some(rest) = message.strip_prefix("Created container ") {
        return of_container("Created", rest.split_once(": ")?.1);
    }
    if message == "Started container" {
        return of_container("Started", &value(text, "description")?);
    }
    let (full, why) = message.strip_prefix("Error adding pod ")?.split_once(" to CNI network ")?;
    let (namespace, pod) = full.split_once('_')?;
    let message =
        format!("Failed to create pod sandbox: error adding pod {full} to CNI network {why}");
    let event = of_pod(namespace, pod, "FailedCreatePodSandBox", message);
    Some(Event { warning: true, ..event })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Option<String> {
        let e = told(&record(line, Some(2024))?)?;
        let part = |t: Option<String>| t.unwrap_or_default();
        Some(format!(
            "{} {}/{} {} {}: {}",
            e.first.map_or("-".to_owned(), |at| at.to_string()),
            part(e.namespace),
            part(e.name),
            part(e.container),
            e.reason,
            e.message
        ))
    }

    #[test]
    fn what_runtimes_say_of_pods() {
        for (line, want) in [
            (
                r#"Nov 13 09:14:00 node-1 containerd[812]: time="2024-11-13T09:14:00.39Z" level=error msg="RunPodSandbox for &PodSandboxMetadata{Name:web-0,Uid:6dfc,Namespace:shop,Attempt:0,} failed, error" error="failed to setup network for sandbox \"0a\": plugin type=\"istio-cni\" failed (add)""#,
                r#"2024-11-13T09:14:00.39Z shop/web-0  FailedCreatePodSandBox: Failed to create pod sandbox: failed to setup network for sandbox "0a": plugin type="istio-cni" failed (add)"#,
            ),
            (
                r#"Nov 13 09:14:00 node-1 kubelet[1]: I1113 09:14:00.390123    1 prober.go:107] "Probe failed" probeType="Readiness" pod="shop/web-0" podUID="6dfc" containerName="istio-proxy" probeResult="failure" output="HTTP probe failed with statuscode: 503""#,
                "2024-11-13T09:14:00Z shop/web-0 istio-proxy Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503",
            ),
            (
                r#"Nov 13 09:14:00.390123 node-1 crio[812]: level=info msg="Created container 0a1b: shop/web-0/istio-proxy" id=x"#,
                "2024-11-13T09:14:00.390123Z shop/web-0 istio-proxy Created: Created container istio-proxy",
            ),
            (
                r#"2024-11-13T09:14:00+0000 node-1 crio[812]: level=info msg="Started container" PID=4 containerID=0a1b description=shop/web-0/app id=x"#,
                "2024-11-13T09:14:00Z shop/web-0 app Started: Started container app",
            ),
            (
                r#"Nov 13 09:14:00 node-1 crio[812]: time="2024-11-13 09:14:00.390Z" level=error msg="Error adding pod shop_web-0 to CNI network \"multus\": plugin failed""#,
                r#"2024-11-13T09:14:00.39Z shop/web-0  FailedCreatePodSandBox: Failed to create pod sandbox: error adding pod shop_web-0 to CNI network "multus": plugin failed"#,
            ),
        ] {
            assert_eq!(shown(line).as_deref(), Some(want), "{line}");
        }
    }

    #[test]
    fn other_lines_tell_nothing() {
        for line in [
            "",
            "Nov 13 09:14:00 node-1 sshd[1]: Accepted publickey",
            r#"Nov 13 09:14:00 node-1 crio[812]: level=info msg="Created container 0a1b: shop""#,
            r#"Nov 13 09:14:00 node-1 crio[812]: msg="never closed"#,
            "Xov 13 09:14:00 node-1 crio[812]: x",
            "Nov 13 09:14:00é node-1 crio[812]: x",
            "Nov 99 99:99:99 node-1 crio[812]: level=info msg=\"Created container 0: a/b/c\"",
            "2024-11-13T09:14:00Z info up: yes",
        ] {
            assert!(shown(line).is_none_or(|s| s.starts_with("- ")), "{line}");
        }
        assert_eq!(shown(&format!("Nov 13 09:14:00 n crio[1]: {}", "msg".repeat(200_000))), None);
    }

    #[test]
    fn a_journal_is_known_by_its_lines_and_dated_by_its_head() {
        assert!(is(
            "-- Logs begin at Wed 2024-11-13 09:00:01 UTC. --\nNov 13 09:14:00 n kubelet[1]: a\nNov 13 09:14:00 n crio: b\n"
        ));
        assert!(!is("2024-11-13T09:14:00Z ERROR shipper: dial tcp: connection refused\n"));
        assert!(!is("2024-11-13T09:14:00Z info up\n2024-11-13T09:14:00Z error down\n"));
        assert_eq!(year("-- Logs begin at Wed 2024-11-13 09:00:01 UTC"), Some(2024));
        assert_eq!(year("no year in 2 lines of 2048 bytes"), None);
    }
}
