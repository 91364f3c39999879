//! `sunup doctor --cloud-logging` against a project of the test's own.

use std::collections::{BTreeSet, HashMap};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::kit::{self, Run};
use super::project::{Project, Trouble};

/// The command, with nothing of this machine's identity.
fn sunup(project: &Project, folder: &std::path::Path, arguments: &[&str]) -> Command {
    let url = project.server.url();
    let line = ["doctor", "--cloud-logging", "shop-prod", "--endpoint", &url];
    let line: Vec<&str> = line.iter().chain(arguments).copied().collect();
    let mut command = kit::sunup(folder, &line);
    for name in ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_QUOTA_PROJECT", "HTTPS_PROXY"] {
        command.env_remove(name);
    }
    command.env("HOME", folder);
    command
}

fn run(project: &Project, folder: &std::path::Path, arguments: &[&str]) -> Run {
    sunup(project, folder, arguments).output().expect("it starts").into()
}

pub(super) fn report(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|why| panic!("{why}: {}{}", run.out, run.err))
}

/// Rule, namespace and name of each finding.
pub(super) fn findings(report: &Value) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |finding: &Value| {
        let subject = &finding["subject"];
        (text(&finding["rule"]), text(&subject["namespace"]), text(&subject["name"]))
    };
    report["findings"].as_array().expect("findings").iter().map(of).collect()
}

/// Around the recordings: a part of the day that the store holds.
const TIMES: [&str; 4] = ["--since", "2026-11-30T21:30:00Z", "--until", "2026-11-30T22:10:00Z"];

/// A rule, and the words by which the recorded pod shows what it names.
pub(super) const REFUSED: (&str, &str) = ("app-before-proxy", "connection refused");
pub(super) const BOUND: (&str, &str) = ("gateway-privileged-port", "cannot bind");

/// The pod that was recorded with a fault of this rule, and when it first said these words.
pub(super) fn first(rule: &str, words: &str) -> (String, String) {
    let folder = if rule == REFUSED.0 { "app-before-proxy" } else { "gateway-port-80-denied" };
    let entries = super::project::recorded(&super::project::real().expect("there").join(folder));
    let entries = entries
        .iter()
        .map(|(at, entry)| (at, serde_json::from_str::<Value>(entry).expect("as it was written")));
    let said = entries.filter(|(_, entry)| {
        entry["textPayload"].as_str().is_some_and(|text| text.contains(words))
    });
    let (_, entry) = said.min_by_key(|(at, _)| **at).expect("recorded");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&entry["resource"]["labels"]["pod_name"]), text(&entry["timestamp"]))
}

pub(super) fn both() -> BTreeSet<(String, String, String)> {
    let own = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    BTreeSet::from([
        own("app-before-proxy", "shop-a", "orders"),
        own("gateway-privileged-port", "edge-d", "edge-gateway"),
    ])
}

#[test]
fn both_faults_are_named_while_everything_goes_wrong_in_turn() {
    let test = "both_faults_are_named_while_everything_goes_wrong_in_turn";
    let Some(project) = Project::new(test) else { return };
    let project = project.with(
        40,
        &[
            Trouble::Quota(Some(1)),
            Trouble::Empty,
            Trouble::Unavailable,
            Trouble::Cut,
            Trouble::Slow(Duration::from_millis(700)),
            Trouble::Quota(None),
        ],
    );
    let folder = kit::folder(&[]);
    let done = run(&project, folder.path(), &[&TIMES[..], &["--format", "json"]].concat());
    assert_eq!(done.code, 1, "{}", done.err);
    let report = report(&done);
    assert_eq!(findings(&report), both(), "{}", done.err);
    assert_eq!(project.left(), 0, "some trouble was never met");
    assert!(done.err.contains("the quota of reads is used up"), "{}", done.err);
    let found = report["findings"].as_array().expect("findings");
    for (rule, words) in [REFUSED, BOUND] {
        let (pod, at) = first(rule, words);
        let finding = found.iter().find(|finding| finding["rule"] == rule).expect("named");
        assert_eq!(finding["subject"]["pods"], json!([pod]));
        let evidence = finding["evidence"].as_array().expect("evidence");
        let said = |item: &&Value| item["at"] == at.as_str();
        let item = evidence.iter().find(said).unwrap_or_else(|| panic!("{at}: {finding}"));
        assert!(item["text"].as_str().expect("a text").contains(words), "{item}");
    }
}

