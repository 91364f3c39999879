//! One pod's start, rendered in every form that people hand over: the same fault is found in all.
//!
//! A pod whose application is refused 2.2 s after its proxy began and 4.4 s before the proxy was
//! ready. Each form is a function from these three lines to files; what it leaves out (the
//! namespace, fractions of seconds) it says itself. Around the forms turn the zone that times are
//! shown in, colours, the order of fields and prose around the text.

mod logs;
mod services;
mod tables;
mod told;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;

use super::kit;

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const POD: &str = "orders-7d9c5b6f84-x7k2p";
pub(crate) const APP: &str = "orders";
pub(crate) const PROXY: &str = "istio-proxy";
const STARTED: &str = "2026-03-31T10:41:10.1Z";
const REFUSED: &str = "2026-03-31T10:41:12.345Z";
const READY: &str = "2026-03-31T10:41:16.789Z";

/// A line of a container.
pub(crate) struct Line {
    pub(crate) container: &'static str,
    pub(crate) at: Timestamp,
    pub(crate) text: String,
}

/// What happened, and how it is shown.
pub(crate) struct Story {
    pub(crate) lines: Vec<Line>,
    pub(crate) offset: Offset,
    /// Fields come in another order than usual.
    pub(crate) shuffled: bool,
    pub(crate) coloured: bool,
}

impl Story {
    fn new(offset: Offset, shuffled: bool, coloured: bool) -> Story {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let red = |text: &str| match coloured {
            true => format!("\u{1b}[31mERROR\u{1b}[0m {text}"),
            false => text.to_owned(),
        };
        let refused =
            "cannot reach the cache: dial tcp 10.96.3.4:6379: connect: connection refused";
        let lines = vec![
            Line {
                container: PROXY,
                at: at(STARTED),
                text: format!(
                    "2026-03-31T10:41:10.099000Z\tinfo\tProxy role: ips=[10.244.1.7] type=sidecar id={POD}.{NAMESPACE} domain={NAMESPACE}.svc.cluster.local"
                ),
            },
            Line { container: APP, at: at(REFUSED), text: red(refused) },
            Line {
                container: PROXY,
                at: at(READY),
                text: "2026-03-31T10:41:16.788000Z\tinfo\tEnvoy proxy is ready".to_owned(),
            },
        ];
        Story { lines, offset, shuffled, coloured }
    }

    /// A time as `strftime` writes it, in the zone at hand.
    pub(crate) fn show(&self, at: Timestamp, format: &str) -> String {
        jiff::fmt::strtime::format(format, &at.to_zoned(self.offset.to_time_zone()))
            .expect("a valid format")
    }

    /// RFC 3339 with milliseconds and the zone at hand.
    pub(crate) fn rfc3339(&self, at: Timestamp) -> String {
        self.show(at, "%Y-%m-%dT%H:%M:%S%.3f%:z")
    }

    /// The lines as text, one below the other.
    pub(crate) fn text(&self, line: impl Fn(&Line) -> String) -> String {
        self.lines.iter().map(|l| line(l) + "\n").collect()
    }

    /// Fields as one object, in the usual order or turned round.
    pub(crate) fn object(&self, fields: &[(&str, Value)]) -> String {
        let mut parts: Vec<String> =
            fields.iter().map(|(key, value)| format!("{}:{value}", Value::from(*key))).collect();
        if self.shuffled {
            parts.reverse();
        }
        format!("{{{}}}", parts.join(","))
    }
}

pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// A form that the story is told in.
pub(crate) struct Form {
    pub(crate) name: &'static str,
    pub(crate) render: fn(&Story) -> Files,
    /// What of the story the form carries.
    pub(crate) namespace: bool,
    /// Digits behind the second that its times have, the application's line.
    pub(crate) digits: usize,
    /// What can be varied.
    pub(crate) varies: &'static [Vary],
    pub(crate) args: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vary {
    /// Times are shown with their zone, or one can be learnt.
    Zone,
    /// Fields or columns have an order.
    Order,
    /// Colours may be anywhere.
    Colours,
    /// Prose may stand around it.
    Prose,
}

impl Form {
    pub(crate) const fn new(name: &'static str, render: fn(&Story) -> Files) -> Form {
        Form {
            name,
            render,
            namespace: true,
            digits: 3,
            varies: &[Vary::Zone, Vary::Order],
            args: &[],
        }
    }

    pub(crate) const fn varies(self, varies: &'static [Vary]) -> Form {
        Form { varies, ..self }
    }

    pub(crate) const fn without_namespace(self) -> Form {
        Form { namespace: false, ..self }
    }

