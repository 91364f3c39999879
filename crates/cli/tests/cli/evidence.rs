//! What is said of input that is no evidence, or none that is known.

use serde_json::Value;

use super::kit::{folder, run};

/// Names and texts, made for this: see its head.
const TEXTS: &str = include_str!("no-evidence.txtar");

fn report(folder: &std::path::Path, path: &str) -> (i32, Value, String) {
    let json = run(folder, &["doctor", "--format=json", path]);
    let text = run(folder, &["doctor", path]);
    assert_eq!(json.code, text.code, "{path}");
    (json.code, serde_json::from_str(&json.out).expect("JSON"), text.out)
}

#[test]
fn texts_that_are_no_evidence_give_no_finding_and_no_pod() {
    let texts = sunup_doctor::pages::files(TEXTS);
    assert!(texts.len() >= 60, "{}", texts.len());
    let mut wrong = String::new();
    for (name, text) in &texts {
        let dir = folder(&[(name, text)]);
        // By itself, and as what a folder holds.
        for path in [*name, "."] {
            let (code, report, said) = report(dir.path(), path);
            let honest = report["findings"] == Value::Array(Vec::new())
                && report["unknown"] == Value::Array(Vec::new())
                && report["read"]["passed_over"] == 1
                && report["read"]["forms"] == Value::Array(Vec::new())
                && said.trim_end().ends_with("Passed over as no evidence: 1.")
                && !said.contains("Pod ")
                && !said.contains("No start-up fault found");
            if code != 0 || !honest {
                wrong += &format!("-- {name} as {path}: {code} {}\n{said}\n", report["read"]);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let all: Vec<(&str, &str)> = texts.clone();
    let (code, report, said) = report(folder(&all).path(), ".");
    assert_eq!((code, &report["findings"]), (0, &Value::Array(Vec::new())), "{said}");
    assert_eq!(report["read"]["passed_over"], texts.len(), "{said}");
}

#[test]
fn what_looks_like_evidence_and_is_not_known_is_trouble() {
    let dir = folder(&[
        ("odd.csv", "@odd_time,pod_name,odd_message\n1,web-0,connection refused\n"),
        ("notes.txt", "The pod is not ready, and we do not know why.\n"),
    ]);
    let (code, report, said) = report(dir.path(), ".");
    assert_eq!(code, 2, "{said}");
    let unrecognised = &report["read"]["unrecognised"][0];
    assert_eq!(unrecognised["source"], "odd.csv", "{report}");
    assert!(unrecognised["looks_like"].is_string() && unrecognised["better"].is_string());
    assert_eq!(report["unreadable"][0]["source"], "odd.csv", "{report}");
    assert!(said.contains("ot recognised: odd.csv"), "{said}");
    assert!(!said.contains("No start-up fault found.\n"), "{said}");
}

#[test]
fn a_log_of_nobody_is_said_to_be_one_and_can_be_given_a_pod() {
    const LOG: &str = "2020-03-31T10:41:15Z dial tcp 10.0.0.1:6379: connect: connection refused\n";
    for name in
        ["r.log", "query.txt", "issue-39.log", "server.error.log", "post_mortem.txt", "in/a.log"]
    {
        let dir = folder(&[(name, LOG)]);
        let (_, report, said) = report(dir.path(), ".");
        assert_eq!(report["read"]["unnamed"][0], name, "{report}");
        assert!(said.contains("f an unknown pod"), "{said}");
        assert!(said.contains("--pod NAME"), "{said}");
        let stem = name.split('.').next().expect("a stem");
        assert!(!said.contains(&format!("Pod {stem}")), "{said}");
        let named = run(dir.path(), &["doctor", "--format=json", "--pod", "web-0", "."]);
        let report: Value = serde_json::from_str(&named.out).expect("JSON");
        assert_eq!(report["read"]["unnamed"], Value::Array(Vec::new()), "{report}");
    }
}
