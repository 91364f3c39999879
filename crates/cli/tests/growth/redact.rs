//! Redacting: what is known of a file is looked for in all of it, and that must not multiply.

use std::path::Path;

use sunup_testkit::growth::{self, Cases};

use crate::count::{Calls as _, each, write};

/// A copy without secrets of one file.
fn redacted(
    cases: &mut Cases,
    name: &str,
    size: usize,
    file: &str,
    text: impl Fn(usize) -> String,
) {
    cases.call(name, size, |folder: &Path, size| {
        write(folder, &format!("from/{file}"), &text(size));
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        vec!["redact".to_owned(), path("from"), path("to")]
    });
}

#[test]
fn redacted_files() {
    growth::hold("redact::redacted_files", |cases| {
        redacted(cases, "lines that are redacted", 60, "web-0.log", |size| {
            each(size, "\n", |i| {
                format!(
                    "2026-10-02T07:14:05Z password=hunter{i} at 10.0.{}.{}:6379",
                    i / 250,
                    i % 250
                )
            })
        });
        redacted(cases, "objects that are redacted", 20, "pods.json", |size| {
            let pods = each(size, ",\n", |i| {
                format!(
                    r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web{i}-5b6f7c9d4-9xk2l","namespace":"ns{i}","labels":{{"app":"web{i}"}}}},"spec":{{"containers":[{{"name":"app","image":"registry.example/web{i}:1","env":[{{"name":"WORD","value":"canary{i}"}}]}}]}}}}"#
                )
            });
            format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{pods}]}}\n")
        });
        redacted(cases, "settings that are redacted", 30, "m.yaml", |size| {
            let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n";
            head.to_owned() + &each(size, "\n", |i| format!("  key{i}: value{i}")) + "\n"
        });
    });
}
