//! Runs the built binary on every example and every incident and compares the report with what
//! the folder expects.
//!
//! Expectations are written from the catalogue of faults, never from a report: this file must not
//! know a rule, an incident or a message. Each folder's `expected.json` says what must be found,
//! what must be ruled out, and what `--fix` may change; keys that are absent are not compared, but
//! a finding too many is always a failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

mod incidents {
    //! Evidence that lies outside of the repository.
    mod recorded;
}

/// What one run of the binary gave.
struct Outcome {
    exit: Option<i32>,
    report: Option<Value>,
    stderr: String,
}

/// One folder of evidence and its expectation.
struct Case {
    name: String,
    /// The folder that is copied before `--fix`.
    root: PathBuf,
    /// Paths given to the command, relative to `root`.
    paths: Vec<String>,
    expected: Value,
}

#[test]
fn the_examples_are_judged_as_their_pages_say() {
    let root = sunup_testkit::workspace_root().join("examples");
    judge(&load(&root, None), 14);
}

#[test]
fn the_incidents_are_judged_as_the_catalogue_says() {
    let root = sunup_testkit::workspace_root().join("crates/doctor/tests/incidents");
    judge(&load(&root, Some("input")), 60);
}

#[test]
fn a_fix_changes_the_named_manifests_once_and_nothing_else() {
    let root = sunup_testkit::workspace_root();
    let mut cases = load(&root.join("examples"), None);
    cases.extend(load(&root.join("crates/doctor/tests/incidents"), Some("input")));
    report_failures(&each(&cases, fix_twice), cases.len());
}

