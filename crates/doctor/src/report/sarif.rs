//! SARIF 2.1.0, for code scanning and editors: one result for each finding, with its place in the
//! manifest, its fixes as replacements, and a fingerprint that outlives edits.
//!
//! # Sources
//! OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; the section numbers
//! below are of it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use sunup_api::report::{Finding, Report, Severity, Unreadable};
use sunup_api::show::{self, text as clean};

use crate::judging::meta::Meta;

use super::place::{self, Place};
use super::terms::{severity, subject, verdict};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// Name of the fingerprint; a new way to make it gets a new number (3.27.17).
const FINGERPRINT: &str = "sunupFinding/v1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: &'static str,
    invocations: [Invocation; 1],
    results: Vec<Outcome>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    short_description: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Value>,
    default_configuration: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Message,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

/// A result (3.27).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    rule_id: String,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
    partial_fingerprints: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<Fix>,
    properties: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<Physical>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<Logical>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u64,
    start_column: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Logical {
    name: String,
    fully_qualified_name: String,
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fix {
    description: Message,
    artifact_changes: [Change; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    artifact_location: Artifact,
    replacements: Vec<Replacement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replacement {
    deleted_region: Region,
    inserted_content: Message,
}

/// The report as SARIF, with a newline at the end.
#[must_use]
pub fn sarif(report: &Report) -> String {
    let rules = rules(report);
    let index = |id: &str| rules.iter().position(|rule| rule.id == id).unwrap_or(0);
    let results = report.findings.iter().map(|f| outcome(f, index(&f.rule))).collect();
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver { name: "Sunup", version: env!("CARGO_PKG_VERSION"), rules },
            },
            column_kind: "unicodeCodePoints",
            invocations: [Invocation {
                execution_successful: true,
                tool_execution_notifications: notifications(report),
            }],
            results,
        }],
    };
    let text = serde_json::to_string_pretty(&log).expect("it has only string keys and no floats");
    show::json(&text).into_owned() + "\n"
}

/// Every rule that was asked (3.19.23), so that readers know what a clean run has looked for; the
/// pages, which are long, of those that found something.
fn rules(report: &Report) -> Vec<Rule> {
    let found = |id: &str| report.findings.iter().any(|finding| finding.rule == id);
    let mut rules: Vec<Rule> = crate::rules::rules()
        .map(|meta| Rule {
            id: meta.id.to_owned(),
            short_description: Message { text: meta.title.to_owned() },
            help: found(meta.id).then(|| help(meta)),
            default_configuration: json!({"level": level(meta.severity)}),
        })
        .collect();
    for finding in &report.findings {
        // A report of another version may have rules that this one doesn't know.
        if rules.iter().all(|rule| rule.id != finding.rule) {
            rules.push(Rule {
                id: finding.rule.clone(),
                short_description: Message { text: finding.rule.replace('-', " ") },
                help: None,
                default_configuration: json!({"level": level(finding.severity)}),
            });
        }
    }
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    rules
}

