//! What goes to which stream, in which form.

use std::io::Read as _;
use std::process::Stdio;

use serde_json::Value;

use super::kit::{GATEWAY, HEALTHY, folder, run, run_with, sunup};

const ESCAPE: char = '\u{1b}';

#[test]
fn json_is_one_document_that_follows_the_contract() {
    let dir = folder(&[
        ("gateway.yaml", GATEWAY),
        ("settings.yaml", HEALTHY),
        ("broken.json", "{\"a\": [1,"),
    ]);
    let found = run(dir.path(), &["doctor", "--format=json", "gateway.yaml", "broken.json"]);
    let report: Value = serde_json::from_str(&found.out).expect("JSON");
    assert!(found.out.ends_with("}\n"), "{}", found.out);
    assert_eq!(report["schema"], "sunup.doctor/v1");
    let keys: Vec<&String> = report.as_object().expect("a map").keys().collect();
    assert_eq!(keys, ["cleared", "entries", "findings", "read", "schema", "unknown", "unreadable"]);
    let finding = &report["findings"][0];
    assert!(finding.as_object().expect("a map").contains_key("cause"), "nulls are kept");
    assert_eq!(
        report["unreadable"][0]["source"].as_str().map(|s| s.split(':').next()),
        Some(Some("broken.json"))
    );
    let quiet = run(dir.path(), &["doctor", "--format=json", "settings.yaml"]);
    let report: Value = serde_json::from_str(&quiet.out).expect("JSON");
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    assert!(quiet.err.is_empty(), "{quiet:?}");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let dir = folder(&[("gateway.yaml", GATEWAY)]);
    let coloured = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let line: Vec<&str> = ["doctor", "gateway.yaml"].iter().chain(arguments).copied().collect();
        let output = sunup(dir.path(), &line).envs(variable).output().expect("the binary starts");
        String::from_utf8(output.stdout).expect("UTF-8").contains(ESCAPE)
    };
    assert!(!coloured(&[], None), "a pipe gets none");
    assert!(coloured(&["--color=always"], None));
    assert!(!coloured(&["--color=never"], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!coloured(&[], Some(("NO_COLOR", "1"))));
    assert!(!coloured(&["--format=json", "--color=always"], None), "JSON has no colours");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = folder(&[("a/gateway.yaml", GATEWAY), ("b/settings.yaml", HEALTHY)]);
    let first = run(dir.path(), &["doctor", "a", "b"]);
    for _ in 0..5 {
        let again = run(dir.path(), &["doctor", "a", "b"]);
        assert_eq!(again.out, first.out);
    }
}

#[test]
fn a_report_fits_eighty_columns() {
    let dir = folder(&[("gateway.yaml", GATEWAY)]);
    let report = run(dir.path(), &["doctor", "gateway.yaml"]);
    for line in report.out.lines().filter(|line| !line.starts_with("      ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn quiet_is_one_line_for_each_finding() {
    let dir = folder(&[("gateway.yaml", GATEWAY), ("settings.yaml", HEALTHY)]);
    let found = run(dir.path(), &["doctor", "-q", "gateway.yaml"]);
    assert_eq!((found.code, found.out.lines().count()), (1, 1), "{found:?}");
    assert!(found.out.contains("gateway-privileged-port"), "{found:?}");
    assert_eq!(run(dir.path(), &["doctor", "-q", "settings.yaml"]).out, "");
}

#[test]
fn a_reader_that_leaves_early_changes_nothing() {
    let dir = folder(&[("gateway.yaml", GATEWAY)]);
    let mut command = sunup(dir.path(), &["doctor", "-v", "gateway.yaml"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    drop(child.stdout.take());
    let code = child.wait().expect("it ends").code();
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
    assert_eq!((code, said.as_str()), (Some(1), ""));
}

#[test]
fn bytes_of_any_kind_never_bring_it_down() {
    let dir = folder(&[]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for length in [1, 7, 100, 5_000, 100_000] {
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .take(length)
        .collect();
        for start in [
            &b""[..],
            b"{",
            b"[{\"a\":",
            b"apiVersion: v1\nkind: ",
            b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd",
        ] {
            let run = run_with(dir.path(), &["doctor"], &[start, &noise].concat());
            assert!((0..=2).contains(&run.code) && !run.err.contains("panicked"), "{run:?}");
        }
    }
}
