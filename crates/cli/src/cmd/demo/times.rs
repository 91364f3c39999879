//! How long the same application takes from its pod's start to its first answer, by mode.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use sunup_lab::scenario::Scenario;

use crate::cmd::lab::play::{PATIENCE, Play, Setup, Way};

/// A mode, and what it took.
pub(super) struct Row {
    mode: &'static str,
    took: Duration,
    restarts: u32,
}

impl Row {
    pub(super) fn json(&self) -> Value {
        json!({"mode": self.mode, "first_answer_ms": self.took.as_millis(), "restarts": self.restarts})
    }
}

const SCENARIO: &str = "app-before-proxy";
const MODES: &[(&str, Way)] = &[
    ("without a mesh", Way::None),
    ("Istio, classic sidecar", Way::Scenario),
    ("Istio, application held", Way::IstioHold),
    ("Istio, native sidecar", Way::IstioNative),
    ("Istio's proxy behind Sunup's start gate", Way::IstioGate),
    ("Sunup", Way::Sunup),
    ("Sunup, start gate alone", Way::SunupGate),
];

/// Runs the same manifests in every mode, one after another where they are quick, so that they
/// don't take each other's time.
pub(super) fn measure(setup: &Setup, watched: bool) -> anyhow::Result<Vec<Row>> {
    let scenario = Scenario::find(SCENARIO)?;
    // The slow ones mostly wait: for the proxy, and for the kubelet's back-off.
    std::thread::scope(|scope| {
        let threads: Vec<_> = MODES
            .iter()
            .map(|(mode, way)| {
                let scenario = &scenario;
                scope.spawn(move || {
                    let row = one(setup, scenario, mode, *way);
                    if watched && let Ok(row) = &row {
                        use std::io::Write as _;
                        let _ = writeln!(std::io::stderr(), "  measured  {mode}: {:?}", row.took);
                    }
                    row
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(row) => row,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn one(setup: &Setup, scenario: &Scenario, mode: &'static str, way: Way) -> anyhow::Result<Row> {
    let play = Play::start(setup, scenario, &scenario.manifests, way)?;
    let took = play.first_answer(&scenario.container, PATIENCE);
    let pod = &play.subjects()[0];
    let words = || anyhow::anyhow!("{mode}: no answer came:\n{}", play.last_words(pod));
    let took = took.ok_or_else(words)?;
    Ok(Row { mode, took, restarts: pod.status().restarts() })
}

pub(super) fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "\nFrom the pod's start to the application's first answer, the same manifests each time\n\
         (istiod's time to hand out the configuration is set by the scenario: 2.5 s):\n",
    );
    for row in rows {
        let restarts = match row.restarts {
            0 => String::new(),
            1 => "  after 1 restart".to_owned(),
            n => format!("  after {n} restarts"),
        };
        let seconds = row.took.as_secs_f64();
        let _ = writeln!(out, "  {:<42} {seconds:6.2} s{restarts}", row.mode);
    }
    out
}
