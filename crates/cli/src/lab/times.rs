//! What start-up costs by mode: how long the same application takes from its pod's start to its
//! first answer, and what its proxy holds in memory by then.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use sunup_lab::scenario::Scenario;

use super::play::{PATIENCE, Play, Setup, Way};

/// A mode, and what its pods took.
pub(crate) struct Row {
    mode: &'static str,
    /// Sorted.
    took: Vec<Duration>,
    restarts: u32,
    /// Resident memory of the proxy's container, KiB, the largest; none without a proxy.
    proxy_kib: Option<u64>,
}

impl Row {
    pub(crate) fn json(&self) -> Value {
        let ms: Vec<u128> = self.took.iter().map(Duration::as_millis).collect();
        json!({"mode": self.mode, "first_answer_ms": ms, "restarts": self.restarts,
            "proxy_kib": self.proxy_kib})
    }

    fn median(&self) -> Duration {
        self.took.get(self.took.len() / 2).copied().unwrap_or_default()
    }
}

const SCENARIO: &str = "app-before-proxy";
const MODES: &[(&str, Way)] = &[
    ("without a mesh", Way::None),
    ("Istio, classic sidecar", Way::Scenario),
    ("Istio, application held", Way::IstioHold),
    ("Istio, native sidecar", Way::IstioNative),
    ("Istio's proxy behind Sunup's start gate", Way::IstioGate),
    ("Istio's proxy on a node with Sunup's agent", Way::NodeAgent),
    ("Sunup", Way::Sunup),
    ("Sunup, start gate alone", Way::SunupGate),
];

/// One pod of every mode, all at the same time: they mostly wait, for the proxy and for the
/// kubelet's back-off.
pub(crate) fn measure(setup: &Setup, watched: bool) -> anyhow::Result<Vec<Row>> {
    let scenario = Scenario::find(SCENARIO)?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = MODES
            .iter()
            .map(|(mode, way)| {
                let scenario = &scenario;
                scope.spawn(move || {
                    let row = one(setup, scenario, mode, *way, 1);
                    if watched && let Ok(row) = &row {
                        use std::io::Write as _;
                        let took = row.median();
                        let _ = writeln!(std::io::stderr(), "  measured  {mode}: {took:?}");
                    }
                    row
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Modes one after another, so that none takes another's time; `config_ms` is what istiod's
/// stand-in takes to hand out the configuration.
pub(crate) fn one_by_one(setup: &Setup, config_ms: u64, runs: u32) -> anyhow::Result<Vec<Row>> {
    let mut scenario = Scenario::find(SCENARIO)?;
    scenario.proxy.config_ms = config_ms;
    MODES.iter().map(|(mode, way)| one(setup, &scenario, mode, *way, runs.max(1))).collect()
}

fn one(
    setup: &Setup,
    scenario: &Scenario,
    mode: &'static str,
    way: Way,
    runs: u32,
) -> anyhow::Result<Row> {
    let mut row = Row { mode, took: Vec::new(), restarts: 0, proxy_kib: None };
    // Of the stand-in for Envoy nothing follows about Envoy.
    let meant = !way.is_istio() || setup.envoy.is_some();
    for _ in 0..runs {
        let play = Play::start(setup, scenario, &scenario.manifests, way)?;
        let took = play.first_answer(&scenario.container, PATIENCE);
        let pod = &play.subjects()[0];
        let words = || anyhow::anyhow!("{mode}: no answer came:\n{}", play.last_words(pod));
        row.took.push(took.ok_or_else(words)?);
        row.restarts = row.restarts.max(pod.status().restarts());
        row.proxy_kib = row.proxy_kib.max(pod.memory_kib("istio-proxy").filter(|_| meant));
    }
    row.took.sort_unstable();
    Ok(row)
}

/// For people.
pub(crate) fn table(rows: &[Row], setup: &Setup, config_ms: u64) -> String {
    let proxy = match &setup.envoy {
        Some(_) => "Istio's proxy is the real Envoy",
        None => "Istio's proxy is a stand-in",
    };
    let mut out = format!(
        "\nFrom the pod's start to the application's first answer, the same manifests each time\n\
         ({proxy}; istiod's time to hand out the configuration is set to {:.1} s):\n",
        Duration::from_millis(config_ms).as_secs_f64()
    );
    for row in rows {
        let seconds = row.median().as_secs_f64();
        let _ = write!(out, "  {:<42} {seconds:6.2} s", row.mode);
        if let ([least, .., most], true) = (row.took.as_slice(), row.took.len() > 1) {
            let _ = write!(out, "  ({:.2} to {:.2})", least.as_secs_f64(), most.as_secs_f64());
        }
        match row.restarts {
            0 => {}
            1 => out += "  after 1 restart",
            n => {
                let _ = write!(out, "  after {n} restarts");
            }
        }
        if let Some(kib) = row.proxy_kib {
            let _ = write!(out, "  proxy {:.1} MB", kib as f64 / 1024.0);
        }
        out.push('\n');
    }
    out
}
