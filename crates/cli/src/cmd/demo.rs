//! `sunup demo`: faults happen for real, the doctor names them from what they leave behind, its
//! fixes are applied, and the same pods come up; then the unfixed manifests under Sunup.

mod story;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;
use sunup_lab::BackOffTimes;
use sunup_lab::scenario::Scenario;

use crate::global::{FINDINGS, Global};
use crate::lab::play::Setup;
use crate::lab::{machine, times};
use crate::out;
use story::Story;

/// How long istiod takes in the scenario that is measured; its file says it.
fn configuration_ms() -> u64 {
    Scenario::find(SHOWN[0]).map_or(0, |scenario| scenario.proxy.config_ms)
}

/// What is shown unless somebody chooses: the faults that the project was founded on.
const SHOWN: [&str; 3] = ["app-before-proxy", "init-before-proxy-vault", "gateway-privileged-port"];

/// Shows start-up faults, their diagnosis, their fixes, and how Sunup avoids them: in a minute,
/// on this machine, without root, cluster or network
///
/// Real processes in real network namespaces, run as a kubelet runs pods. Everything that is
/// printed was measured in this run. The stand-ins for Istio's proxy, Vault, databases and
/// applications are named as such; the proxy's is the real Envoy where SUNUP_ENVOY names it or it
/// is on the PATH.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sunup demo
  sunup demo --keep /tmp/sunup-demo && sunup doctor /tmp/sunup-demo/app-before-proxy/fault
  sunup demo --scenario init-before-proxy-cni --scenario init-before-proxy-left-over
  sunup demo --format json

Exit codes: 0 all went as claimed; 1 something did not; 2 no lab can be had here.")]
pub(crate) struct Args {
    /// Scenarios instead of the three founding faults; `sunup lab list` has them
    #[arg(long, value_name = "SCENARIO")]
    scenario: Vec<String>,
    /// Keep what was recorded, and the manifests, in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,
    /// Use the stand-in for Istio's proxy even where Envoy is installed
    #[arg(long)]
    no_envoy: bool,
    /// Leave out the table of times
    #[arg(long)]
    no_times: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    // Paths are the user's, before anything changes its directory.
    machine::inside(|state| show(&args, global, state))
}

fn show(args: &Args, global: &Global, state: &Path) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let setup = Setup {
        state: state.to_owned(),
        envoy: machine::envoy().filter(|_| !args.no_envoy),
        seed: 1,
        back_off: BackOffTimes::default(),
    };
    let names: Vec<String> = match args.scenario.as_slice() {
        [] => SHOWN.map(str::to_owned).to_vec(),
        chosen => chosen.to_vec(),
    };
    let folder = match &args.keep {
        Some(folder) => folder.clone(),
        None => state.join("evidence"),
    };
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let text = args.format == Format::Text;
    if text {
        out::print(global, &story::opening(&setup, names.len()))?;
    }
    let mut scenarios = Vec::new();
    for name in &names {
        scenarios.push((name.clone(), Scenario::find(name)?));
    }
    let watched = text && std::io::stderr().is_terminal();
    let stories = story::all(&setup, &scenarios, &folder, watched);
    let times = if args.no_times { Ok(Vec::new()) } else { times::measure(&setup, watched) };
    let mut good = times.is_ok();
    let mut all = Vec::new();
    for story in stories {
        good &= story.problems.is_empty();
        if text {
            out::print(global, &story.text(args.keep.as_deref()))?;
        }
        all.push(story);
    }
    if text {
        match &times {
            Ok(times) if times.is_empty() => {}
            Ok(times) => out::print(global, &times::table(times, &setup, configuration_ms()))?,
            Err(error) => {
                out::print(global, &format!("\nThe times could not be measured: {error:#}\n"))?
            }
        }
        out::print(global, &story::closing(&all, begun.elapsed(), args.keep.as_deref()))?;
    } else {
        let rows = times.as_ref().map(|rows| rows.iter().map(times::Row::json).collect::<Vec<_>>());
        let value = json!({"schema": "sunup.demo/v1", "as_claimed": good,
            "seconds": begun.elapsed().as_secs_f64(),
            "proxy_of_istio": if setup.envoy.is_some() { "envoy" } else { "stand-in" },
            "scenarios": all.iter().map(Story::json).collect::<Vec<_>>(),
            "times": rows.unwrap_or_default()});
        out::print(global, &(serde_json::to_string_pretty(&value)? + "\n"))?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}
