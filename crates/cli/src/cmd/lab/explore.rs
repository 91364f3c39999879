//! `sunup lab explore`: a scenario's pods many times over, in every order of their steps.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sunup_lab::scenario::Scenario;
use sunup_lab::{BackOffTimes, PodRecord, Random, Steps};

use super::duration::duration;
use crate::global::{FINDINGS, Global};
use crate::lab::machine;
use crate::lab::play::{Play, Setup, Way};
use crate::out;

/// Options of `sunup lab explore`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A scenario that ships, or a TOML file
    scenario: String,
    /// How many pods
    #[arg(long, default_value_t = 100, value_name = "N")]
    runs: u64,
    /// The same seed gives the same orders and delays
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Who injects the pods, and how
    #[arg(long, value_enum, default_value_t, value_name = "WAY")]
    inject: Way,
    /// The longest delay of a container's program; containers are put in every order within it
    #[arg(long, default_value = "400ms", value_name = "TIME", value_parser = duration)]
    within: Duration,
    /// Pods at a time
    #[arg(long, default_value_t = 16, value_name = "N")]
    at_once: u64,
    /// Use the stand-in for Istio's proxy even where Envoy is installed
    #[arg(long)]
    no_envoy: bool,
    /// Fail (exit code 1) where a first connection failed
    #[arg(long)]
    none_may_fail: bool,
}

/// How the application's first connection went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Answered,
    Refused,
    Reset,
    TimedOut,
    Other,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Refused => "refused",
            Outcome::Reset => "reset",
            Outcome::TimedOut => "timed out",
            Outcome::Other => "failed otherwise",
        }
    }

    /// Of the first line that tells of a connection.
    fn of(record: &PodRecord, container: &str) -> Option<Self> {
        let mut lines = record.lines.iter().filter(|l| &*l.container == container);
        lines.find_map(|line| {
            let text = &line.text;
            Some(match text {
                _ if text.contains("first answer") => Outcome::Answered,
                _ if text.contains("connection refused") => Outcome::Refused,
                _ if text.contains("reset by peer") || text.contains("EOF") => Outcome::Reset,
                _ if text.contains("timeout") => Outcome::TimedOut,
                _ if text.contains("cannot reach") => Outcome::Other,
                _ => return None,
            })
        })
    }
}

#[derive(Default)]
struct Counts {
    outcomes: BTreeMap<Outcome, u64>,
    times_ms: Vec<u128>,
    failed: Vec<String>,
}

