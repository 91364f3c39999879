//! Every kind of edit that a fix makes, on every pod template of the injector's goldens and on
//! variants of each.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sunup_testkit::{goldens, require};
use sunup_yaml::{DocEdit, Limits, Op, Segment, edit, edit_sound, set_embedded};

use crate::variants::{self, Seed};

/// Paths of everything that looks like a pod: a map with `spec.containers`.
fn pods(value: &Value, path: &mut Vec<Segment>, out: &mut Vec<Vec<Segment>>) {
    match value {
        Value::Object(map) => {
            if value["spec"]["containers"].is_array() {
                out.push(path.clone());
            }
            for (key, value) in map {
                path.push(Segment::from(key.clone()));
                pods(value, path, out);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                path.push(Segment::Index(i));
                pods(value, path, out);
                path.pop();
            }
        }
        _ => {}
    }
}

fn at(pod: &[Segment], rest: &str) -> Vec<Segment> {
    [pod, &crate::path(rest)].concat()
}

const CONFIG: &str = "metadata|annotations|proxy.istio.io/config";

/// The edits that fixes make, each a list that is applied in one go.
fn fixes(pod: &[Segment], value: &Value) -> Vec<Vec<Op>> {
    let set = |rest: &str, value: Value| Op::Set { path: at(pod, rest), value };
    let ranges = "metadata|annotations|traffic.sidecar.istio.io/excludeOutboundIPRanges";
    let config = value["metadata"]["annotations"]["proxy.istio.io/config"].as_str().unwrap_or("");
    let held = set_embedded(config, &["holdApplicationUntilProxyStarts"], json!(true)).unwrap();
    let have = value["metadata"]["annotations"]["traffic.sidecar.istio.io/excludeOutboundIPRanges"]
        .as_str()
        .unwrap_or("");
    let sysctl = json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"});
    let append = Op::Append { path: at(pod, "spec|securityContext|sysctls"), value: sysctl };
    let mut out = vec![
        vec![set("metadata|annotations|sidecar.istio.io/nativeSidecar", json!("true"))],
        vec![set(CONFIG, json!(held))],
        vec![set(CONFIG, json!("holdApplicationUntilProxyStarts: true\nconcurrency: 2\n"))],
        vec![set(CONFIG, json!("{ \"holdApplicationUntilProxyStarts\": true }"))],
        vec![set(ranges, json!(sunup_yaml::append_comma_list(have, "10.0.0.5/32")))],
        vec![append.clone()],
        vec![
            set("metadata|labels|sidecar.istio.io/inject", json!("true")),
            append,
            set("spec|containers|0|securityContext|runAsUser", json!(1337)),
        ],
        vec![Op::Append {
            path: at(pod, "spec|containers"),
            value: json!({"name": "x", "args": ["-v", "1e3"], "env": []}),
        }],
        vec![Op::Remove { path: at(pod, "spec|containers|0|image") }],
    ];
    if value["spec"]["initContainers"].is_array() {
        out.push(vec![set("spec|initContainers|0|securityContext|runAsUser", json!(1337))]);
    }
    for key in value["metadata"]["annotations"].as_object().into_iter().flat_map(|m| m.keys()) {
        let mut path = at(pod, "metadata|annotations");
        path.push(Segment::from(key.clone()));
        out.push(vec![Op::Remove { path }]);
    }
    out
}

/// Variants written, templates found, edits made.
#[derive(Default)]
struct Done {
    written: usize,
    templates: usize,
    applied: usize,
}

fn sweep(dir: &Path, seed: &mut Seed, done: &mut Done) {
    let text = std::fs::read_to_string(dir.join("input.yaml")).unwrap();
    for (name, variant) in variants::all(&text, seed) {
        done.written += 1;
        for (document, value) in variants::values(&variant).iter().enumerate() {
            let mut found = Vec::new();
            pods(value, &mut Vec::new(), &mut found);
            done.templates += found.len();
            for pod in &found {
                let inner = pod.iter().fold(value, |v, s| match s {
                    Segment::Key(k) => &v[k],
                    Segment::Index(i) => &v[i],
                });
                for ops in fixes(pod, inner) {
                    let edits: Vec<_> =
                        ops.into_iter().map(|op| DocEdit { document, op }).collect();
                    let limits = Limits::default();
                    let place = format!("{}, {name}", dir.display());
                    // `edit` holds its result against the edits before it gives it.
                    let after = edit(&variant, &edits, &limits)
                        .unwrap_or_else(|e| panic!("{place}: {e}\n{edits:?}\n{variant}"));
                    let again = edit(&after, &edits, &limits).unwrap();
                    assert_eq!(after, again, "{place}: a second run changes nothing");
                    let alone = edit_sound(&variant, &edits, &limits).unwrap();
                    assert_eq!(after, alone, "{place}: its document read alone");
                    done.applied += 1;
                }
            }
        }
    }
}

#[test]
fn every_fix_fits_every_golden_in_every_writing() {
    let Some(dir) = require("every_fix_fits_every_golden", "goldens", goldens()) else { return };
    let mut dirs: Vec<_> =
        dir.join("inject").read_dir().unwrap().map(|e| e.unwrap().path()).collect();
    dirs.retain(|dir| dir.join("input.yaml").is_file());
    dirs.sort();
    let halves: Vec<Done> = std::thread::scope(|scope| {
        let run = |half: Vec<PathBuf>| {
            scope.spawn(move || {
                let mut done = Done::default();
                half.iter().for_each(|dir| sweep(dir, &mut Seed(7), &mut done));
                done
            })
        };
        let second = dirs.split_off(dirs.len() / 2);
        [run(dirs), run(second)].map(|h| h.join().unwrap()).into()
    });
    let sum = |f: fn(&Done) -> usize| halves.iter().map(f).sum::<usize>();
    let (written, templates, applied) =
        (sum(|d| d.written), sum(|d| d.templates), sum(|d| d.applied));
    assert!(
        written >= 600 && templates >= 600 && applied >= 6_000,
        "{written} {templates} {applied}"
    );
}
