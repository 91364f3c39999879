//! Logs, tables and exports; YAML and archives of unusual make.

use std::path::Path;

use crate::count::{doctor, each, grows_evenly, write};

const REFUSED: &str = "dial tcp 10.0.0.1:6379: connect: connection refused";

/// A text that `sunup doctor` reads.
fn text(name: &str, size: usize, file: &str, head: &str, line: impl Fn(usize) -> String) {
    grows_evenly(name, size, |folder: &Path, size| {
        doctor([&write(folder, file, &format!("{head}{}\n", each(size, "\n", &line)))])
    });
}

#[test]
fn logs() {
    text("lines without times", 4000, "x.log", "", |i| format!("error {i}: {REFUSED}"));
    text("lines of two streams", 1500, "x.log", "", |i| {
        let stream = if i == 0 { "stdout" } else { "stderr" };
        format!("2026-10-02T07:14:05.{i:09}Z {stream} F {REFUSED}")
    });
    text("parts of lines of two streams", 1500, "x.log", "", |i| {
        let stream = if i % 40 == 0 { "stdout P" } else { "stderr F" };
        format!("2026-10-02T07:14:05.{i:09}Z {stream} {REFUSED}")
    });
    text("destinations", 1500, "x.log", "", |i| {
        let (a, b) = (i / 250, i % 250);
        format!("2026-10-02T07:14:05Z dial tcp 10.0.{a}.{b}:6379: connect: connection refused")
    });
}

#[test]
fn tables_and_descriptions() {
    let head = "timestamp,message,pod,namespace,container\n";
    text("a table of a log service", 600, "x.csv", head, |i| {
        format!("2026-10-02T07:14:05Z,{REFUSED},web{i}-5b6f7c9d4-9xk2l,shop,app")
    });
    let head = "NAME                       READY   STATUS             RESTARTS   AGE\n";
    text("kubectl get pods", 1000, "x.txt", head, |i| {
        format!("web{i}-5b6f7c9d4-9xk2l      0/2     CrashLoopBackOff   5          3m")
    });
    text("kubectl describe pods", 150, "x.txt", "", |i| {
        format!(
            "Name:         web{i}-5b6f7c9d4-9xk2l\nNamespace:    shop\nStatus:       Running\nContainers:\n\
             \x20 app:\n    Image:          web:1\n    State:          Running\n    Ready:          True\n\
             Events:\n  Type     Reason     Age   From     Message\n  ----     ------     ----  ----     -------\n\
             \x20 Warning  Unhealthy  3m    kubelet  Readiness probe failed: {REFUSED}\n\n"
        )
    });
    text("commands and what they print", 150, "x.txt", "", |i| {
        format!("$ kubectl logs web{i}-5b6f7c9d4-9xk2l -c app\n2026-10-02T07:14:05Z {REFUSED}")
    });
}

#[test]
fn queries() {
    let entry = |i: usize| format!(r#"{{"textPayload":"{REFUSED} {i}","severity":"ERROR"}}"#);
    grows_evenly("entries that a query finds", 2000, |folder, size| {
        let path = write(folder, "x.json", &each(size, "\n", entry));
        ["logs", r#"textPayload:"connection refused""#, &path].map(str::to_owned).to_vec()
    });
    grows_evenly("terms of a query", 60, |folder, size| {
        let path = write(folder, "x.json", &each(500, "\n", entry));
        let query = each(size, " OR ", |i| format!(r#"textPayload:"x{i}y""#));
        vec!["logs".to_owned(), query, path]
    });
}

#[test]
fn yaml_of_unusual_make() {
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n";
    text("anchors", 1500, "m.yaml", head, |i| format!("  a{i}: &a{i} v\n  b{i}: *a{i}"));
    text("a scalar of many lines", 3000, "m.yaml", &format!("{head}  a: b\n"), |i| {
        format!("    word {i}")
    });
    grows_evenly("a long line in brackets", 3000, |folder, size| {
        let items = each(size, ", ", |i| format!("{{a: {i}}}"));
        doctor([&write(folder, "m.yaml", &format!("{head}  a: [{items}]\n"))])
    });
}