pub(crate) fn run(args: &Args, global: &Global, state: &Path) -> anyhow::Result<ExitCode> {
    let mut scenario = Scenario::find(&args.scenario)?;
    // The delays are drawn here; the stand-in's own wait would only shift them.
    scenario.proxy.config_ms = 0;
    let setup = Setup {
        state: PathBuf::from(state),
        envoy: machine::envoy().filter(|_| !args.no_envoy),
        seed: args.seed,
        back_off: BackOffTimes::default(),
    };
    let begun = Instant::now();
    let play = Play::stage(&setup, &scenario, args.inject)?;
    let counts = Mutex::new(Counts::default());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..args.at_once.clamp(1, 256) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= args.runs {
                        return;
                    }
                    one(args, &scenario, &play, n, &counts);
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut text = format!(
        "{} runs of {}, seed {}, in {:.0} s: the first connection\n",
        args.runs,
        args.scenario,
        args.seed,
        begun.elapsed().as_secs_f64()
    );
    for (outcome, count) in &counts.outcomes {
        writeln!(text, "  {:<17} {count}", outcome.word())?;
    }
    let mut times = counts.times_ms;
    times.sort_unstable();
    if let (Some(least), Some(most)) = (times.first(), times.last()) {
        let median = times[times.len() / 2];
        writeln!(text, "  pod start to first answer: {least} to {most} ms, median {median} ms")?;
    }
    if let Some(agent) = &play.agent {
        let handed = agent.handed_over();
        writeln!(text, "  the node agent handed {handed} connection(s) over to a proxy")?;
    }
    for order in counts.failed.iter().take(5) {
        writeln!(text, "  such as {order}")?;
    }
    out::print(global, &text)?;
    let answered = counts.outcomes.get(&Outcome::Answered).copied().unwrap_or(0);
    let failed = args.none_may_fail && answered < args.runs;
    Ok(if failed { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
}

/// One pod: the n-th order of its containers, with gaps drawn at random.
fn one(args: &Args, scenario: &Scenario, play: &Play, n: u64, counts: &Mutex<Counts>) {
    let mut random = Random::new(args.seed.wrapping_mul(1_000_003).wrapping_add(n));
    let ran = play.run_another(scenario, args.inject, |names| {
        let steps =
            Steps { program: delays(names, n, args.within, &mut random), ..Steps::default() };
        let told: Vec<String> = steps
            .program
            .iter()
            .map(|(name, delay)| format!("{name} after {} ms", delay.as_millis()))
            .collect();
        (steps, told.join(", "))
    });
    let mut counts = counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (outcome, order, times) = match ran {
        Ok((record, order)) => {
            let outcome = Outcome::of(&record, &scenario.container).unwrap_or(Outcome::Other);
            if outcome == Outcome::Answered
                && let Some(at) = record.first_line(&scenario.container, "first answer")
                && let Some(start) = record.now().and_then(|s| s.start_time)
            {
                counts.times_ms.push(at.duration_since(start.0).unsigned_abs().as_millis());
            }
            (outcome, order, failed_at(&record, &scenario.container))
        }
        Err(error) => (Outcome::Other, format!("{error:#}"), String::new()),
    };
    *counts.outcomes.entry(outcome).or_default() += 1;
    if outcome != Outcome::Answered {
        counts.failed.push(format!("run {n}: {order}: {}{times}", outcome.word()));
    }
}

/// When the first connection failed, and when the proxy was ready: on a machine that is short of time
/// the one may have lost its patience before the other was there.
fn failed_at(record: &PodRecord, container: &str) -> String {
    let Some(start) = record.now().and_then(|status| status.start_time) else {
        return String::new();
    };
    let after = |container: &str, text: &str| {
        let at = record.first_line(container, text)?;
        Some(at.duration_since(start.0).as_millis())
    };
    let of =
        |at: Option<i128>, never: &str| at.map_or(never.to_owned(), |ms| format!("at {ms} ms"));
    let failed = of(after(container, "cannot reach"), "");
    let ready = of(after("istio-proxy", "proxy is ready"), "never");
    format!(" {failed}; istio-proxy was ready {ready}")
}

/// The n-th permutation of the containers as starting times within a span.
fn delays(
    names: &[String],
    n: u64,
    within: Duration,
    random: &mut Random,
) -> BTreeMap<String, Duration> {
    let mut left: Vec<&String> = names.iter().collect();
    let mut order = Vec::new();
    let mut n = n;
    while !left.is_empty() {
        let count = left.len() as u64;
        let at = usize::try_from(n % count).unwrap_or(0);
        n /= count;
        order.push(left.remove(at));
    }
    let span = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
    let mut at: Vec<u64> = order.iter().map(|_| random.below(span + 1)).collect();
    at.sort_unstable();
    order.into_iter().cloned().zip(at.into_iter().map(Duration::from_micros)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_few_containers_comes_up() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let orders: std::collections::BTreeSet<Vec<String>> = (0..6)
            .map(|n| {
                let mut random = Random::new(n);
                let delays = delays(&names, n, Duration::from_secs(1), &mut random);
                let mut order: Vec<_> = delays.into_iter().collect();
                order.sort_by_key(|(_, delay)| *delay);
                order.into_iter().map(|(name, _)| name).collect()
            })
            .collect();
        assert_eq!(orders.len(), 6);
    }
}
