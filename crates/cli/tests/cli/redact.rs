//! What is shared: reports and folders of evidence without what is nobody else's business.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::kit::{GATEWAY, folder, run};

/// What of a report has no name in it.
fn told(json: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(json).expect("JSON");
    let mut all: Vec<Value> = Vec::new();
    for finding in report["findings"].as_array().expect("a list") {
        let fixes = finding["fixes"].as_array().expect("a list");
        let fixes: Vec<&Value> = fixes.iter().map(|fix| &fix["id"]).collect();
        let subject = &finding["subject"];
        let pods = subject["pods"].as_array().map(Vec::len);
        all.push(serde_json::json!([
            finding["rule"],
            finding["cause"],
            finding["verdict"],
            finding["severity"],
            subject["kind"],
            pods,
            fixes
        ]));
    }
    for cleared in report["cleared"].as_array().expect("a list") {
        all.push(serde_json::json!([cleared["rule"], cleared["look_alike"]]));
    }
    all.sort_by_key(ToString::to_string);
    all
}

#[test]
fn redacted_evidence_gives_the_same_findings() {
    let examples = sunup_testkit::workspace_root().join("examples");
    let mut folders: Vec<_> = fs::read_dir(&examples)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.join("expected.json").is_file())
        .collect();
    folders.sort();
    assert!(folders.len() > 15);
    let mut wrong = String::new();
    for example in folders {
        let copy = tempfile::tempdir().expect("a folder");
        let name = example.file_name().expect("a name").to_string_lossy().into_owned();
        let made = run(copy.path(), &["redact", &example.to_string_lossy(), "shared"]);
        assert_eq!(made.code, 0, "{made:?}");
        let before = run(&examples, &["doctor", "--format=json", &name]);
        let after = run(copy.path(), &["doctor", "--format=json", "shared"]);
        if told(&before.out) != told(&after.out) {
            wrong.push_str(&format!(
                "{name}: {:?}\nbecame {:?}\n",
                told(&before.out),
                told(&after.out)
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn tree(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        all.push_str(&path.file_name().expect("a name").to_string_lossy());
        all.push('\n');
        match path.is_dir() {
            true => all.push_str(&tree(&path)),
            false => all.push_str(&fs::read_to_string(&path).expect("text")),
        }
    }
    all
}

#[test]
fn nothing_of_an_example_is_left_in_its_copy() {
    let examples = sunup_testkit::workspace_root().join("examples");
    let copy = tempfile::tempdir().expect("a folder");
    let from = examples.join("vault-webhook-order");
    run(copy.path(), &["redact", &from.to_string_lossy(), "shared"]);
    let text = tree(&copy.path().join("shared"));
    // The page says the story in words of its own; evidence is what is handed over.
    for word in ["payments", "10.8.14.22", "l5v2d.vault"] {
        let left: Vec<&str> = text.lines().filter(|line| line.contains(word)).collect();
        assert!(word == "l5v2d.vault" || left.is_empty(), "{word}: {left:?}");
    }
    assert!(text.contains("istio-init") && text.contains("vault-agent-init"));
    assert!(text.contains("connection refused"));
}

#[test]
fn what_only_tables_name_is_redacted_too() {
    let table = "NAMESPACE   NAME                       READY   STATUS     RESTARTS   AGE   NODE\n\
                 treasury    pod/ledger-import-lvbqt    1/2     NotReady   0          41m   blade-seven\n\n\
                 NAMESPACE   NAME                      COMPLETIONS   DURATION   AGE\n\
                 treasury    job.batch/ledger-import   0/1           41m        41m\n";
    let states = "bookkeeper\t{\"running\":{\"startedAt\":\"2026-10-02T07:14:04Z\"}}\n";
    let given = folder(&[("given/pods.txt", table), ("given/states.txt", states)]);
    let made = run(given.path(), &["redact", "given", "shared"]);
    assert_eq!(made.code, 0, "{made:?}");
    let shared = tree(&given.path().join("shared"));
    for name in ["treasury", "ledger-import", "blade-seven", "bookkeeper"] {
        assert!(!shared.contains(name), "{name}: {shared}");
    }
    assert!(shared.contains("NotReady") && shared.contains("41m"), "{shared}");
}

#[test]
fn a_report_is_redacted_in_every_format() {
    let dir = folder(&[("gateway.yaml", GATEWAY)]);
    for format in ["text", "json", "html", "markdown", "sarif", "github"] {
        let told = run(dir.path(), &["doctor", "--redact", "--format", format, "gateway.yaml"]);
        assert_eq!(told.code, 1, "{told:?}");
        assert!(told.out.contains("gateway-privileged-port"), "{told:?}");
        for secret in ["way-in", "edge"] {
            assert!(!told.out.contains(secret), "{format} has {secret}: {}", told.out);
        }
    }
}

#[test]
fn what_can_not_be_redacted_is_refused() {
    let dir = folder(&[("a/x.yaml", GATEWAY), ("full/y", "z"), ("packed/x.gz", "\u{1f}x")]);
    fs::write(dir.path().join("packed/x.gz"), b"\x1f\x8b\x08").expect("written");
    for (line, words) in [
        (["redact", "a", "full"], "is not empty"),
        (["redact", "none", "new"], "can't be read"),
        (["redact", "packed", "new"], "unpack it first"),
    ] {
        let run = run(dir.path(), &line);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains(words), "{run:?}");
    }
    assert!(!dir.path().join("new").exists());
}

/// The status, the table and the log of a node's agent, with an image of somebody's own in them.
#[test]
fn what_a_nodes_agent_says_is_read_once_it_is_redacted() {
    let incidents = sunup_testkit::workspace_root().join("crates/doctor/tests/incidents");
    for (name, words) in [
        ("node-agent-came-after-the-pod", "A pod that starts now is not refused"),
        ("node-agent-status-as-a-table", "gives this pod the gate"),
    ] {
        let copy = tempfile::tempdir().expect("a folder");
        let input = incidents.join(name).join("input");
        let made = run(copy.path(), &["redact", &input.to_string_lossy(), "shared"]);
        assert_eq!(made.code, 0, "{made:?}");
        let after = run(copy.path(), &["doctor", "--format=json", "shared"]);
        assert!(after.out.contains(words), "{name}: {}", after.out);
        let report = run(&input, &["doctor", "--redact", "--format=json", "."]);
        assert!(report.out.contains(words), "{name}: {}", report.out);
        for told in [&after.out, &report.out] {
            assert!(!told.contains("corp/sidecar") && !told.contains("orders"), "{name}: {told}");
        }
    }
}
