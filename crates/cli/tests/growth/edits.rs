//! Manifests, their findings and their fixes; injections; reports.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sunup_testkit::growth;

use crate::count::{Calls as _, doctor, each, write};

/// A Deployment with a finding that has a fix.
fn faulty(i: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{i}\n  namespace: team\nspec:\n\
         \x20 template:\n    metadata:\n      labels: {{app: app-{i}}}\n      annotations:\n\
         \x20       sidecar.istio.io/native-side: \"true\"\n    spec:\n      containers:\n      - name: app\n\
         \x20       image: registry.example/app-{i}:1.4.{i}\n"
    )
}

/// A Deployment with more containers, each of which `more` goes on to describe.
fn containers(size: usize, more: impl Fn(usize) -> String) -> String {
    let mut text = faulty(0);
    for i in 0..size {
        let _ = writeln!(text, "      - name: c{i}\n        image: web:1{}", more(i));
    }
    text
}

fn flow(i: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web{i}, namespace: shop}}\n\
         spec: {{template: {{metadata: {{labels: {{app: web{i}}}}}, spec: {{containers: [{{name: app, image: web}}]}}}}}}\n"
    )
}

#[test]
fn findings_in_one_file() {
    growth::hold("edits::findings_in_one_file", |cases| {
        cases.call("deployments of one file", 50, |folder, size| {
            doctor([&write(folder, "m.yaml", &each(size, "---\n", faulty))])
        });
        for format in ["html", "sarif", "markdown"] {
            cases.call(format, 20, |folder, size| {
                let path = write(folder, "m.yaml", &each(size, "---\n", faulty));
                doctor(["--format", format, &path])
            });
        }
    });
}

#[test]
fn fixes_in_one_file_and_in_many() {
    growth::hold("edits::fixes_in_one_file_and_in_many", |cases| {
        cases.call("fixes of one file", 20, |folder, size| {
            doctor(["--fix", &write(folder, "m.yaml", &each(size, "---\n", faulty))])
        });
        cases.call("fixes of files", 20, |folder, size| {
            for i in 0..size {
                write(folder, &format!("x/{i}.yaml"), &faulty(i));
            }
            doctor(["--fix", &folder.join("x").to_string_lossy()])
        });
        cases.call("a fix among comments", 330, |folder, size| {
            let comments = each(size, "\n", |i| format!("# {i}\nk{i}: 1"));
            doctor(["--fix", &write(folder, "m.yaml", &(faulty(0) + &comments))])
        });
    });
}

#[test]
fn containers_of_one_deployment() {
    growth::hold("edits::containers_of_one_deployment", |cases| {
        cases.call("containers", 100, |folder, size| {
            doctor([&write(folder, "m.yaml", &containers(size, |_| String::new()))])
        });
        cases.call("containers with ports and probes", 60, |folder, size| {
            let text = containers(size, |i| {
                format!(
                    "\n        ports: [{{containerPort: {}}}]\n        readinessProbe: {{httpGet: {{port: {}}}}}",
                    8000 + i,
                    8000 + i
                )
            });
            doctor([&write(folder, "m.yaml", &text)])
        });
        cases.call("injected containers", 100, |folder, size| {
            let path = write(folder, "m.yaml", &containers(size, |_| String::new()));
            ["inject", "-f", &path].map(str::to_owned).to_vec()
        });
    });
}

#[test]
fn injections_of_one_file() {
    growth::hold("edits::injections_of_one_file", |cases| {
        for (name, one) in [("in blocks", faulty as fn(usize) -> String), ("in braces", flow)] {
            cases.call(name, 20, |folder, size| {
                let path = write(folder, "m.yaml", &each(size, "---\n", one));
                ["inject", "-f", &path].map(str::to_owned).to_vec()
            });
        }
    });
}

#[test]
fn the_patch_of_a_review() {
    growth::inside("edits::the_patch_of_a_review", 4000, |size| {
        let containers: Vec<Value> = (0..size).map(|i| json!({"name": format!("c{i}")})).collect();
        let with = [vec![json!({"name": "istio-proxy"})], containers.clone()].concat();
        let ops = sunup_inject::diff(
            &json!({"spec": {"containers": containers}}),
            &json!({"spec": {"containers": with}}),
        );
        assert_eq!(ops.len(), 1);
    });
}
