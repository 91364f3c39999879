//! `sunup lab up`: one scenario, watched.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sunup_lab::scenario::Scenario;
use sunup_lab::{BackOffTimes, export};

use super::duration::duration;
use crate::global::Global;
use crate::lab::play::{Play, SETTLE, Setup, Way};
use crate::lab::{machine, pods};
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

pub(crate) fn run(args: &Args, global: &Global, state: &Path) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::find(&args.scenario)?;
    let setup = Setup {
        state: state.to_owned(),
        envoy: machine::envoy().filter(|_| !args.no_envoy),
        seed: args.seed,
        back_off: BackOffTimes::default(),
    };
    let play = Play::start(&setup, &scenario, &scenario.manifests, args.inject)?;
    if !play.lab.any_user() {
        out::note(global, machine::ONE_USER);
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
    out::print(global, &pods::table(&play))?;
    if let Some(folder) = &args.keep {
        play.export(folder, &scenario.manifests)?;
        if args.cloud_logging {
            let text = export::cloud_logging(&play.record.all());
            std::fs::write(folder.join("cloud-logging.jsonl"), text)?;
        }
        let folder = sunup_api::shell::word(&folder.to_string_lossy());
        out::note(global, &format!("now: sunup doctor {folder}"));
    }
    Ok(ExitCode::SUCCESS)
}

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