/// The rule's page without its example, which would be long.
fn help(meta: &Meta) -> Value {
    json!({"text": meta.doc.trim(), "markdown": meta.doc.trim()})
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn outcome(finding: &Finding, rule_index: usize) -> Outcome {
    let of = &finding.subject;
    let mut message = format!("{}: {}", clean(&subject(of)), clean(&finding.summary));
    if !finding.explanation.trim().is_empty() {
        message.push_str("\n\n");
        message.push_str(&clean(&finding.explanation));
    }
    let namespace = of.namespace.as_deref().map(|ns| format!("{ns}/")).unwrap_or_default();
    let logical = Logical {
        name: clean(&of.name),
        fully_qualified_name: clean(&format!("{namespace}{}/{}", of.kind, of.name)),
        kind: "resource",
    };
    let stands = place::of_finding(finding).map(|place| physical(&place));
    let related = finding.evidence.iter().enumerate().filter_map(|(i, item)| {
        Some(Location {
            id: Some(i + 1),
            physical_location: Some(physical(&place::of_source(&item.source)?)),
            logical_locations: Vec::new(),
            message: Some(Message { text: clean(&item.text) }),
        })
    });
    let properties = json!({
        "severity": severity(finding.severity),
        "verdict": verdict(finding.verdict),
        "cause": finding.cause,
        "consequences": finding.consequences,
        "pods": of.pods,
    });
    Outcome {
        rule_id: finding.rule.clone(),
        rule_index,
        level: level(finding.severity),
        message: Message { text: message },
        locations: vec![Location {
            id: None,
            physical_location: stands,
            logical_locations: vec![logical],
            message: None,
        }],
        related_locations: related.collect(),
        partial_fingerprints: [(FINGERPRINT, fingerprint(finding))].into(),
        fixes: finding.fixes.iter().filter_map(fix).collect(),
        properties,
    }
}

fn physical(place: &Place) -> Physical {
    Physical {
        artifact_location: Artifact { uri: uri(&place.file) },
        region: Region {
            start_line: place.line.max(1),
            start_column: place.column,
            end_line: None,
            end_column: None,
        },
    }
}

fn fix(fix: &sunup_api::report::Fix) -> Option<Fix> {
    let (file, changes) = place::replacements(fix)?;
    let replacements = changes.into_iter().map(|change| Replacement {
        deleted_region: Region {
            start_line: change.line,
            start_column: 1,
            // An empty region is an insertion before it (3.57.3).
            end_line: Some(change.line + change.lines),
            end_column: Some(1),
        },
        inserted_content: Message { text: change.text },
    });
    Some(Fix {
        description: Message { text: clean(&fix.title) },
        artifact_changes: [Change {
            artifact_location: Artifact { uri: uri(&file) },
            replacements: replacements.collect(),
        }],
    })
}

fn notifications(report: &Report) -> Vec<Notification> {
    let unreadable = |item: &Unreadable| Notification {
        level: "warning",
        message: Message {
            text: format!("could not be read: {}: {}", clean(&item.source), clean(&item.why)),
        },
        locations: place::of_source(&item.source)
            .map(|place| Location {
                id: None,
                physical_location: Some(physical(&place)),
                logical_locations: Vec::new(),
                message: None,
            })
            .into_iter()
            .collect(),
    };
    let unknown = report.unknown.iter().map(|item| Notification {
        level: "note",
        message: Message {
            text: format!(
                "{} can't be told of {}: missing {}",
                item.rule,
                clean(&subject(&item.subject)),
                clean(&item.missing.join(", "))
            ),
        },
        locations: Vec::new(),
    });
    report.unreadable.iter().map(unreadable).chain(unknown).collect()
}

/// FNV-1a over the finding's identity: short, and the same on every machine and in every version.
fn fingerprint(finding: &Finding) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in place::identity(finding) {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

/// A path as a relative reference (RFC 3986): what is not unreserved or `/` is percent-encoded.
fn uri(path: &str) -> String {
    let path = path.replace('\\', "/");
    let path = path.strip_prefix("./").unwrap_or(&path);
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::report;

    fn results(report: &Report) -> Value {
        let log: Value = serde_json::from_str(&sarif(report)).expect("JSON");
        log["runs"][0]["results"].clone()
    }

    #[test]
    fn a_finding_stands_in_the_manifest_that_its_fix_changes() {
        let result = &results(&report())[0];
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "deploy.yaml");
        assert_eq!(place["region"]["startLine"], 13);
        assert_eq!(place["region"]["startColumn"], 7);
        let replacement = &result["fixes"][0]["artifactChanges"][0]["replacements"][0];
        let region = json!({"startLine": 13, "startColumn": 1, "endLine": 13, "endColumn": 1});
        assert_eq!(replacement["deletedRegion"], region);
        let text = replacement["insertedContent"]["text"].as_str().expect("text");
        assert!(text.starts_with("      annotations:\n        proxy.istio.io/config"), "{text}");
        assert_eq!(result["relatedLocations"][0]["physicalLocation"]["region"]["startLine"], 17);
    }

    #[test]
    fn a_fingerprint_outlives_times_lines_and_pods_and_tells_workloads_apart() {
        let print = |report: &Report| results(report)[0]["partialFingerprints"].clone();
        let first = print(&report());
        let mut other = report();
        other.findings[0].subject.pods = vec!["another".into()];
        other.findings[0].timeline.clear();
        other.findings[0].evidence[0].source = "other.json:1".into();
        other.findings[0].summary = "other words".into();
        assert_eq!(print(&other), first);
        other.findings[0].subject.name = "another".into();
        assert_ne!(print(&other), first);
        assert_eq!(first, json!({"sunupFinding/v1": "40690f8e15588f5a"}), "it never changes");
    }

    #[test]
    fn paths_are_relative_references() {
        assert_eq!(uri("./a b/ü#1.yaml"), "a%20b/%C3%BC%231.yaml");
        assert_eq!(uri("k8s/x.yaml"), "k8s/x.yaml");
    }
}
