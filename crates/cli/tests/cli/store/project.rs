//! A project's Cloud Logging of the test's own, after the published API (google.logging.v2
//! ListLogEntries): filters are evaluated by `sunup-logs`, pages are handed out in any size, and it
//! misbehaves on order.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sunup_logs::{Filter, SearchOptions, search};
use sunup_testkit::web::{Answer, Request, Web};

/// Entries that have nothing to do with anything.
const NOISE: usize = 200_000;
/// Over how long they are spread.
const SPAN: SignedDuration = SignedDuration::from_hours(24);

/// What goes wrong with the next requests, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The quota is used up; with or without `Retry-After`.
    Quota(Option<u64>),
    /// 503.
    Unavailable,
    /// The connection ends in the middle of the answer.
    Cut,
    /// The answer takes its time.
    Slow(Duration),
    /// A page without entries, and a token: the search goes on.
    Empty,
    /// This status, once.
    Refused(u16),
}

/// One question as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) filter: String,
    pub(crate) resource: String,
    /// Entries of this page.
    pub(crate) entries: Vec<Value>,
}

struct State {
    /// In the order of their times.
    entries: Vec<(Timestamp, String)>,
    page: usize,
    troubles: VecDeque<Trouble>,
    /// Searches that have pages left, by token.
    searches: HashMap<String, Vec<String>>,
    asked: Vec<Asked>,
    tokens: usize,
    /// Every entry matches every filter.
    overruled: bool,
}

/// The project.
#[derive(Clone)]
pub(crate) struct Project {
    pub(crate) server: Web,
    state: Arc<Mutex<State>>,
}

/// The noise, made once for all tests: it ends at the end of the recordings.
static ALL: LazyLock<Option<Vec<(Timestamp, String)>>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for name in ["app-before-proxy", "gateway-port-80-denied", "hold-healthy"] {
        all.extend(recorded(&real()?.join(name)));
    }
    let end = all.iter().map(|(at, _)| *at).max()?;
    all.extend(noise(end - SPAN, NOISE));
    all.sort();
    Some(all)
});

/// Answers of the store that all tests share, by filter.
static KNOWN: LazyLock<Mutex<HashMap<String, Vec<String>>>> = LazyLock::new(Mutex::default);

/// The recordings of a real cluster, where they are at hand.
pub(crate) fn real() -> Option<PathBuf> {
    Some(sunup_testkit::goldens()?.parent()?.join("real")).filter(|dir| dir.is_dir())
}

impl Project {
    /// A project with the recorded pods, and everybody else's entries around them.
    pub(crate) fn new(test: &str) -> Option<Project> {
        let all = ALL.clone();
        let entries = sunup_testkit::require(test, "the recordings beside the goldens", all)?;
        Some(Project::of(entries))
    }

    pub(crate) fn of(entries: Vec<(Timestamp, String)>) -> Project {
        let state = Arc::new(Mutex::new(State {
            entries,
            page: usize::MAX,
            troubles: VecDeque::new(),
            searches: HashMap::new(),
            asked: Vec::new(),
            tokens: 0,
            overruled: false,
        }));
        let inside = Arc::clone(&state);
        let server = Web::new(move |request| {
            answer(&mut inside.lock().expect("no panic while it was held"), request)
        });
        Project { server, state }
    }

    /// Pages of at most so many entries, and what goes wrong.
    pub(crate) fn with(self, page: usize, troubles: &[Trouble]) -> Project {
        let mut state = self.state.lock().expect("no panic while it was held");
        state.page = page;
        state.troubles = troubles.iter().copied().collect();
        drop(state);
        self
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().expect("no panic while it was held").asked.clone()
    }

    /// From now on everything matches, whatever is asked.
    pub(crate) fn overrule(&self) {
        self.state.lock().expect("no panic while it was held").overruled = true;
    }

    /// Entries that it has.
    pub(crate) fn size(&self) -> usize {
        self.state.lock().expect("no panic while it was held").entries.len()
    }

    /// Troubles that nobody has met yet.
    pub(crate) fn left(&self) -> usize {
        self.state.lock().expect("no panic while it was held").troubles.len()
    }
}

