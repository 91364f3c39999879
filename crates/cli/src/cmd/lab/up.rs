//! `sunup lab up`: one scenario, watched.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sunup_lab::scenario::Scenario;
use sunup_lab::{BackOffTimes, export};

use super::play::{Play, SETTLE, Setup, Way};
use crate::cmd::Global;
use crate::out;

/// Options of `sunup lab up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A scenario that ships, or a TOML file
    scenario: String,
    /// Who injects the pods, and how
    #[arg(long, value_enum, default_value_t, value_name = "WAY")]
    inject: Way,
    /// How long to watch, such as 30s; otherwise as long as the scenario says
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    watch: Option<Duration>,
    /// Write what a cluster would show into this folder: pods, events, logs, manifests
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Beside them a Cloud Logging export (with --keep)
    #[arg(long, requires = "keep")]
    cloud_logging: bool,
    /// For names, and for delays that are ranges
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Use the stand-in for Istio's proxy even where Envoy is installed
    #[arg(long)]
    no_envoy: bool,
}

/// `300ms`, `30s`, `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    let parsed = units.iter().find_map(|(unit, ms)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_millis(number * ms))
    });
    parsed.ok_or_else(|| format!("\"{text}\" is not a time such as 300ms, 30s or 2m"))
}

pub(crate) fn run(args: &Args, global: &Global, state: &Path) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::find(&args.scenario)?;
    let setup = Setup {
        state: state.to_owned(),
        envoy: super::envoy().filter(|_| !args.no_envoy),
        seed: args.seed,
        back_off: BackOffTimes::default(),
    };
    let play = Play::start(&setup, &scenario, &scenario.manifests, args.inject)?;
    if !play.lab.any_user() {
        out::note(global, ONE_USER);
    }
    match args.watch {
        Some(time) => watch(&play, time),
        None => {
            watch(&play, Duration::from_millis(scenario.observe_ms));
            if !play.seen(&scenario) {
                out::note(global, "what the scenario is about was not seen yet");
            }
            watch(&play, SETTLE);
        }
    }
    out::print(global, &table(&play))?;
    if let Some(folder) = &args.keep {
        play.export(folder, &scenario.manifests)?;
        if args.cloud_logging {
            let text = export::cloud_logging(&play.record.all());
            std::fs::write(folder.join("cloud-logging.jsonl"), text)?;
        }
        out::note(global, &format!("now: sunup doctor {}", folder.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is different where a plain user has no other ids.
pub(crate) const ONE_USER: &str = "one user id is all there is here: containers run as the lab's \
     own user, those that aren't root without capabilities, and the proxy is known by a socket \
     mark instead of by its uid 1337";

/// Lets time pass, with a line about the pods where somebody watches.
pub(crate) fn watch(play: &Play, time: Duration) {
    let end = Instant::now() + time;
    let shown = std::io::stderr().is_terminal();
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
        if shown {
            progress(play);
        }
        std::thread::sleep(left.min(Duration::from_millis(200)));
    }
    if shown {
        wipe();
    }
}

/// One line, written over the last one.
pub(crate) fn progress(play: &Play) {
    use std::io::Write as _;
    let of = |pod: &sunup_lab::PodHandle| {
        let (ready, word, restarts) = export::columns(&pod.status());
        format!("{} {ready} {word} {restarts}", pod.name().name)
    };
    let line = play.pods().map(of).collect::<Vec<_>>().join("  ");
    let line: String = line.chars().take(110).collect();
    let _ = write!(std::io::stderr(), "\r\x1b[2K  {line}");
}

/// Takes the line away.
pub(crate) fn wipe() {
    use std::io::Write as _;
    let _ = write!(std::io::stderr(), "\r\x1b[2K");
}

/// What `kubectl get pods -A` would print.
pub(crate) fn table(play: &Play) -> String {
    let mut text = format!(
        "{:<10} {:<36} {:<6} {:<24} {}\n",
        "NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS"
    );
    for pod in play.pods() {
        let (ready, word, restarts) = export::columns(&pod.status());
        let name = pod.name();
        let _ = writeln!(
            text,
            "{:<10} {:<36} {ready:<6} {word:<24} {restarts}",
            name.namespace, name.name
        );
    }
    text
}