    pub(crate) const fn digits(self, digits: usize) -> Form {
        Form { digits, ..self }
    }
}

/// One file of that name.
pub(crate) fn one(name: &str, text: impl Into<Vec<u8>>) -> Files {
    vec![(name.to_owned(), text.into())]
}

/// A file for each container's log.
pub(crate) fn each(
    story: &Story,
    name: impl Fn(&str) -> String,
    line: impl Fn(&Line) -> String,
) -> Files {
    [PROXY, APP]
        .into_iter()
        .map(|container| {
            let lines = story.lines.iter().filter(|l| l.container == container);
            let text: String = lines.map(|l| line(l) + "\n").collect();
            (name(container), text.into_bytes())
        })
        .collect()
}

struct Variant {
    offset: i32,
    shuffled: bool,
    coloured: bool,
    prose: bool,
}

fn variants(form: &Form) -> Vec<Variant> {
    let plain = || Variant { offset: 0, shuffled: false, coloured: false, prose: false };
    let mut all = vec![plain()];
    for vary in form.varies {
        match vary {
            Vary::Zone => all.extend([60, -330].map(|offset| Variant { offset, ..plain() })),
            Vary::Order => all.push(Variant { shuffled: true, ..plain() }),
            Vary::Colours => all.push(Variant { coloured: true, ..plain() }),
            Vary::Prose => all.push(Variant { prose: true, ..plain() }),
        }
    }
    all
}

/// Text that a ticket has around what was pasted.
fn with_prose(files: Files) -> Files {
    let around = |(name, bytes): (String, Vec<u8>)| {
        let text = String::from_utf8(bytes).expect("prose stands around texts");
        let whole = format!(
            "Hi all,\n\nour service does not come up since the upgrade. This is what we see:\n\n{text}\nAny idea what is wrong here? We have tried to restart it twice already.\n"
        );
        (name, whole.into_bytes())
    };
    files.into_iter().map(around).collect()
}

fn check(form: &Form, variant: &Variant) -> Result<(), String> {
    let offset = Offset::from_seconds(variant.offset * 60).expect("less than a day");
    let story = Story::new(offset, variant.shuffled, variant.coloured);
    let mut files = (form.render)(&story);
    if variant.prose {
        files = with_prose(files);
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (name, bytes) in &files {
        kit::write(dir.path(), name, bytes);
    }
    let run = kit::run(dir.path(), &[&["doctor", "--format", "json", "."], form.args].concat());
    let report: Value = serde_json::from_str(&run.out).map_err(|e| format!("{e}: {}", run.err))?;
    judge(form, &report).map_err(|why| {
        let shown: String = files
            .iter()
            .map(|(name, bytes)| format!("── {name}\n{}\n", String::from_utf8_lossy(bytes)))
            .collect();
        let rest = format!("{}\n{}", report["unreadable"], report["read"]);
        format!("{why}\n{rest}\n{}", shown.chars().take(1500).collect::<String>())
    })
}

fn judge(form: &Form, report: &Value) -> Result<(), String> {
    let findings = report["findings"].as_array().ok_or("no findings")?;
    let [finding] = findings.as_slice() else {
        return Err(format!("{} findings", findings.len()));
    };
    let subject = &finding["subject"];
    let namespace = if form.namespace { Value::from(NAMESPACE) } else { Value::Null };
    let same = [
        (&finding["rule"], Value::from("app-before-proxy")),
        (&subject["name"], Value::from("orders")),
        (&subject["kind"], Value::from("Deployment")),
        (&subject["pods"], Value::from(vec![POD])),
        (&subject["container"], Value::from(APP)),
    ];
    if let Some((got, want)) = same.iter().find(|(got, want)| *got != want) {
        return Err(format!("{got} instead of {want}"));
    }
    // A proxy's own first line names the namespace too.
    if subject["namespace"] != namespace && subject["namespace"] != NAMESPACE {
        return Err(format!("namespace {}", subject["namespace"]));
    }
    let timeline = finding["timeline"].as_array().ok_or("no timeline")?;
    for (what, at) in [("refused", REFUSED), ("ready", READY)] {
        let want: Timestamp = at.parse().expect("a time");
        let near = |entry: &&Value| {
            let got = entry["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
            let apart = got.map(|got| got.duration_since(want).as_millis().abs());
            let digits = if what == "refused" { form.digits } else { 0 };
            let within = if digits >= 3 { 1 } else { 1000 };
            apart.is_some_and(|apart| apart <= within)
        };
        let said = |entry: &&Value| entry["what"].as_str().is_some_and(|w| w.contains(what));
        if !timeline.iter().any(|entry| said(&entry) && near(&entry)) {
            return Err(format!("nothing {what} at {at}: {}", finding["timeline"]));
        }
    }
    Ok(())
}

#[test]
fn one_start_is_found_in_every_form() {
    let forms = [logs::FORMS, services::FORMS, tables::FORMS, told::FORMS].concat();
    assert!(forms.len() >= 40, "only {} forms", forms.len());
    let work: Vec<(&Form, Variant)> =
        forms.iter().flat_map(|form| variants(form).into_iter().map(move |v| (*form, v))).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((form, v)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = check(form, v) {
                        let how = format!(
                            "{} (zone {} min, shuffled {}, coloured {}, prose {})",
                            form.name, v.offset, v.shuffled, v.coloured, v.prose
                        );
                        failures.lock().expect("no thread panicked").push(format!("{how}: {why}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panicked");
    let of = work.len();
    assert!(
        failures.is_empty(),
        "{} of {of} renderings:\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[test]
fn without_the_refusal_no_form_has_a_finding() {
    for form in [logs::FORMS, services::FORMS, tables::FORMS, told::FORMS].concat() {
        let mut story = Story::new(Offset::UTC, false, false);
        story.lines[1].text = "the cache is there".to_owned();
        let dir = tempfile::tempdir().expect("a directory");
        for (name, bytes) in (form.render)(&story) {
            kit::write(dir.path(), &name, &bytes);
        }
        let run = kit::run(dir.path(), &[&["doctor", "--format", "json", "."], form.args].concat());
        let report: Value = serde_json::from_str(&run.out).expect("a report");
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{}: {report}", form.name);
        assert_eq!(run.code, 0, "{}: {}", form.name, report["unreadable"]);
    }
}

/// Kept beside the names of files that a form needs.
pub(crate) fn id(container: &str) -> String {
    let digit = if container == APP { "0a" } else { "b1" };
    digit.repeat(32)
}

/// The name that the kubelet gives a container's log.
pub(crate) fn log_name(container: &str) -> String {
    format!("{POD}_{NAMESPACE}_{container}-{}.log", id(container))
}
