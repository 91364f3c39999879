//! Logs, tables and exports; YAML and archives of unusual make.

use std::path::Path;

use sunup_testkit::growth::{self, Cases};

use crate::count::{Calls as _, doctor, each, write};

const REFUSED: &str = "dial tcp 10.0.0.1:6379: connect: connection refused";

/// A text that `sunup doctor` reads.
fn text(
    cases: &mut Cases,
    name: &str,
    size: usize,
    file: &str,
    head: &str,
    line: impl Fn(usize) -> String,
) {
    cases.call(name, size, |folder: &Path, size| {
        doctor([&write(folder, file, &format!("{head}{}\n", each(size, "\n", &line)))])
    });
}

#[test]
fn logs() {
    growth::hold("texts::logs", |cases| {
        text(cases, "lines without times", 660, "x.log", "", |i| format!("error {i}: {REFUSED}"));
        text(cases, "lines of two streams", 250, "x.log", "", |i| {
            let stream = if i == 0 { "stdout" } else { "stderr" };
            format!("2026-10-02T07:14:05.{i:09}Z {stream} F {REFUSED}")
        });
        text(cases, "parts of lines of two streams", 250, "x.log", "", |i| {
            let stream = if i % 40 == 0 { "stdout P" } else { "stderr F" };
            format!("2026-10-02T07:14:05.{i:09}Z {stream} {REFUSED}")
        });
        text(cases, "destinations", 250, "x.log", "", |i| {
            let (a, b) = (i / 250, i % 250);
            format!("2026-10-02T07:14:05Z dial tcp 10.0.{a}.{b}:6379: connect: connection refused")
        });
    });
}

#[test]
fn tables_and_descriptions() {
    growth::hold("texts::tables_and_descriptions", |cases| {
        let head = "timestamp,message,pod,namespace,container\n";
        text(cases, "a table of a log service", 200, "x.csv", head, |i| {
            format!("2026-10-02T07:14:05Z,{REFUSED},web{i}-5b6f7c9d4-9xk2l,shop,app")
        });
        cases.call("columns of a table", 330, |folder, size| {
            let more = each(size, ",", |i| format!("c{i}"));
            let row = format!("2026-10-02T07:14:05Z,{REFUSED},web-0,{}\n", "x,".repeat(size));
            let text = format!("timestamp,message,pod,{more},\n{}", row.repeat(4));
            doctor([&write(folder, "x.csv", &text)])
        });
        text(cases, "quoted fields of many lines", 260, "x.csv", "timestamp,message,pod\n", |i| {
            format!("2026-10-02T07:14:05Z,\"at {i}\n\"\"x\"\"\n{REFUSED}\",web-0")
        });
        let head = "NAME                       READY   STATUS             RESTARTS   AGE\n";
        text(cases, "kubectl get pods", 160, "x.txt", head, |i| {
            format!("web{i}-5b6f7c9d4-9xk2l      0/2     CrashLoopBackOff   5          3m")
        });
        text(cases, "kubectl describe pods", 50, "x.txt", "", |i| {
            format!(
                "Name:         web{i}-5b6f7c9d4-9xk2l\nNamespace:    shop\nStatus:       Running\nContainers:\n\
             \x20 app:\n    Image:          web:1\n    State:          Running\n    Ready:          True\n\
                 Events:\n  Type     Reason     Age   From     Message\n  ----     ------     ----  ----     -------\n\
             \x20 Warning  Unhealthy  3m    kubelet  Readiness probe failed: {REFUSED}\n\n"
            )
        });
        text(cases, "commands and what they print", 50, "x.txt", "", |i| {
            format!("$ kubectl logs web{i}-5b6f7c9d4-9xk2l -c app\n2026-10-02T07:14:05Z {REFUSED}")
        });
    });
}

#[test]
fn queries() {
    growth::hold("texts::queries", |cases| {
        let entry = |i: usize| format!(r#"{{"textPayload":"{REFUSED} {i}","severity":"ERROR"}}"#);
        cases.call("entries that a query finds", 330, |folder, size| {
            let path = write(folder, "x.json", &each(size, "\n", entry));
            ["logs", r#"textPayload:"connection refused""#, &path].map(str::to_owned).to_vec()
        });
        cases.call("terms of a query", 20, |folder, size| {
            let path = write(folder, "x.json", &each(500, "\n", entry));
            let query = each(size, " OR ", |i| format!(r#"textPayload:"x{i}y""#));
            vec!["logs".to_owned(), query, path]
        });
    });
}

#[test]
fn long_and_nested_queries() {
    growth::hold("texts::long_and_nested_queries", |cases| {
        let entry = format!(r#"{{"textPayload":"{REFUSED}","severity":"ERROR"}}"#);
        cases.call("a query of many words", 330, |folder, size| {
            let path = write(folder, "x.json", &entry);
            let query = each(size, " ", |i| format!("-severity=DEBUG NOT x{i}"));
            vec!["logs".to_owned(), query, path]
        });
        cases.call("a query in parentheses", 130, |folder, size| {
            let path = write(folder, "x.json", &entry);
            let query = each(size, " OR ", |i| format!("(a{i} (b OR (c AND NOT d{i})))"));
            vec!["logs".to_owned(), query, path]
        });
    });
}

#[test]
fn yaml_of_unusual_make() {
    growth::hold("texts::yaml_of_unusual_make", |cases| {
        let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n";
        text(cases, "anchors", 250, "m.yaml", head, |i| format!("  a{i}: &a{i} v\n  b{i}: *a{i}"));
        text(cases, "a scalar of many lines", 500, "m.yaml", &format!("{head}  a: b\n"), |i| {
            format!("    word {i}")
        });
        cases.call("a long line in brackets", 500, |folder, size| {
            let items = each(size, ", ", |i| format!("{{a: {i}}}"));
            doctor([&write(folder, "m.yaml", &format!("{head}  a: [{items}]\n"))])
        });
    });
}
