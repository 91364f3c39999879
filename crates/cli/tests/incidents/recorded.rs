//! What was recorded on a real cluster, and reports that people have published: folders of evidence
//! with what is true of it, kept outside of this repository. This file must not know one of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where the folders of a kind are: `SUNUP_RECORDED/KIND`, else beside the shared goldens.
fn folder(kind: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("SUNUP_RECORDED") {
        Some(root) => PathBuf::from(root),
        None => sunup_testkit::goldens()?.parent()?.to_owned(),
    };
    Some(root.join(kind)).filter(|dir| dir.is_dir())
}

#[test]
fn recordings_of_a_real_cluster_are_judged_as_it_really_was() {
    judge("recordings_of_a_real_cluster_are_judged_as_it_really_was", "real", |extra| {
        extra["severity"] == "error"
    });
}

#[test]
fn published_reports_are_judged_as_they_turned_out() {
    judge("published_reports_are_judged_as_they_turned_out", "reports", |_| true);
}

/// Judges every folder of a kind; `matters` says whether a finding that nobody expects is one too
/// many.
fn judge(test: &str, kind: &str, matters: fn(&Value) -> bool) {
    let what = format!("recorded evidence ({kind}, SUNUP_RECORDED)");
    let Some(dir) = sunup_testkit::require(test, &what, folder(kind)) else { return };
    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let case = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(case.join("expected.json")) else { continue };
        let expected: Value = serde_json::from_str(&text).unwrap();
        count += 1;
        let problems = compare(&case.join("in"), &expected, matters);
        if !problems.is_empty() {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            failures.insert(name, problems);
        }
    }
    assert!(count > 0, "no folder with an expected.json");
    assert!(failures.is_empty(), "{} of {count} deviate: {failures:#?}", failures.len());
}

fn compare(input: &Path, expected: &Value, matters: fn(&Value) -> bool) -> String {
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_sunup"));
    doctor.args(["doctor", "--format", "json"]).arg(input);
    let output = doctor.env_remove("KUBECONFIG").stdin(Stdio::null()).output().unwrap();
    let mut out = String::new();
    let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
        return format!("no report: {}", String::from_utf8_lossy(&output.stderr));
    };
    let exit = Value::from(output.status.code());
    if expected.get("exit").is_some_and(|want| !is_one_of(want, &exit)) {
        let _ = writeln!(out, "exit {exit}");
    }
    let list = |key: &str| expected[key].as_array().cloned().unwrap_or_default();
    let rule_of = |entry: &Value| entry.get("rule").unwrap_or(entry).clone();
    let found = report["findings"].as_array().unwrap();
    for want in list("findings") {
        if !found.iter().any(|got| fits(&want, got)) {
            let _ = writeln!(out, "missing: {want}");
        }
    }
    for entry in list("must_not") {
        let name = entry.get("name");
        let is = |got: &&Value| {
            got["rule"] == rule_of(&entry) && name.is_none_or(|n| *n == got["subject"]["name"])
        };
        for got in found.iter().filter(is) {
            let _ = writeln!(out, "must not be: {} on {}", got["rule"], got["subject"]);
        }
    }
    let (wanted, tolerated) = (list("findings"), list("may"));
    for got in found {
        let expected = wanted.iter().any(|want| want["rule"] == got["rule"])
            || tolerated.iter().any(|may| {
                let severity = may.get("severity");
                rule_of(may) == got["rule"]
                    && severity.is_none_or(|s| is_one_of(s, &got["severity"]))
            });
        if !expected && matters(got) {
            let _ = writeln!(
                out,
                "too many: {} ({}) on {}",
                got["rule"], got["severity"], got["subject"]
            );
        }
    }
    for want in list("cleared") {
        let cleared = report["cleared"].as_array().unwrap();
        if !cleared.iter().any(|got| got["rule"] == want["rule"]) {
            let _ = writeln!(out, "not cleared: {want}");
        }
    }
    out
}

/// Whether a finding is the one that is wanted, or of another subject that is right too.
fn fits(want: &Value, got: &Value) -> bool {
    let subject = &got["subject"];
    let same = |one: &Value| {
        let key = |key: &str| one.get(key).is_none_or(|value| *value == subject[key]);
        key("kind") && key("name") && key("namespace")
    };
    let others = want["alt"].as_array().into_iter().flatten();
    let rest = |key: &str| want.get(key).is_none_or(|value| is_one_of(value, &got[key]));
    want["rule"] == got["rule"]
        && (same(want) || others.into_iter().any(same))
        && ["verdict", "severity", "cause"].into_iter().all(rest)
}

fn is_one_of(want: &Value, got: &Value) -> bool {
    want == got || want.as_array().is_some_and(|any| any.contains(got))
}