/// Entries as clusters of before 2019 log them.
fn legacy(entry: &str) -> String {
    let mut entry: Value = serde_json::from_str(entry).expect("as it was written");
    let labels = entry["resource"]["labels"].clone();
    entry["resource"] = match entry["resource"]["type"] == "k8s_container" {
        true => json!({"type": "container", "labels": {"cluster_name": labels["cluster_name"],
            "zone": labels["location"], "namespace_id": labels["namespace_name"],
            "pod_id": labels["pod_name"], "container_name": labels["container_name"]}}),
        false => json!({"type": "gke_cluster", "labels": {"cluster_name": labels["cluster_name"],
            "location": labels["location"]}}),
    };
    entry.to_string()
}

#[test]
fn clusters_of_legacy_logging_are_asked_by_their_own_types() {
    let test = "clusters_of_legacy_logging_are_asked_by_their_own_types";
    let Some(real) = sunup_testkit::require(test, "the recordings", super::project::real()) else {
        return;
    };
    let entries = super::project::recorded(&real.join("app-before-proxy")).into_iter();
    let mut entries: Vec<_> = entries.map(|(at, entry)| (at, legacy(&entry))).collect();
    entries.sort();
    let project = Project::of(entries);
    let folder = kit::folder(&[]);
    let place = ["-n", "shop-a", "--cluster", "c", "--location", "l", "--format", "json"];
    let arguments = [&TIMES[..], &place].concat();
    let none = run(&project, folder.path(), &arguments);
    assert!(none.code == 2 && !none.out.contains("app-before-proxy"), "{}", none.err);
    let done = run(&project, folder.path(), &[&arguments[..], &["--legacy-resources"]].concat());
    let found = both().into_iter().filter(|(_, space, _)| space == "shop-a").collect();
    assert_eq!(findings(&report(&done)), found, "{}", done.err);
}

#[test]
fn folders_organisations_and_views_are_asked_by_their_names() {
    let folder = kit::folder(&[]);
    let view = "locations/global/buckets/_Default/views/_AllLogs";
    let projects_view = format!("projects/shop-prod/{view}");
    for (named, view, resource) in [
        ("shop-prod", None, "projects/shop-prod"),
        ("folders/12", None, "folders/12"),
        ("organizations/34", None, "organizations/34"),
        ("shop-prod", Some(view), projects_view.as_str()),
    ] {
        let project = Project::of(Vec::new());
        let url = project.server.url();
        let view: Vec<&str> = view.into_iter().flat_map(|view| ["--view", view]).collect();
        for what in [&["doctor"][..], &["logs", "refused"]] {
            let line = [what, &["--cloud-logging", named, "--endpoint", &url], &view].concat();
            let mut command = kit::sunup(folder.path(), &line);
            command.env_remove("GOOGLE_APPLICATION_CREDENTIALS").env("HOME", folder.path());
            let done: Run = command.output().expect("it starts").into();
            assert!(!project.asked().is_empty(), "{}", done.err);
        }
        assert!(project.asked().iter().all(|asked| asked.resource == resource), "{named}");
    }
}

