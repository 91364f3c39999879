//! The formats for machines: what they must be to be read by what reads them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::kit::{GATEWAY, folder, run};

/// Validates a document against a JSON schema with Python's jsonschema.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft7Validator
schema = json.load(open(sys.argv[1]))
errors = list(Draft7Validator(schema).iter_errors(json.load(sys.stdin)))
for error in errors[:10]: print('/'.join(map(str, error.absolute_path)), error.message[:300])
sys.exit(bool(errors))
";

fn valid(schema: &std::path::Path, text: &str) -> Result<(), String> {
    let mut command = Command::new("python3");
    command.args(["-c", VALIDATE]).arg(schema);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("python3 starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).into_owned()) }
}

#[test]
fn sarif_of_every_example_follows_the_official_schema() {
    let test = "sarif_of_every_example_follows_the_official_schema";
    let schema = std::env::var_os("SUNUP_SARIF_SCHEMA").map(std::path::PathBuf::from);
    let schema = schema.filter(|path| path.is_file());
    let wanted = "the SARIF 2.1.0 schema (SUNUP_SARIF_SCHEMA)";
    let Some(schema) = sunup_testkit::require(test, wanted, schema) else { return };
    let python = Command::new("python3").args(["-c", "import jsonschema"]).output();
    let python = python.ok().filter(|output| output.status.success());
    if sunup_testkit::require(test, "python3 with jsonschema", python).is_none() {
        return;
    }
    assert!(valid(&schema, "{\"version\": \"2.1.0\"}").is_err(), "the schema says nothing");
    let examples = sunup_testkit::workspace_root().join("examples");
    let all = run(&examples, &["doctor", "--format=sarif", "."]);
    assert_eq!(valid(&schema, &all.out), Ok(()));
    let log: Value = serde_json::from_str(&all.out).expect("JSON");
    let results = log["runs"][0]["results"].as_array().expect("results");
    assert!(results.len() >= 8, "{}", results.len());
    assert!(results.iter().any(|result| !result["fixes"].is_null()));

    let broken = folder(&[("a b.yaml", GATEWAY), ("broken.json", "{\"a\": [1,")]);
    let run = run(broken.path(), &["doctor", "--format=sarif", "."]);
    assert_eq!(valid(&schema, &run.out), Ok(()));
    assert!(run.out.contains("\"uri\": \"a%20b.yaml\""), "{}", run.out);
}

/// The file of each change, its replacements applied as the specification says.
fn applied(before: &str, fix: &Value) -> String {
    let mut text = before.to_owned();
    let replacements = fix["artifactChanges"][0]["replacements"].as_array().expect("some");
    let starts: Vec<usize> =
        std::iter::once(0).chain(before.match_indices('\n').map(|(at, _)| at + 1)).collect();
    // From the end to the start, so that places stay.
    for replacement in replacements.iter().rev() {
        let region = &replacement["deletedRegion"];
        let at = |name: &str| {
            let line = region[name].as_u64().expect("a line") as usize;
            starts.get(line - 1).copied().unwrap_or(before.len())
        };
        assert_eq!((&region["startColumn"], &region["endColumn"]), (&1.into(), &1.into()));
        let new = replacement["insertedContent"]["text"].as_str().expect("text");
        text.replace_range(at("startLine")..at("endLine"), new);
    }
    text
}

#[test]
fn a_sarif_fix_does_what_fix_does() {
    let dir = folder(&[("gateway.yaml", GATEWAY)]);
    let sarif = run(dir.path(), &["doctor", "--format=sarif", "gateway.yaml"]);
    let log: Value = serde_json::from_str(&sarif.out).expect("JSON");
    let fixes = log["runs"][0]["results"][0]["fixes"].as_array().expect("fixes");
    run(dir.path(), &["doctor", "--fix", "gateway.yaml"]);
    let fixed = std::fs::read_to_string(dir.path().join("gateway.yaml")).expect("readable");
    assert_ne!(fixed, GATEWAY);
    assert_eq!(applied(GATEWAY, &fixes[0]), fixed);
}

#[test]
fn every_format_tells_the_finding_and_ends_with_its_exit_code() {
    let dir = folder(&[("gateway.yaml", GATEWAY)]);
    for (format, sign) in [
        ("text", "[gateway-privileged-port]"),
        ("json", "\"gateway-privileged-port\""),
        ("sarif", "\"ruleId\": \"gateway-privileged-port\""),
        ("markdown", "`gateway-privileged-port`"),
        ("github", "title=gateway-privileged-port"),
        ("html", ">gateway-privileged-port<"),
    ] {
        let told = run(dir.path(), &["doctor", "--format", format, "gateway.yaml"]);
        assert_eq!(told.code, 1, "{format}");
        assert!(told.out.contains(sign), "{format}: {}", told.out);
        assert!(told.out.ends_with('\n') || format == "html", "{format}");
        assert!(!told.out.contains('\u{1b}'), "{format}");
    }
}