fn answer(state: &mut State, request: &Request) -> Answer {
    if request.target == "/token" {
        state.tokens += 1;
        let token = format!("secret-token-{}", state.tokens);
        return Answer::new(200, json!({"access_token": token, "expires_in": 3600}).to_string());
    }
    if (request.method.as_str(), request.target.as_str()) != ("POST", "/v2/entries:list") {
        return Answer::new(404, "{}");
    }
    let mut late = Duration::ZERO;
    let mut cut = false;
    match state.troubles.pop_front() {
        Some(Trouble::Quota(after)) => {
            let body = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota"}}"#;
            let mut answer = Answer::new(429, body);
            answer.headers.extend(after.map(|seconds| ("retry-after", seconds.to_string())));
            return answer;
        }
        Some(Trouble::Unavailable) => return Answer::new(503, "upstream"),
        Some(Trouble::Refused(code)) => {
            let body = json!({"error": {"code": code, "message": format!("Code {code}")}});
            return Answer::new(code, body.to_string());
        }
        Some(Trouble::Cut) => cut = true,
        Some(Trouble::Slow(how_long)) => late = how_long,
        Some(Trouble::Empty) => {
            state.tokens += 1;
            let token = format!("empty-{}", state.tokens);
            let found = found(state, request).expect("a good question");
            state.searches.insert(token.clone(), found);
            return Answer::new(200, json!({"nextPageToken": token}).to_string());
        }
        None => {}
    }
    let mut answer = match found(state, request) {
        Ok(found) => page(state, request, found, cut),
        Err(why) => Answer::new(400, json!({"error": {"code": 400, "message": why}}).to_string()),
    };
    (answer.after, answer.cut) = (late, cut);
    answer
}

/// What a question matches: anew, or what is left of it.
fn found(state: &mut State, request: &Request) -> Result<Vec<String>, String> {
    let body: Value = serde_json::from_str(&request.body).map_err(|why| why.to_string())?;
    if let Some(token) = body["pageToken"].as_str() {
        // As the real one has it, a token may be used again.
        return state
            .searches
            .get(token)
            .cloned()
            .ok_or_else(|| "page_token is invalid".to_owned());
    }
    if body["orderBy"] != "timestamp asc" {
        return Err("this test wants the oldest first".to_owned());
    }
    let source = body["filter"].as_str().unwrap_or_default();
    let filter = Filter::parse(source).map_err(|why| why.to_string())?;
    assert!(filter.warnings().is_empty() && source.len() <= 20_000, "{source}");
    if state.overruled {
        return Ok(state.entries.iter().map(|(_, entry)| entry.clone()).collect());
    }
    // What is outside of the time is not looked at, as in a store that is kept by time.
    let bound = |name: &str| {
        let line = source.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_matches('"').parse::<Timestamp>().ok()
    };
    let from = bound("timestamp>=").unwrap_or(Timestamp::MIN);
    let until = bound("timestamp<").unwrap_or(Timestamp::MAX);
    let span = state.entries.partition_point(|(at, _)| *at < from)
        ..state.entries.partition_point(|(at, _)| *at < until);
    // The store that all tests share answers the same question the same way.
    let shared = state.entries.len() > NOISE;
    let known = KNOWN.lock().expect("no panic while it was held").get(source).cloned();
    if let Some(known) = known.filter(|_| shared) {
        return Ok(known);
    }
    let mut text = Vec::new();
    for (_, entry) in &state.entries[span] {
        text.extend_from_slice(entry.as_bytes());
        text.push(b'\n');
    }
    let mut found = Vec::new();
    search(text.as_slice(), &filter, &SearchOptions::default(), &mut |hit| {
        found.push(String::from_utf8(hit.bytes.to_vec()).expect("UTF-8"));
        std::ops::ControlFlow::Continue(())
    })
    .map_err(|why| why.to_string())?;
    if shared {
        let mut known = KNOWN.lock().expect("no panic while it was held");
        known.insert(source.to_owned(), found.clone());
    }
    Ok(found)
}

fn page(state: &mut State, request: &Request, mut found: Vec<String>, cut: bool) -> Answer {
    let body: Value = serde_json::from_str(&request.body).expect("looked at before");
    let asked = body["pageSize"].as_u64().unwrap_or(50) as usize;
    let rest = found.split_off(found.len().min(asked).min(state.page));
    let mut answer = format!("{{\"entries\":[\n{}\n]", found.join(",\n"));
    if !rest.is_empty() {
        state.tokens += 1;
        let token = format!("page-{}", state.tokens);
        answer.push_str(&format!(",\"nextPageToken\":\"{token}\""));
        state.searches.insert(token, rest);
    }
    answer.push('}');
    if !cut {
        let entries =
            found.iter().map(|entry| serde_json::from_str(entry).expect("JSON")).collect();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let resource = body["resourceNames"][0].as_str().unwrap_or_default().to_owned();
        state.asked.push(Asked { filter: text("filter"), resource, entries });
    }
    Answer::new(200, answer)
}

