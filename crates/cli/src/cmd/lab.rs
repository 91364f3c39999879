//! `sunup lab`: pods run as a kubelet runs them, and the first steps of their processes.

mod duration;
mod explore;
mod kubelet;
mod times;
mod up;

pub(crate) use duration::duration;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use sunup_lab::scenario::{SHIPPED, Scenario};

use crate::global::{Color, Global};
use crate::lab::machine::{INSIDE, PART, inside};
use crate::out;

/// Runs what the lab starts as containers, before the command tree is built: each is started
/// often, and a container's process must have a single thread.
pub(crate) fn shortcut() -> Option<(Global, anyhow::Result<ExitCode>)> {
    let mut args = std::env::args_os().skip(1);
    let code = match args.next()?.to_str()? {
        INSIDE => sunup_lab::become_container(Path::new(&args.next()?)),
        PART => {
            let words: Vec<String> = args.map(|word| word.to_string_lossy().into_owned()).collect();
            let (name, rest) = words.split_first()?;
            sunup_lab::parts::run(name, rest)
        }
        _ => return None,
    };
    let code = ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    Some((Global { color: Color::Auto }, Ok(code)))
}

/// Runs pods as a kubelet does, in network namespaces, without root or a cluster
///
/// A scenario is a TOML file: ordinary manifests, which programs their images stand for, and what
/// is late or fails. Those that ship are listed by `sunup lab list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sunup lab list
  sunup lab up app-before-proxy
  sunup lab up app-before-proxy --inject sunup --keep /tmp/evidence
  sunup lab up ./mine.toml --for 30s
  sunup lab explore app-before-proxy --runs 200 --seed 7 --inject sunup-gate
  sunup lab times --runs 10
  sunup lab kubelet app-before-proxy --context dev --write-kubeconfig lab.kubeconfig")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists the scenarios that ship, and what each needs
    List,
    /// Runs a scenario's pods and shows what happens to them
    Up(up::Args),
    /// Runs a scenario's pods many times, in all orders of their steps, and counts what came of it
    Explore(explore::Args),
    /// Measures what start-up costs by mode: time to the first answer, memory of the proxy
    Times(times::Args),
    /// Runs a cluster's pods here, and tells its API server of them as a kubelet does
    Kubelet(Box<kubelet::Args>),
}

pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List => list(global),
        Action::Up(args) => inside(|state| up::run(&args, global, state)),
        Action::Explore(args) => inside(|state| explore::run(&args, global, state)),
        Action::Times(args) => inside(|state| times::run(&args, global, state)),
        Action::Kubelet(args) => inside(|state| kubelet::run(&args, global, state)),
    }
}

fn list(global: &Global) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    for (id, _) in SHIPPED {
        let scenario = Scenario::find(id).context("a scenario that ships")?;
        let rule = scenario.rule.as_deref().unwrap_or("nothing wrong");
        let needs = if scenario.needs.is_empty() {
            String::new()
        } else {
            format!(" (needs {})", scenario.needs.join(", "))
        };
        writeln!(text, "{id:<28} {rule:<24} {}{needs}", scenario.title)?;
    }
    out::print(global, &text)?;
    Ok(ExitCode::SUCCESS)
}