/// Every folder below `root` that has an `expected.json`; `input` names the subfolder that is
/// handed over, without it the folder itself is.
fn load(root: &Path, input: Option<&str>) -> Vec<Case> {
    let mut cases = Vec::new();
    let listing = fs::read_dir(root).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    for entry in listing {
        let dir = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(dir.join("expected.json")) else { continue };
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let expected: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}/expected.json: {e}"));
        let (root, default) = match input {
            Some(input) => (dir.clone(), input.to_owned()),
            None => (dir.parent().unwrap().to_owned(), name.clone()),
        };
        let paths = match expected.get("paths") {
            Some(paths) => strings(paths),
            None => vec![default],
        };
        cases.push(Case { name, root, paths, expected });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn judge(cases: &[Case], at_least: usize) {
    assert!(cases.len() >= at_least, "only {} folders with an expected.json", cases.len());
    report_failures(&each(cases, check), cases.len());
}

/// Runs `check` over all cases on a few threads; the text of a case is empty where it holds.
fn each(cases: &[Case], check: fn(&Case) -> String) -> BTreeMap<String, String> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = check(case);
                    if !text.is_empty() {
                        failures.lock().unwrap().insert(case.name.clone(), text);
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap()
}

fn report_failures(failures: &BTreeMap<String, String>, of: usize) {
    let mut text = String::new();
    for (name, what) in failures {
        let _ = writeln!(text, "\n── {name}");
        for line in what.lines() {
            let _ = writeln!(text, "   {line}");
        }
    }
    let names: Vec<_> = failures.keys().map(String::as_str).collect();
    assert!(failures.is_empty(), "{} of {of} deviate: {}\n{text}", names.len(), names.join(", "));
}

/// Runs `sunup doctor` in `dir`.
fn doctor(case: &Case, dir: &Path, extra: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
    command.current_dir(dir).args(["doctor", "--format", "json"]).args(extra);
    command.args(strings(&case.expected["args"])).args(&case.paths);
    command.env_remove("KUBECONFIG").env("NO_COLOR", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary was built with this test");
    let mut stdin = child.stdin.take().expect("piped above");
    if let Some(file) = case.expected.get("stdin").and_then(Value::as_str) {
        // A reader that stops early closes the pipe; what it printed is judged below.
        let _ = stdin.write_all(&fs::read(dir.join(file)).unwrap());
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Outcome {
        exit: output.status.code(),
        report: serde_json::from_slice(&output.stdout).ok(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn check(case: &Case) -> String {
    let mut out = String::new();
    let got = doctor(case, &case.root, &[]);
    let want_exit = case.expected.get("exit");
    if !one_of(want_exit, &Value::from(got.exit)) {
        let _ = writeln!(out, "exit: expected {want_exit:?}, got {:?}\n{}", got.exit, got.stderr);
    }
    if case.expected["no_report"] == true {
        return out;
    }
    let Some(report) = &got.report else {
        return format!("{out}no JSON report; exit {:?}\n{}", got.exit, got.stderr);
    };
    compare_findings(&case.expected, report, &mut out);
    compare_cleared(&case.expected, report, &mut out);
    for rule in case.expected.get("unknown_includes").map(strings).unwrap_or_default() {
        if !list(report, "unknown").iter().any(|u| u["rule"] == rule.as_str()) {
            let _ = writeln!(out, "missing unknown: {rule}");
        }
    }
    for rule in case.expected.get("unknown_excludes").map(strings).unwrap_or_default() {
        if list(report, "unknown").iter().any(|u| u["rule"] == rule.as_str()) {
            let _ = writeln!(out, "unknown, and nothing speaks of it: {rule}");
        }
    }
    compare_unreadable(&case.expected, report, &mut out);
    compare_loosely(&case.expected, report, &mut out);
    invariants(report, case, &mut out);
    if !out.is_empty() {
        let _ = writeln!(out, "{}", outline(report));
    }
    out
}

/// Matches expected and reported findings one to one by rule, subject and container.
fn compare_findings(expected: &Value, report: &Value, out: &mut String) {
    let Some(wanted) = expected.get("findings").and_then(Value::as_array) else { return };
    let mut left: Vec<&Value> = list(report, "findings").iter().collect();
    for want in wanted {
        let place = left.iter().position(|got| {
            got["rule"] == want["rule"]
                && subject_matches(&want["subject"], &got["subject"])
                && one_of(want.get("container"), &got["subject"]["container"])
        });
        let Some(place) = place else {
            let _ = writeln!(out, "missing finding: {}", line(want));
            continue;
        };
        let got = left.remove(place);
        let mut problems = String::new();
        for key in ["verdict", "cause", "severity"] {
            if !one_of(want.get(key), &got[key]) {
                let _ = writeln!(problems, "  {key}: expected {}, got {}", want[key], got[key]);
            }
        }
        let pods = &got["subject"]["pods"];
        if let Some(wanted) = want.get("pods").filter(|wanted| *wanted != pods) {
            let _ = writeln!(problems, "  pods: expected {wanted}, got {pods}");
        }
        for (key, wanted) in [("evidence_includes", true), ("evidence_excludes", false)] {
            let Some(source) = want.get(key).and_then(Value::as_str) else { continue };
            let from = |e: &Value| e["source"].as_str().is_some_and(|s| s.contains(source));
            if list(got, "evidence").iter().any(from) != wanted {
                let _ = writeln!(problems, "  {key}: {source}");
            }
        }
        let explanation = got["explanation"].as_str().unwrap_or_default();
        for (key, wanted) in [("explanation_includes", true), ("explanation_excludes", false)] {
            for text in want.get(key).map(strings).unwrap_or_default() {
                if explanation.contains(&text) != wanted {
                    let _ = writeln!(problems, "  {key}: {text}, got {explanation}");
                }
            }
        }
        compare_fixes(want, got, &mut problems);
        compare_timeline(want, got, &mut problems);
        if !problems.is_empty() {
            let _ = write!(out, "finding {}:\n{problems}", line(want));
        }
    }
    let allowed = expected.get("may_include").map(strings).unwrap_or_default();
    left.retain(|got| !allowed.iter().any(|rule| got["rule"] == rule.as_str()));
    for got in left {
        let _ = writeln!(out, "finding too many: {} — {}", line(got), got["summary"]);
    }
}

fn compare_fixes(want: &Value, got: &Value, out: &mut String) {
    let fixes = list(got, "fixes");
    let ids: Vec<&str> = fixes.iter().filter_map(|f| f["id"].as_str()).collect();
    let first = fixes.first().map_or(&Value::Null, |f| &f["id"]);
    if !one_of(want.get("first_fix"), first) {
        let _ = writeln!(out, "  first fix: expected {}, got {ids:?}", want["first_fix"]);
    }
    for id in want.get("fixes_include").map(strings).unwrap_or_default() {
        if !ids.contains(&id.as_str()) {
            let _ = writeln!(out, "  fix not offered: {id}; offered {ids:?}");
        }
    }
    for id in want.get("fixes_exclude").map(strings).unwrap_or_default() {
        if ids.contains(&id.as_str()) {
            let _ = writeln!(out, "  fix offered that would not help: {id}");
        }
    }
    for (id, text) in want.get("fix_contains").and_then(Value::as_object).into_iter().flatten() {
        let text = text.as_str().expect("fix_contains maps an id to a text");
        let said = fixes.iter().filter(|f| f["id"] == id.as_str()).any(|f| {
            ["diff", "command", "title", "target"]
                .iter()
                .any(|k| f[k].as_str().unwrap_or("").contains(text))
                || f["patch"].to_string().contains(text)
        });
        if !said {
            let _ = writeln!(out, "  fix {id} does not mention {text}");
        }
    }
}

fn compare_timeline(want: &Value, got: &Value, out: &mut String) {
    for text in want.get("timeline_excludes").map(strings).unwrap_or_default() {
        let has = |e: &Value| e["what"].as_str().is_some_and(|what| what.contains(&text));
        if list(got, "timeline").iter().any(has) {
            let _ = writeln!(out, "  timeline has {text:?}, which was not so");
        }
    }
    for point in want.get("timeline_includes").and_then(Value::as_array).into_iter().flatten() {
        let found = list(got, "timeline").iter().any(|entry| {
            let at = entry["at"].as_str().map(instant).map_or(Value::Null, Value::String);
            let wanted = match &point["at"] {
                Value::Array(any) => any.iter().map(|t| instant(t.as_str().unwrap())).collect(),
                one => vec![instant(one.as_str().expect("a time or several"))],
            };
            wanted.iter().any(|w| at == w.as_str())
                && one_of(point.get("precision"), &entry["precision"])
        });
        if !found {
            let have: Vec<String> = list(got, "timeline")
                .iter()
                .map(|e| format!("    {} {} {}", e["at"], e["precision"], e["what"]))
                .collect();
            let _ = writeln!(out, "  timeline lacks {point}; it has\n{}", have.join("\n"));
        }
    }
}

fn compare_cleared(expected: &Value, report: &Value, out: &mut String) {
    for one in expected.get("cleared_excludes").and_then(Value::as_array).into_iter().flatten() {
        let is = |got: &&Value| {
            one_of(one.get("rule"), &got["rule"])
                && one_of(one.get("look_alike"), &got["look_alike"])
        };
        for got in list(report, "cleared").iter().filter(is) {
            let _ = writeln!(out, "cleared, and is not so: {got}");
        }
    }
    for want in expected.get("cleared").and_then(Value::as_array).into_iter().flatten() {
        let found = list(report, "cleared").iter().any(|got| {
            got["rule"] == want["rule"]
                && one_of(want.get("look_alike"), &got["look_alike"])
                && want.get("subject").is_none_or(|s| subject_matches(s, &got["subject"]))
        });
        if !found {
            let _ = writeln!(out, "not cleared: {want}");
        }
    }
}

/// Sources are compared by file: the place in the file is the reader's own affair.
fn compare_unreadable(expected: &Value, report: &Value, out: &mut String) {
    let Some(wanted) = expected.get("unreadable_sources") else { return };
    let wanted: BTreeSet<String> = strings(wanted).into_iter().collect();
    let got: BTreeSet<String> = list(report, "unreadable")
        .iter()
        .map(|u| {
            let source = u["source"].as_str().unwrap_or_default();
            let file = source.split_once(':').map_or(source, |(file, _)| file);
            let file = file.split_once("!/").map_or(file, |(file, _)| file);
            wanted.iter().find(|w| file.ends_with(w.as_str())).map_or(source, |w| w).to_owned()
        })
        .collect();
    if wanted != got {
        let why: Vec<String> = list(report, "unreadable").iter().map(Value::to_string).collect();
        let _ = writeln!(out, "unreadable: expected {wanted:?}, got {}", why.join("\n  "));
    }
}

/// Expectations that leave several honest answers open.
fn compare_loosely(expected: &Value, report: &Value, out: &mut String) {
    for rule in expected.get("not_confirmed").map(strings).unwrap_or_default() {
        for finding in list(report, "findings").iter().filter(|f| f["rule"] == rule.as_str()) {
            if finding["verdict"] == "confirmed" {
                let _ = writeln!(out, "{rule} is confirmed, which this evidence cannot show");
            }
        }
    }
    for rule in expected.get("named").map(strings).unwrap_or_default() {
        let places = ["findings", "cleared", "unknown"];
        if !places.iter().any(|p| list(report, p).iter().any(|x| x["rule"] == rule.as_str())) {
            let _ = writeln!(out, "{rule} is not mentioned, though half of it is shown");
        }
    }
    if let Some(file) = expected.get("read_or_unreadable").and_then(Value::as_str) {
        let read = list(report, "findings")
            .iter()
            .flat_map(|f| list(f, "evidence"))
            .any(|e| e["source"].as_str().is_some_and(|source| source.contains(file)));
        let named = list(report, "unreadable").iter().any(|u| u.to_string().contains(file));
        if !read && !named {
            let _ = writeln!(out, "{file} was neither read nor named as unreadable");
        }
    }
}

/// What holds for every report, whatever the incident.
fn invariants(report: &Value, case: &Case, out: &mut String) {
    if report["schema"] != "sunup.doctor/v1" {
        let _ = writeln!(out, "schema: {}", report["schema"]);
    }
    for finding in list(report, "findings") {
        let rule = &finding["rule"];
        for key in ["summary", "explanation"] {
            if finding[key].as_str().is_none_or(str::is_empty) {
                let _ = writeln!(out, "{rule}: no {key}");
            }
        }
        if finding["verdict"] != "possible" && list(finding, "evidence").is_empty() {
            let _ = writeln!(out, "{rule}: {} without evidence", finding["verdict"]);
        }
        if list(finding, "fixes").is_empty() && list(finding, "consequences").is_empty() {
            // A finding may have no remedy in its shape, but then it must say why.
            let said = finding["explanation"].as_str().unwrap_or_default().len() > 60;
            if !said {
                let _ = writeln!(out, "{rule}: no fix and no word about it");
            }
        }
        let times: Vec<String> = list(finding, "timeline")
            .iter()
            .filter_map(|e| e["at"].as_str())
            .map(|at| at.chars().take(19).collect())
            .collect();
        if !times.is_sorted() {
            let _ = writeln!(out, "{rule}: timeline is not in order: {times:?}");
        }
    }
    let all = report.to_string();
    let root = case.root.to_string_lossy();
    if all.contains(root.as_ref()) {
        let _ = writeln!(out, "the report names the absolute path of its input");
    }
}

/// Applies `--fix` in a copy, twice, and compares the files.
fn fix_twice(case: &Case) -> String {
    let mut out = String::new();
    let copy = tempfile::tempdir().unwrap();
    let before = match case.paths.as_slice() {
        [one] if case.root.join(one).is_dir() && !case.root.join("expected.json").exists() => {
            copy_tree(&case.root.join(one), &copy.path().join(one))
        }
        _ => copy_tree(&case.root, copy.path()),
    };
    let rule = &case.expected["after_fix"];
    let fix = rule["with"].as_str().map_or("--fix".to_owned(), |id| format!("--fix={id}"));
    let first = doctor(case, copy.path(), &[&fix]);
    let after = contents(copy.path());
    let edited: BTreeSet<String> =
        after.iter().filter(|(k, v)| before.get(*k) != Some(v)).map(|(k, _)| k.clone()).collect();
    for gone in before.keys().filter(|k| !after.contains_key(*k)) {
        let _ = writeln!(out, "{fix} removed {gone}");
    }
    // A manifest is YAML; where it is JSON, the case says so.
    let named = rule.get("edited").map(strings).unwrap_or_default();
    let is_manifest = |name: &str| {
        name.ends_with(".yaml")
            || name.ends_with(".yml")
            || named.iter().any(|n| name.ends_with(n.as_str()))
    };
    for name in edited.iter().filter(|n| !is_manifest(n)) {
        let _ = writeln!(out, "{fix} touched {name}, which is no manifest");
    }
    if let Some(wanted) = rule.get("edited") {
        let wanted = strings(wanted);
        let missing: Vec<_> =
            wanted.iter().filter(|w| !edited.iter().any(|e| e.ends_with(*w))).collect();
        if !missing.is_empty() || wanted.len() != edited.len() {
            let _ = writeln!(out, "{fix}: expected edits of {wanted:?}, got {edited:?}");
        }
        let exit = rule.get("exit");
        if !one_of(exit, &Value::from(first.exit)) {
            let _ = writeln!(out, "{fix}: expected exit {exit:?}, got {:?}", first.exit);
        }
        // Logs and pods still show the fault until the workload is rolled out, so a second look
        // may find what `--fix` has already answered.
        let exit = rule.get("again").or(exit);
        let again = doctor(case, copy.path(), &[]);
        if !one_of(exit, &Value::from(again.exit)) {
            let _ = writeln!(out, "after {fix}: expected exit {exit:?}, got {:?}", again.exit);
        }
    }
    edited_texts(rule, &after, &fix, &mut out);
    if !before.keys().any(|name| is_manifest(name)) {
        // Without a manifest the first run has shown all there is to show.
        return out;
    }
    let second = doctor(case, copy.path(), &[&fix]);
    if contents(copy.path()) != after {
        let _ = writeln!(out, "a second {fix} changed bytes (exit {:?})", second.exit);
    }
    if !out.is_empty() && !first.stderr.is_empty() {
        let _ = writeln!(out, "standard error:\n{}", first.stderr);
    }
    out
}

fn edited_texts(rule: &Value, after: &BTreeMap<String, Vec<u8>>, fix: &str, out: &mut String) {
    for (key, wanted) in [("edited_contains", true), ("edited_lacks", false)] {
        for (file, texts) in rule.get(key).and_then(Value::as_object).into_iter().flatten() {
            let bytes = after.iter().find(|(k, _)| k.ends_with(file.as_str())).map(|(_, v)| v);
            let content = String::from_utf8_lossy(bytes.map_or(&[], |b| b));
            for text in strings(texts) {
                if content.contains(&text) != wanted {
                    let verb = if wanted { "lacks" } else { "still has" };
                    let _ = writeln!(out, "after {fix}, {file} {verb} {text:?}");
                }
            }
        }
    }
    for (file, counts) in rule.get("edited_count").and_then(Value::as_object).into_iter().flatten()
    {
        let bytes = after.iter().find(|(k, _)| k.ends_with(file.as_str())).map(|(_, v)| v);
        let content = String::from_utf8_lossy(bytes.map_or(&[], |b| b));
        for (text, wanted) in counts.as_object().into_iter().flatten() {
            let count = content.matches(text.as_str()).count();
            if wanted != &Value::from(count) {
                let _ =
                    writeln!(out, "after {fix}, {file} has {text:?} {count} times, not {wanted}");
            }
        }
    }
    if rule["lone_newlines"] == false {
        for (name, bytes) in after.iter().filter(|(name, _)| name.ends_with(".yaml")) {
            let text = String::from_utf8_lossy(bytes);
            if text.matches('\n').count() != text.matches("\r\n").count() {
                let _ = writeln!(out, "after {fix}, {name} mixes line ends");
            }
        }
    }
}

/// Copies a folder and returns what was in it, by path below `to`'s own root.
fn copy_tree(from: &Path, to: &Path) -> BTreeMap<String, Vec<u8>> {
    for (name, bytes) in contents(from) {
        let path = to.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let top = if to.file_name() == from.file_name() { to.parent().unwrap() } else { to };
    contents(top)
}

fn contents(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Whether `got` is what is wanted, or among several that are; nothing wanted is always met.
fn one_of(want: Option<&Value>, got: &Value) -> bool {
    match want {
        None => true,
        Some(Value::Array(any)) => any.contains(got),
        Some(one) => one == got,
    }
}

fn subject_matches(want: &Value, got: &Value) -> bool {
    ["namespace", "kind", "name"].iter().all(|k| one_of(want.get(k), &got[k]))
}

/// A time whose trailing zeros don't count.
fn instant(text: &str) -> String {
    let bare = text.trim_end_matches('Z');
    let bare =
        if bare.contains('.') { bare.trim_end_matches('0').trim_end_matches('.') } else { bare };
    bare.to_owned()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn line(finding: &Value) -> String {
    let subject = &finding["subject"];
    let container = finding.get("container").unwrap_or(&subject["container"]);
    format!(
        "{} {} on {}/{}/{} container {container}",
        finding["rule"], finding["verdict"], subject["namespace"], subject["kind"], subject["name"]
    )
}

/// The report in a few lines, for a failure's text.
fn outline(report: &Value) -> String {
    let mut text = String::from("the report:");
    for finding in list(report, "findings") {
        let fixes: Vec<&str> =
            list(finding, "fixes").iter().filter_map(|f| f["id"].as_str()).collect();
        let _ = write!(
            text,
            "\n  finding {} cause {} fixes {fixes:?}",
            line(finding),
            finding["cause"]
        );
    }
    for cleared in list(report, "cleared") {
        let subject = &cleared["subject"];
        let _ = write!(
            text,
            "\n  cleared {} {} on {}/{}: {}",
            cleared["rule"],
            cleared["look_alike"],
            subject["kind"],
            subject["name"],
            cleared["why"]
        );
    }
    for unknown in list(report, "unknown") {
        let subject = &unknown["subject"];
        let _ = write!(
            text,
            "\n  unknown {} on {}/{} missing {}",
            unknown["rule"], subject["kind"], subject["name"], unknown["missing"]
        );
    }
    for piece in list(report, "unreadable") {
        let _ = write!(text, "\n  unreadable {}: {}", piece["source"], piece["why"]);
    }
    text
}