/// Logs and events of a recorded folder, as a cluster sends them to Cloud Logging: whose they are
/// is in labels, and events are of the type k8s_pod.
pub(crate) fn recorded(folder: &Path) -> Vec<(Timestamp, String)> {
    let mut entries = Vec::new();
    let text = std::fs::read_to_string(folder.join("in/pods-events.json")).expect("recorded");
    let list: Value = serde_json::from_str(&text).expect("JSON");
    let items = list["items"].as_array().expect("a list");
    let namespace = items[0]["metadata"]["namespace"].as_str().expect("a pod's").to_owned();
    for event in items.iter().filter(|item| item["kind"] == "Event") {
        let times = ["eventTime", "firstTimestamp", "lastTimestamp"];
        let at = times.iter().find_map(|name| event[*name].as_str()).expect("a time");
        let object = &event["involvedObject"];
        let pod = object["kind"] == "Pod";
        let kind = if pod { "k8s_pod" } else { "k8s_cluster" };
        let mut labels = json!({"project_id": "p", "location": "l", "cluster_name": "c"});
        if pod {
            labels["namespace_name"] = object["namespace"].clone();
            labels["pod_name"] = object["name"].clone();
        }
        let severity = if event["type"] == "Warning" { "WARNING" } else { "INFO" };
        let entry = json!({
            "insertId": event["metadata"]["name"], "logName": "projects/p/logs/events",
            "resource": {"type": kind, "labels": labels}, "timestamp": at, "severity": severity,
            "jsonPayload": event,
        });
        entries.push((at.parse().expect("a time"), entry.to_string()));
    }
    for file in std::fs::read_dir(folder.join("in/logs")).expect("recorded").flatten() {
        let name = file.file_name().into_string().expect("UTF-8");
        let mut parts = name.split('.');
        let (pod, container) = (parts.next().expect("a pod"), parts.next().expect("a container"));
        for (number, line) in
            std::fs::read_to_string(file.path()).expect("text").lines().enumerate()
        {
            let Some((at, text)) = line.split_once(' ') else { continue };
            let Ok(time) = at.parse() else { continue };
            let entry = json!({
                "insertId": format!("{name}-{number}"), "logName": "projects/p/logs/stderr",
                "resource": {"type": "k8s_container", "labels": {"project_id": "p",
                    "location": "l", "cluster_name": "c", "namespace_name": namespace,
                    "pod_name": pod, "container_name": container}},
                "timestamp": at, "severity": "DEFAULT", "textPayload": text,
            });
            entries.push((time, entry.to_string()));
        }
    }
    entries
}

/// Everybody else: pods of twenty namespaces that do their work.
fn noise(from: Timestamp, number: usize) -> Vec<(Timestamp, String)> {
    let step = SPAN / i32::try_from(number).expect("not so many");
    let texts = [
        "GET /healthz 200 1ms",
        "handled request path=/api/items status=200 duration=12ms",
        "cache refreshed keys=8812",
        "user 4711 logged in",
        "retrying in 250 ms",
    ];
    (0..number)
        .map(|n| {
            let at = from + step * i32::try_from(n).expect("not so many");
            let (space, pod) = (["shop-a", "edge-d", "pay", "data"][n % 4], n % 60);
            let text = texts[n % texts.len()];
            let entry = format!(
                "{{\"insertId\":\"n{n}\",\"logName\":\"projects/p/logs/stdout\",\"resource\":{{\"type\":\
                 \"k8s_container\",\"labels\":{{\"location\":\"l\",\"cluster_name\":\"c\",\
                 \"namespace_name\":\"{space}\",\"pod_name\":\"web-{pod}\",\"container_name\":\"web\"\
                 }}}},\"timestamp\":\"{at}\",\"severity\":\"INFO\",\"textPayload\":\"{text}\"}}"
            );
            (at, entry)
        })
        .collect()
}
