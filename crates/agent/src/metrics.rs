//! What the agent counts, and how Prometheus reads it. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Bounds of the histograms, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// How long things took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

impl Histogram {
    /// One took so long.
    pub fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.counts[at] += 1;
        }
        self.count += 1;
        self.seconds += seconds;
    }

    fn write(&self, name: &str, out: &mut String) -> std::fmt::Result {
        let mut sum = 0;
        for (bound, count) in BOUNDS.iter().zip(self.counts) {
            sum += count;
            writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {sum}")?;
        }
        writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {}", self.count)?;
        writeln!(out, "{name}_sum {}", self.seconds)?;
        writeln!(out, "{name}_count {}", self.count)
    }
}

/// All that is counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters {
    /// Pods by mode and reason, now.
    pub pods: BTreeMap<(&'static str, &'static str), u64>,
    /// Connections that wait, now.
    pub held: u64,
    /// Connections that were handed over.
    pub handed_over: u64,
    /// Connections that were reset because nobody came.
    pub expired: u64,
    /// Things that could not be done.
    pub troubles: u64,
    /// From the first connection that waits to the hand-over.
    pub waits: Histogram,
    /// Calls of the network plugin, by verb.
    pub calls: BTreeMap<&'static str, u64>,
    /// How long an ADD took here.
    pub adds: Histogram,
}

impl Counters {
    /// As Prometheus reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("writing to a String cannot fail");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
        };
        let name = sunup_api::node::PODS;
        head(out, name, "gauge", "Pods by what they got, and why.")?;
        for ((mode, reason), count) in &self.pods {
            writeln!(out, "{name}{{mode=\"{mode}\",reason=\"{reason}\"}} {count}")?;
        }
        for (name, kind, help, value) in [
            ("sunup_gate_held", "gauge", "Connections that wait for their proxy.", self.held),
            (
                "sunup_gate_handed_over_total",
                "counter",
                "Connections that waited and were handed over.",
                self.handed_over,
            ),
            (
                "sunup_gate_expired_total",
                "counter",
                "Connections that were reset since no proxy came.",
                self.expired,
            ),
            (
                "sunup_gate_troubles_total",
                "counter",
                "What could not be done; the log has the words.",
                self.troubles,
            ),
        ] {
            head(out, name, kind, help)?;
            writeln!(out, "{name} {value}")?;
        }
        let name = "sunup_gate_wait_seconds";
        head(out, name, "histogram", "From the first connection that waits to the hand-over.")?;
        self.waits.write(name, out)?;
        let name = "sunup_gate_cni_calls_total";
        head(out, name, "counter", "Calls of the network plugin.")?;
        for (verb, count) in &self.calls {
            writeln!(out, "{name}{{verb=\"{verb}\"}} {count}")?;
        }
        let name = "sunup_gate_cni_add_seconds";
        head(out, name, "histogram", "How long an added pod took here.")?;
        self.adds.write(name, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_help_and_histograms_add_up() {
        let mut counters = Counters::default();
        counters.pods.insert(("stand-in", "proxy-shares-port"), 3);
        counters.calls.insert("add", 4);
        counters.waits.add(Duration::from_millis(30));
        counters.waits.add(Duration::from_secs(100));
        let text = counters.text();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
            let help = format!("# HELP {} ", base.unwrap_or(name));
            assert!(text.contains(&help), "{line}");
        }
        assert!(text.contains("sunup_gate_pods{mode=\"stand-in\",reason=\"proxy-shares-port\"} 3"));
        assert!(text.contains("sunup_gate_wait_seconds_bucket{le=\"0.05\"} 1\n"));
        assert!(text.contains("sunup_gate_wait_seconds_bucket{le=\"60\"} 1\n"));
        assert!(text.contains("sunup_gate_wait_seconds_bucket{le=\"+Inf\"} 2\n"));
    }
}
