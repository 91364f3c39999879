//! `sunup doctor --loki` against a server of the test's own, after Loki's documented HTTP API.

use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Value, json};
use sunup_testkit::web::{Answer, Request, Web};

use super::super::kit;
use super::cloud::{BOUND, REFUSED, both, findings, first};
use super::project::{real, recorded};

/// A line with its labels.
struct Line {
    at: Timestamp,
    namespace: String,
    pod: String,
    container: String,
    text: String,
}

/// The recorded containers' lines, as an agent ships them.
fn lines(folder: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, entry) in recorded(folder) {
        let entry: Value = serde_json::from_str(&entry).expect("JSON");
        let labels = &entry["resource"]["labels"];
        let text = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
        let Some(payload) = entry["textPayload"].as_str() else { continue };
        lines.push(Line {
            at,
            namespace: text("namespace_name"),
            pod: text("pod_name"),
            container: text("container_name"),
            text: payload.to_owned(),
        });
    }
    lines.sort_by_key(|line| line.at);
    lines
}

/// Evaluates `{label="a",other=~"b"} |~ "c"`: as much of LogQL as is asked.
struct Query {
    /// A label and what it must be as a whole.
    labels: Vec<(String, Regex)>,
    text: Regex,
}

impl Query {
    fn parse(query: &str) -> Query {
        let (selector, rest) = query.split_once('}').expect("a selector");
        let text =
            |quoted: &str| -> String { serde_json::from_str(quoted).expect("a quoted text") };
        let matcher = Regex::new(r#"(\w+)(=~|=)("(?:[^"\\]|\\.)*")"#).expect("a pattern");
        let label = |found: regex::Captures<'_>| {
            let wanted = text(&found[3]);
            let wanted = if &found[2] == "=" { regex::escape(&wanted) } else { wanted };
            (found[1].to_owned(), Regex::new(&format!("^(?:{wanted})$")).expect("RE2"))
        };
        let pattern = rest.trim().strip_prefix("|~ ").expect("a line filter");
        Query {
            labels: matcher.captures_iter(selector).map(label).collect(),
            text: Regex::new(&text(pattern)).expect("RE2"),
        }
    }

    fn matches(&self, line: &Line) -> bool {
        self.labels.iter().all(|(name, wanted)| match name.as_str() {
            "namespace" => wanted.is_match(&line.namespace),
            "pod" => wanted.is_match(&line.pod),
            name => panic!("no label {name}"),
        }) && self.text.is_match(&line.text)
    }
}

fn answer(lines: &[Line], request: &Request) -> Answer {
    assert!(request.target.starts_with("/loki/api/v1/query_range?"), "{}", request.target);
    let number = |name: &str| -> i128 {
        request.parameter(name).expect("given").parse().expect("nanoseconds")
    };
    let query = Query::parse(&request.parameter("query").expect("a query"));
    let (from, until) = (number("start"), number("end"));
    let limit = usize::try_from(number("limit")).expect("small");
    let within = |line: &&Line| (from..until).contains(&line.at.as_nanosecond());
    let found = lines.iter().filter(within).filter(|line| query.matches(line)).take(limit);
    let stream = |line: &Line| {
        json!({"stream": {"namespace": line.namespace, "pod": line.pod,
            "container": line.container, "stream": "stderr"},
            "values": [[line.at.as_nanosecond().to_string(), line.text]]})
    };
    let result: Vec<Value> = found.map(stream).collect();
    let data = json!({"resultType": "streams", "result": result});
    Answer::new(200, json!({"status": "success", "data": data}).to_string())
}

#[test]
fn a_loki_is_asked_in_the_same_two_rounds() {
    let test = "a_loki_is_asked_in_the_same_two_rounds";
    let Some(real) = sunup_testkit::require(test, "the recordings", real()) else { return };
    let mut all = lines(&real.join("app-before-proxy"));
    all.extend(lines(&real.join("gateway-port-80-denied")));
    all.sort_by_key(|line| line.at);
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let kept = Arc::clone(&seen);
    let server = Web::new(move |request| {
        kept.lock().expect("no panic while it was held").push(request.clone());
        answer(&all, request)
    });
    let folder = kit::folder(&[("token", "tenant-secret\n")]);
    let url = server.url();
    let line = [
        "doctor",
        "--loki",
        &url,
        "--loki-header",
        "X-Scope-OrgID=@token",
        "--since",
        "2026-11-30T20:00:00Z",
        "--until",
        "2026-11-30T22:30:00Z",
        "--format",
        "json",
        "--save",
        "kept",
    ];
    let done = kit::run(folder.path(), &line);
    let report: Value = serde_json::from_str(&done.out).expect(&done.err);
    // What Cloud Logging's test names of the same pods, by the same line.
    assert_eq!(findings(&report), both(), "{}", done.err);
    for (rule, words) in [REFUSED, BOUND] {
        let (pod, at) = first(rule, words);
        let mut found = report["findings"].as_array().expect("findings").iter();
        let finding = found.find(|finding| finding["rule"] == rule).expect("named");
        assert_eq!(finding["subject"]["pods"], json!([pod]));
        assert!(finding["evidence"].to_string().contains(&at), "{at}: {finding}");
    }
    assert!(!format!("{}{}", done.out, done.err).contains("tenant-secret"));
    let seen = seen.lock().expect("no panic while it was held");
    assert!(seen.iter().all(|request| request.header("x-scope-orgid") == Some("tenant-secret")));
    let kept = [
        "doctor",
        "kept",
        "--format",
        "json",
        "--since",
        "2026-11-30T20:00:00Z",
        "--until",
        "2026-11-30T22:30:00Z",
    ];
    assert_eq!(kit::run(folder.path(), &kept).out, done.out);
}