#[test]
fn nothing_outside_of_what_was_wanted_is_asked_for_and_little_of_it_is_read() {
    let test = "nothing_outside_of_what_was_wanted_is_asked_for_and_little_of_it_is_read";
    let Some(project) = Project::new(test) else { return };
    let folder = kit::folder(&[]);
    let arguments = [&TIMES[..], &["-n", "shop-a", "--cluster", "c", "--format", "json"]].concat();
    let done = run(&project, folder.path(), &arguments);
    let report = report(&done);
    let wanted = both().into_iter().filter(|(_, space, _)| space == "shop-a").collect();
    assert_eq!(findings(&report), wanted, "{}", done.err);
    let (mut first, mut second) = (0, 0);
    let time = |text: &str| text.parse::<jiff::Timestamp>().expect("a time");
    let within = time(TIMES[1])..time(TIMES[3]);
    for asked in project.asked() {
        assert_eq!(asked.resource, "projects/shop-prod");
        assert!(asked.filter.contains("resource.labels.cluster_name=\"c\""), "{}", asked.filter);
        // Most of the store's time has no entry that would give a wider question away.
        let bound = |name: &str| {
            let line = asked.filter.lines().find_map(|line| line.strip_prefix(name));
            time(line.expect("a bound of time").trim_matches('"'))
        };
        assert!(bound("timestamp>=") >= within.start, "{}", asked.filter);
        assert!(bound("timestamp<") <= within.end, "{}", asked.filter);
        for entry in &asked.entries {
            let at: jiff::Timestamp =
                entry["timestamp"].as_str().expect("one").parse().expect("it");
            assert!(within.contains(&at), "{entry}");
            let labels = &entry["resource"]["labels"]["namespace_name"];
            let object = &entry["jsonPayload"]["involvedObject"]["namespace"];
            assert!(labels == "shop-a" || object == "shop-a", "{entry}");
        }
        let one_pod = ["resource.labels.pod_name=", "jsonPayload.involvedObject.name="];
        match one_pod.iter().any(|term| asked.filter.contains(term)) {
            true => second += asked.entries.len(),
            false => first += asked.entries.len(),
        }
    }
    assert!(first > 0 && second > 0, "{first} {second}");
    // What the report shows of these pods: evidence, timelines, and the lines between.
    let finding = &report["findings"][0];
    let places = |name: &str| finding[name].as_array().map_or(0, Vec::len);
    let cited = places("evidence") + places("timeline");
    assert!(second <= 3 * cited.max(1), "{second} entries read for {cited} that are cited");
}

#[test]
fn what_is_kept_is_judged_the_same() {
    let Some(project) = Project::new("what_is_kept_is_judged_the_same") else { return };
    let project = project.with(25, &[]);
    let folder = kit::folder(&[]);
    let arguments = [&TIMES[..], &["--format", "json", "--save", "kept"]].concat();
    let asked = run(&project, folder.path(), &arguments);
    assert!(asked.err.contains("kept in kept"), "{}", asked.err);
    let kept = [&["doctor", "kept", "--format", "json"], &TIMES[..]].concat();
    let again = kit::run(folder.path(), &kept);
    assert_eq!((again.code, &again.out), (asked.code, &asked.out), "{}", again.err);
}

#[test]
fn what_was_not_asked_is_told_and_no_pod_is_called_healthy_for_it() {
    let test = "what_was_not_asked_is_told_and_no_pod_is_called_healthy_for_it";
    let Some(project) = Project::new(test) else { return };
    let project = project.with(3, &[]);
    let folder = kit::folder(&[]);
    let arguments = [&TIMES[..], &["--max-entries", "3", "--format", "json"]].concat();
    let done = run(&project, folder.path(), &arguments);
    assert!(done.err.contains("--max-entries"), "{}", done.err);
    assert!(project.asked().len() < 4, "{}", project.asked().len());
    let unknown = report(&done)["unknown"].to_string();
    assert!(unknown.contains("max-entries"), "{unknown}");
    assert_ne!(done.code, 0);
}

