//! What Prometheus reads: findings that last, starts by how their mesh starts them, and how watching
//! itself goes. Labels are bounded by what is wrong, never by pods.

use std::fmt::Write as _;

use crate::starts::BOUNDS;
use crate::watch::Watch;

/// Findings that are shown at most; the number of all of them is another metric.
const SHOWN: usize = 1000;

/// What only the one who asks the cluster can count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether all pods are known and heard of.
    pub hears: bool,
    /// What could not be heard of, so far.
    pub troubles: u64,
    /// Events that were recorded.
    pub recorded: u64,
    /// Events that could not be.
    pub unrecorded: u64,
}

/// The text that Prometheus scrapes.
#[must_use]
pub fn text(watch: &Watch, health: &Health) -> String {
    let mut out = String::with_capacity(4096);
    write(watch, health, &mut out).expect("writing to a String cannot fail");
    out
}

fn write(watch: &Watch, health: &Health, out: &mut String) -> std::fmt::Result {
    let name = "sunup_finding";
    family(out, name, "gauge", "A start-up fault that was found and lasts.")?;
    for (key, open) in watch.open().take(SHOWN) {
        let workload = &key.workload;
        let labels = [
            ("rule", key.rule.clone()),
            ("cause", key.cause.clone().unwrap_or_default()),
            ("namespace", workload.namespace.clone().unwrap_or_default()),
            ("kind", workload.kind.clone()),
            ("name", workload.name.clone()),
            ("verdict", word(serde_json::to_value(open.verdict).ok())),
            ("severity", word(serde_json::to_value(open.severity).ok())),
        ];
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        writeln!(out, "{name}{{{}}} 1", labels.join(","))?;
    }
    let name = "sunup_watch_start_seconds";
    family(
        out,
        name,
        "histogram",
        "From taken by the kubelet to ready, by how the mesh starts it.",
    )?;
    for (mode, starts) in watch.starts() {
        let mode = mode.word();
        let mut sum = 0;
        for (bound, count) in BOUNDS.iter().zip(starts.counts) {
            sum += count;
            writeln!(out, "{name}_bucket{{mode=\"{mode}\",le=\"{bound}\"}} {sum}")?;
        }
        writeln!(out, "{name}_bucket{{mode=\"{mode}\",le=\"+Inf\"}} {}", starts.count)?;
        writeln!(out, "{name}_sum{{mode=\"{mode}\"}} {}", starts.seconds)?;
        writeln!(out, "{name}_count{{mode=\"{mode}\"}} {}", starts.count)?;
    }
    let counts = watch.counts();
    let name = "sunup_watch_signals_total";
    family(out, name, "counter", "Reasons to look at a pod, by kind.")?;
    for (kind, count) in &counts.signals {
        writeln!(out, "{name}{{kind=\"{kind}\"}} {count}")?;
    }
    let (pods, coming) = watch.pods();
    let gauge = |value: usize| value as u64;
    for (name, kind, help, value) in [
        ("findings", "gauge", "Faults that were found and last.", gauge(watch.open().count())),
        ("pods", "gauge", "Pods that are known.", gauge(pods)),
        ("pods_coming", "gauge", "Pods that have not come up yet.", gauge(coming)),
        ("hears", "gauge", "Whether pods are heard of just now.", u64::from(health.hears)),
        ("looks_total", "counter", "Looks at a pod's evidence.", counts.looks),
        (
            "looks_failed_total",
            "counter",
            "Looks for which the cluster could not be asked.",
            counts.failed,
        ),
        ("looks_left_out_total", "counter", "Looks that an owner's rate forbade.", counts.left_out),
        (
            "missed_total",
            "counter",
            "Troubles whose pods were gone before they were looked at.",
            counts.missed,
        ),
        (
            "unexplained_total",
            "counter",
            "Troubles in which no fault was found.",
            counts.unexplained,
        ),
        ("told_total", "counter", "Findings that were told.", counts.told),
        (
            "hushed_total",
            "counter",
            "Findings that a workload's rate kept from being told.",
            counts.hushed,
        ),
        (
            "troubles_total",
            "counter",
            "What could not be heard of; the log has the words.",
            health.troubles,
        ),
        ("events_total", "counter", "Events that were recorded.", health.recorded),
        ("events_failed_total", "counter", "Events that could not be recorded.", health.unrecorded),
    ] {
        let name = format!("sunup_watch_{name}");
        family(out, &name, kind, help)?;
        writeln!(out, "{name} {value}")?;
    }
    Ok(())
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// A label's value, as the text format has it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A word as the report's contract spells it.
fn word(value: Option<serde_json::Value>) -> String {
    value.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{At, Pod, Settings};

    #[test]
    fn every_metric_has_help_and_starts_are_by_mode() {
        let mut watch = Watch::new(Settings::default());
        let at = At { now: Duration::from_secs(1), wall: "2026-11-23T10:00:00Z".parse().unwrap() };
        let proxy = json!({"name": "istio-proxy", "restartPolicy": "Always"});
        let held = json!({"name": "istio-proxy", "lifecycle": {"postStart": {}}});
        let app = json!({"name": "app"});
        let ready = json!([{"type": "Ready", "status": "True",
            "lastTransitionTime": "2026-11-23T10:00:04Z"}]);
        for (uid, spec) in [
            ("a", json!({"initContainers": [proxy], "containers": [app]})),
            ("b", json!({"containers": [held, app]})),
            ("c", json!({"containers": [app, held]})),
            ("d", json!({"containers": [app]})),
            ("e", json!({"containers": 7})),
        ] {
            for conditions in [json!([]), ready.clone(), ready.clone()] {
                watch.pod(
                    Pod::read(&json!({"metadata": {"uid": uid, "name": uid}, "spec": spec,
                        "status": {"startTime": "2026-11-23T10:00:00Z",
                            "conditions": conditions}})),
                    at,
                );
            }
        }
        let text = text(&watch, &Health { hears: true, ..Health::default() });
        for line in [
            "sunup_watch_start_seconds_count{mode=\"native\"} 1",
            "sunup_watch_start_seconds_bucket{mode=\"hold\",le=\"3\"} 0",
            "sunup_watch_start_seconds_bucket{mode=\"hold\",le=\"5\"} 1",
            "sunup_watch_start_seconds_count{mode=\"classic\"} 1",
            "sunup_watch_start_seconds_count{mode=\"none\"} 2",
            "sunup_watch_hears 1",
            "sunup_watch_pods 5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
            assert!(text.contains(&format!("# HELP {} ", base.unwrap_or(name))), "{line}");
        }
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
