//! Clusters: each kind of object that is joined with others by names, labels or files.

use std::path::Path;

use sunup_testkit::growth;

use crate::count::{Calls as _, doctor, each, write};

const REFUSED: &str = "dial tcp 10.0.0.1:6379: connect: connection refused";

fn list(items: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"List","items":[{items}]}}"#)
}

/// A pod; `place` is what its metadata has beside the name, with a comma before it.
fn pod(name: &str, place: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}-5b6f7c9d4-9xk2l","uid":"u","labels":{{"app":"{name}"}}{place}}},"spec":{{"containers":[{{"name":"app","image":"web:1"}}]}},"status":{{"phase":"Running"}}}}"#
    )
}

fn event(kind: &str, name: &str, message: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Event","metadata":{{"name":"e","namespace":"shop"}},"involvedObject":{{"kind":"{kind}","name":"{name}","namespace":"shop"}},"reason":"FailedCreate","message":"{message}","type":"Warning","lastTimestamp":"2026-10-02T07:14:05Z"}}"#
    )
}

const SHOP: &str = r#","namespace":"shop""#;

fn deployment(i: usize, namespace: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web{i}, namespace: {namespace}}}\n\
         spec:\n  template:\n    metadata: {{labels: {{app: web{i}}}}}\n    spec:\n      containers:\n\
         \x20     - {{name: app, image: web:1}}\n"
    )
}

/// Deployments with something else of each beside them, in one file.
fn with(folder: &Path, size: usize, other: impl Fn(usize) -> String) -> Vec<String> {
    let text = each(size, "---\n", |i| format!("{}---\n{}", deployment(i, "shop"), other(i)));
    doctor([&write(folder, "m.yaml", &text)])
}

#[test]
fn pods_and_their_logs_without_namespaces() {
    growth::hold("cluster::pods_and_their_logs_without_namespaces", |cases| {
        cases.call("pods without namespaces", 250, |folder, size| {
            let pods = each(size, ",", |i| pod(&format!("web{i}"), ""));
            doctor([&write(folder, "pods.json", &list(&pods))])
        });
        cases.call("logs of pods without namespaces", 160, |folder, size| {
            let lines = each(size, "\n", |i| {
                format!(
                    r#"{{"textPayload":"{REFUSED}","timestamp":"2026-10-02T07:14:05Z","resource":{{"type":"k8s_container","labels":{{"pod_name":"web{i}-5b6f7c9d4-9xk2l","container_name":"app"}}}}}}"#
                )
            });
            doctor([&write(folder, "logs.json", &lines)])
        });
    });
}

#[test]
fn events_of_what_is_no_pod() {
    growth::hold("cluster::events_of_what_is_no_pod", |cases| {
        let run = |message: fn(usize) -> String| {
            move |folder: &Path, size: usize| {
                let events = each(size, ",", |i| {
                    event("ReplicaSet", &format!("web{i}-5b6f7c9d4"), &message(i))
                });
                doctor([&write(folder, "events.json", &list(&events))])
            }
        };
        cases.call("events, each of its own words", 500, run(|i| format!("pods {i} forbidden")));
        cases.call("events of the same words", 500, run(|_| "forbidden".to_owned()));
        cases.call("events that name what was made", 120, |folder, size| {
            let made = |i| format!("Created pod: web{i}-5b6f7c9d4-9xk2l");
            let both = each(size, ",", |i| {
                let event = event("ReplicaSet", &format!("web{i}-5b6f7c9d4"), &made(i));
                format!("{event},{}", pod(&format!("web{i}"), SHOP))
            });
            doctor([&write(folder, "both.json", &list(&both))])
        });
    });
}

#[test]
fn files_that_name_no_pod_and_files_that_name_one() {
    growth::hold("cluster::files_that_name_no_pod_and_files_that_name_one", |cases| {
        for (name, log) in [("logs of nobody", "log"), ("logs by the names of files", "pod")] {
            cases.call(name, 25, |folder, size| {
                for i in 0..size {
                    let file = match log {
                        "log" => format!("x/l{i}.log"),
                        _ => format!("x/web{i}-5b6f7c9d4-9xk2l.log"),
                    };
                    write(folder, &file, &format!("2026-10-02T07:14:05Z {REFUSED}\n"));
                }
                let pods = each(size, ",", |i| pod(&format!("web{i}"), SHOP));
                write(folder, "x/pods.json", &list(&pods));
                doctor([&folder.join("x").to_string_lossy()])
            });
        }
        cases.call("files of one pod", 30, |folder, size| {
            for i in 0..size {
                write(
                    folder,
                    &format!("x/{i}/web-0.log"),
                    &format!("2026-10-02T07:14:05Z {REFUSED}\n"),
                );
            }
            doctor([&folder.join("x").to_string_lossy()])
        });
    });
}

#[test]
fn pods_beside_what_makes_them() {
    growth::hold("cluster::pods_beside_what_makes_them", |cases| {
        cases.call("pods and deployments", 50, |folder, size| {
            let pods = each(size, ",", |i| pod(&format!("web{i}"), SHOP));
            write(folder, "x/pods.json", &list(&pods));
            write(folder, "x/m.yaml", &each(size, "---\n", |i| deployment(i, "shop")));
            doctor([&folder.join("x").to_string_lossy()])
        });
        cases.call("deployments in namespaces of their own", 60, |folder, size| {
            let text = each(size, "---\n", |i| {
                let namespace =
                    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: ns{i}}}\n");
                format!("{}---\n{namespace}", deployment(i, &format!("ns{i}")))
            });
            doctor([&write(folder, "m.yaml", &text)])
        });
    });
}

#[test]
fn what_selects_pods() {
    growth::hold("cluster::what_selects_pods", |cases| {
        cases.call("services", 60, |folder, size| {
            with(folder, size, |i| {
                format!(
                    "apiVersion: v1\nkind: Service\nmetadata: {{name: web{i}, namespace: shop}}\n\
                     spec: {{selector: {{app: web{i}}}, ports: [{{port: 80, targetPort: 80}}]}}\n"
                )
            })
        });
        cases.call("gateways", 60, |folder, size| {
            with(folder, size, |i| {
                format!(
                    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g{i}, namespace: shop}}\n\
                     spec:\n  selector: {{app: web{i}}}\n  servers:\n  - port: {{number: 80, name: http, protocol: HTTP}}\n    hosts: ['*']\n"
                )
            })
        });
        cases.call("webhooks", 50, |folder, size| {
            with(folder, size, |i| {
                format!(
                    "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {{name: w{i}}}\n\
                     webhooks:\n- name: a{i}.example.com\n  clientConfig: {{service: {{name: web{i}, namespace: shop}}}}\n"
                )
            })
        });
        cases.call("policies", 60, |folder, size| {
            with(folder, size, |i| {
                format!(
                    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{i}, namespace: shop}}\n\
                     spec: {{podSelector: {{matchLabels: {{app: web{i}}}}}, policyTypes: [Egress]}}\n"
                )
            })
        });
    });
}