#[test]
fn the_filter_can_be_pasted_and_asks_for_every_rules_words() {
    let test = "the_filter_can_be_pasted_and_asks_for_every_rules_words";
    let Some(project) = Project::new(test) else { return };
    let folder = kit::folder(&[]);
    let done = run(&project, folder.path(), &[&TIMES[..], &["-v"]].concat());
    let first = done.err.split("note: asking for\n").nth(1).expect("the first filter");
    let first: Vec<&str> =
        first.lines().map(str::trim).take_while(|line| !line.starts_with("note:")).collect();
    let filter = sunup_logs::Filter::parse(&first.join("\n")).expect("a filter");
    assert!(filter.warnings().is_empty());
    for text in sunup_evidence::line::telling() {
        let entry = json!({"resource": {"type": "k8s_container"}, "severity": "DEFAULT",
            "timestamp": "2026-11-30T21:45:00Z", "jsonPayload": {"msg": format!("x {text} y")}});
        let entry = entry.to_string();
        let entry = sunup_logs::Entry::parse(entry.as_bytes()).expect("an entry");
        assert!(filter.matches(&entry), "{text}");
    }
}

/// What credentials hold and what comes of them.
const SECRETS: [&str; 3] = ["secret-of-the-client", "secret-refresh", "secret-token-"];

#[test]
fn a_token_is_sent_and_never_shown() {
    let Some(project) = Project::new("a_token_is_sent_and_never_shown") else { return };
    let project = project.with(100, &[Trouble::Refused(401)]);
    let folder = kit::folder(&[]);
    let credentials = json!({"type": "authorized_user", "client_id": "id",
        "client_secret": "secret-of-the-client", "refresh_token": "secret-refresh",
        "token_uri": format!("{}/token", project.server.url())});
    kit::write(folder.path(), "adc.json", credentials.to_string().as_bytes());
    for format in ["text", "json", "html", "markdown", "sarif", "github"] {
        let kept = format!("kept-{format}");
        let options = ["-v", "--format", format, "--save", &kept];
        let arguments = [&TIMES[..], &options].concat();
        let mut command = sunup(&project, folder.path(), &arguments);
        command.env("GOOGLE_APPLICATION_CREDENTIALS", folder.path().join("adc.json"));
        let done: Run = command.output().expect("it starts").into();
        assert_eq!(done.code, 1, "{}", done.err);
        assert!(done.err.contains("as a user's login in"), "{}", done.err);
        let said = format!("{}{}", done.out, done.err);
        assert!(SECRETS.iter().all(|secret| !said.contains(secret)), "{said}");
        for file in sunup_intake::sources(&folder.path().join(&kept)).files {
            let text = std::fs::read_to_string(&file.path).expect("readable");
            let clean = SECRETS.iter().all(|secret| !text.contains(secret));
            assert!(clean, "{}", file.path.display());
        }
    }
    // Nor an error: of the API, and of whoever issues tokens.
    let away = credentials.to_string().replace("/token", "/away");
    kit::write(folder.path(), "away.json", away.as_bytes());
    for (file, refused, says) in [("adc.json", Some(403), "Code 403"), ("away.json", None, "404")] {
        let project = project
            .clone()
            .with(100, &refused.map(Trouble::Refused).into_iter().collect::<Vec<_>>());
        let mut command = sunup(&project, folder.path(), &["-v"]);
        command.env("GOOGLE_APPLICATION_CREDENTIALS", folder.path().join(file));
        let done: Run = command.output().expect("it starts").into();
        assert!(done.code == 2 && done.err.contains(says), "{}", done.err);
        let said = format!("{}{}", done.out, done.err);
        assert!(SECRETS.iter().all(|secret| !said.contains(secret)), "{said}");
    }
}

#[test]
fn refusals_say_what_to_do() {
    let project = Project::of(Vec::new());
    let folder = kit::folder(&[]);
    for (code, says) in [
        (403, "logging.logEntries.list on projects/shop-prod"),
        (404, "is projects/shop-prod the right name?"),
        (400, "Code 400"),
    ] {
        let project = project.clone().with(100, &[Trouble::Refused(code)]);
        let done = run(&project, folder.path(), &[]);
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.err.contains(says), "{}", done.err);
    }
    let line = ["doctor", "--cloud-logging", "a b", "--endpoint", "http://127.0.0.1:1"];
    let done = kit::run(folder.path(), &line);
    assert!(done.code == 2 && done.err.contains("give its id"), "{}", done.err);
    let line = ["doctor", "--cloud-logging", "p", "--endpoint", "http://192.0.2.1"];
    let done = kit::run(folder.path(), &line);
    assert!(done.code == 2 && done.err.contains("without TLS"), "{}", done.err);
}

#[test]
fn an_interrupt_keeps_what_there_is() {
    let Some(project) = Project::new("an_interrupt_keeps_what_there_is") else { return };
    // The second request would take very long.
    let slow = Trouble::Slow(Duration::from_secs(50));
    let project = project.with(2, &[Trouble::Slow(Duration::ZERO), slow]);
    let folder = kit::folder(&[]);
    let arguments = [&TIMES[..], &["--save", "kept", "--format", "json"]].concat();
    let mut command = sunup(&project, folder.path(), &arguments);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("it starts");
    let kept = folder.path().join("kept/cloud-logging/00001.json");
    let began = std::time::Instant::now();
    while !kept.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no page came");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let done: Run = child.wait_with_output().expect("it ends").into();
    assert!(began.elapsed() < Duration::from_secs(40), "it waited for the answer");
    assert!(done.err.contains("what came so far is judged"), "{}", done.err);
    assert!(report(&done)["unknown"].to_string().contains("it was stopped"), "{}", done.out);
}

#[test]
fn a_store_that_has_nothing_to_say_makes_nobody_healthy() {
    let project = Project::of(Vec::new());
    let folder = kit::folder(&[]);
    let done = run(&project, folder.path(), &["-n", "shop"]);
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    assert!(done.err.contains("are the project, the namespace and the time"), "{}", done.err);
    assert!(!done.out.contains("kubectl logs"), "{}", done.out);
}

/// Whoever hears of Ctrl-C once hears of it for ever: what is read afterwards must end by it too.
#[test]
fn an_interrupt_ends_what_goes_on_when_nothing_is_asked_any_more() {
    let project = Project::of(Vec::new());
    let folder = kit::folder(&[]);
    let mut command = sunup(&project, folder.path(), &["-"]);
    command.stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    // Its standard input has no end.
    let mut child = command.spawn().expect("it starts");
    let began = std::time::Instant::now();
    let patience = Duration::from_secs(30);
    while project.asked().len() < 2 {
        assert!(began.elapsed() < patience, "it never asked");
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    let ended = loop {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        std::thread::sleep(Duration::from_millis(500));
        if let Some(status) = child.try_wait().expect("ours") {
            break status;
        }
        if began.elapsed() > patience {
            child.kill().expect("ours");
            panic!("it goes on");
        }
    };
    assert_eq!(ended.code(), Some(130));
}

#[test]
fn pods_that_are_named_are_all_that_is_asked_about() {
    let test = "pods_that_are_named_are_all_that_is_asked_about";
    let Some(project) = Project::new(test) else { return };
    let folder = kit::folder(&[]);
    let arguments = [&TIMES[..], &["-n", "shop-a", "-w", "deploy/orders", "--format", "json"]];
    let done = run(&project, folder.path(), &arguments.concat());
    assert_eq!(findings(&report(&done)).len(), 1, "{}", done.err);
    let mut whose: HashMap<String, usize> = HashMap::new();
    for entry in project.asked().iter().flat_map(|asked| &asked.entries) {
        let label = entry["resource"]["labels"]["pod_name"].as_str();
        let object = entry["jsonPayload"]["involvedObject"]["name"].as_str();
        let name = label.or(object).unwrap_or_default();
        *whose.entry(name.to_owned()).or_default() += 1;
    }
    assert!(whose.keys().all(|name| name.starts_with("orders")), "{whose:?}");
}

/// `sunup logs FILTER`, asked of the project.
fn logs(project: &Project, folder: &std::path::Path, arguments: &[&str]) -> Run {
    let url = project.server.url();
    let line = ["logs", "--cloud-logging", "shop-prod", "--endpoint", &url];
    let line: Vec<&str> = line.iter().chain(arguments).copied().collect();
    let mut command = kit::sunup(folder, &line);
    command.env_remove("GOOGLE_APPLICATION_CREDENTIALS").env("HOME", folder);
    command.output().expect("it starts").into()
}

#[test]
fn a_filter_is_answered_by_the_project_as_by_its_export() {
    let test = "a_filter_is_answered_by_the_project_as_by_its_export";
    let Some(real) = sunup_testkit::require(test, "the recordings", super::project::real()) else {
        return;
    };
    let entries = super::project::recorded(&real.join("app-before-proxy"));
    let export: String = entries.iter().map(|(_, entry)| format!("{entry}\n")).collect();
    let mut entries = entries;
    entries.sort();
    let project = Project::of(entries).with(10, &[]);
    let folder = kit::folder(&[("export.json", &export)]);
    let time = "timestamp>=\"2026-11-30T00:00:00Z\"";
    // The vendor's own steps: the error, its pod's first one, and the pod's events.
    let refused = format!("resource.type=\"k8s_container\" textPayload:\"refused\" {time}");
    let asked = logs(&project, folder.path(), &[&refused]);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let exported = kit::run(folder.path(), &["logs", &refused, "export.json"]);
    assert!(exported.out.contains("refused"), "{}", exported.err);
    assert_eq!((asked.code, lines(&asked.out)), (0, lines(&exported.out)), "{}", asked.err);
    let first = logs(&project, folder.path(), &["--first", "1", &refused]);
    let exported = kit::run(folder.path(), &["logs", "--first", "1", &refused, "export.json"]);
    assert_eq!(first.out, exported.out);
    // As the page writes it, the events aren't there: they are of another type.
    let events = format!("resource.type=\"k8s_container\" jsonPayload.reason=\"Started\" {time}");
    let none = logs(&project, folder.path(), &[&events]);
    assert_eq!(none.code, 1, "{}", none.err);
    assert!(none.err.contains("k8s_pod") && none.err.contains("resource type"), "{}", none.err);
    // Where the two would differ, the server is right, and that is said.
    let same = logs(&project, folder.path(), &["--count", &refused]);
    assert!(!same.err.contains("match only as"), "{}", same.err);
    project.overrule();
    let other = logs(&project, folder.path(), &["--count", &refused]);
    let all = project.size();
    assert_eq!((other.code, other.out.trim()), (0, all.to_string().as_str()), "{}", other.err);
    assert!(other.err.contains("match only as Cloud Logging understands"), "{}", other.err);
    let both = logs(&project, folder.path(), &[&refused, "export.json"]);
    assert!(both.code == 2 && both.err.contains("cannot be used with"), "{}", both.err);
    // What isn't known here is the server's to judge.
    let project = Project::of(Vec::new());
    let odd = logs(&project, folder.path(), &["no_such_function(a)"]);
    assert_eq!(odd.code, 2);
    assert!(odd.err.contains("handed on as it is") && odd.err.contains("400"), "{}", odd.err);
}

#[test]
fn the_role_names_the_one_permission() {
    let folder = kit::folder(&[]);
    let role = kit::run(folder.path(), &["rbac", "--cloud-logging"]);
    assert!(role.out.contains("- logging.logEntries.list\n"), "{}", role.out);
}

/// The commands of the documentation's page, with the names filled in.
#[test]
fn the_pages_commands_do_what_it_says() {
    let Some(project) = Project::new("the_pages_commands_do_what_it_says") else { return };
    let page = sunup_testkit::workspace_root().join("docs/cloud-logging.md");
    let page = std::fs::read_to_string(page).expect("readable");
    let in_table = page.lines().filter(|line| line.starts_with("| ")).flat_map(|line| {
        line.split('`').filter(|part| part.starts_with("sunup ")).map(str::to_owned)
    });
    let in_blocks = page.lines().filter_map(|line| line.strip_prefix("    "));
    let commands: Vec<String> = in_table.chain(in_blocks.map(str::to_owned)).collect();
    assert!(commands.len() >= 9, "{commands:?}");
    let folder = kit::folder(&[]);
    let time = TIMES.join(" ");
    // Loki's and the live cluster's are run by their own tests.
    let others = ["--loki", "--live"];
    let own = |command: &&String| !others.iter().any(|other| command.contains(other));
    for command in commands.iter().filter(own) {
        let mut line = command
            .replace("PROJECT", &format!("shop-prod --endpoint {}", project.server.url()))
            .replace("POD", "orders-f6f9f77c7-xqzm2")
            .replace("NAMESPACE", "shop-a")
            .replace("--since 3h", &time);
        // The recordings are older than a day.
        if line.contains("--pod ") || line == "sunup doctor kept" {
            line = format!("{line} {time}");
        } else if line.contains("sunup logs") {
            line = line.replace("'resource", "'timestamp>=\"2026-11-30T20:00:00Z\" resource");
        }
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_sunup")).parent().expect("a folder");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(folder.path()).env("PATH", path);
        shell.env("HOME", folder.path()).env_remove("GOOGLE_APPLICATION_CREDENTIALS");
        let done: Run = shell.output().expect("a shell").into();
        let said = format!("{line}\n{}{}", done.out, done.err);
        match line.contains("doctor") {
            true => assert!(done.code == 1 && done.out.contains("app-before-proxy"), "{said}"),
            false => assert!(done.code == 0, "{said}"),
        }
    }
}

#[test]
fn the_report_says_which_entry_each_line_is() {
    let Some(project) = Project::new("the_report_says_which_entry_each_line_is") else { return };
    let folder = kit::folder(&[]);
    let arguments = [&TIMES[..], &["-n", "shop-a", "--format", "json"]].concat();
    let done = run(&project, folder.path(), &arguments);
    let report = report(&done);
    let finding = &report["findings"][0];
    let entries = report["entries"].as_array().expect("entries");
    // Every source is an entry: nothing else was asked.
    let cited = ["evidence", "timeline"].map(|part| finding[part].as_array().expect("a list"));
    let given: Vec<Value> = project.asked().into_iter().flat_map(|asked| asked.entries).collect();
    for item in cited.into_iter().flatten() {
        let source = item["source"].as_str().expect("a place").split(" (").next();
        let entry = entries.iter().find(|entry| entry["source"].as_str() == source);
        let entry = entry.unwrap_or_else(|| panic!("no entry for {item}"));
        let same = |given: &&Value| given["insertId"] == entry["insert_id"];
        let real = given.iter().find(same).expect("an entry of the store");
        assert_eq!(real["logName"], entry["log_name"]);
        // The line that is cited is the entry's own, at its own time.
        if let (Some(text), Some(at)) = (real["textPayload"].as_str(), item["at"].as_str()) {
            let shown = item["text"].as_str().unwrap_or_default();
            assert!(shown.lines().all(|line| text.contains(line)), "{text}: {item}");
            assert_eq!(at, real["timestamp"], "{item}");
        }
        let id = real["insertId"].as_str().expect("an id");
        let link = entry["link"].as_str().expect("a link");
        assert!(link.contains(&format!("insertId%3D%22{id}%22")), "{link}");
        assert!(link.starts_with("https://console.cloud.google.com/logs/query;query="), "{link}");
    }
    let shown = |format: &str, more: &[&str]| {
        let arguments = [&TIMES[..], &["-n", "shop-a", "--format", format], more].concat();
        run(&project, folder.path(), &arguments).out
    };
    let id = entries.iter().find(|entry| entry["source"] == finding["evidence"][0]["source"]);
    let id = id.expect("an entry")["insert_id"].as_str().expect("an id");
    assert_eq!(shown("text", &[]).matches("in Cloud Logging: ").count(), 1);
    for text in [shown("text", &["-v"]), shown("html", &[]), shown("markdown", &[])] {
        assert!(
            text.contains(id) && text.contains("console.cloud.google.com/logs/query"),
            "{text}"
        );
    }
    let redacted = shown("json", &["--redact"]);
    assert!(redacted.contains("\"entries\": []") && !redacted.contains(id), "{redacted}");
}
