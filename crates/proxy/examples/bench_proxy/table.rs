//! What was measured, as Markdown: medians over the rounds, and each contender against HAProxy of
//! the same kind, round by round.

use std::time::Duration;

use crate::contenders::{Contender, Way};
use crate::load::Outcome;

/// One contender in one round.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) requests: Rate,
    pub(crate) connections: Rate,
    pub(crate) stream: Option<Rate>,
    pub(crate) memory: Option<Memory>,
}

#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) idle: Option<f64>,
    pub(crate) full: Option<f64>,
}

#[derive(Debug, Default)]
pub(crate) struct Rate {
    per_second: f64,
    /// Processor time of the proxy for each, in microseconds.
    cpu: Option<f64>,
    /// In milliseconds.
    p50: f64,
    p99: f64,
    /// Of the load generator's core.
    busy: f64,
}

impl Rate {
    pub(crate) fn new(outcome: Outcome, cpu: Option<(Duration, Duration)>) -> Self {
        let at = |n: usize| {
            let time = outcome.times.get(outcome.times.len() * n / 100);
            time.map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
        };
        Self {
            per_second: outcome.served / outcome.wall.as_secs_f64(),
            cpu: cpu.map(|(after, before)| {
                after.saturating_sub(before).as_secs_f64() * 1e6 / outcome.served
            }),
            p50: at(50),
            p99: at(99),
            busy: outcome.busy,
        }
    }
}

/// The middle one of some values.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn print(contenders: &[Contender], all: &[Vec<Measured>]) {
    println!(
        "| way | requests/s | p50 | p99 | CPU per request | new connections/s | CPU per connection \
         | CPU per GB | idle RSS | RSS, 9,000 idle connections | core 1 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (contender, rounds) in contenders.iter().zip(all) {
        row(contender, rounds);
    }
    println!(
        "\n| against HAProxy | requests/s | CPU per request | new connections/s | CPU per connection |"
    );
    println!("|---|---|---|---|---|");
    for (contender, rounds) in contenders.iter().zip(all) {
        let way = if contender.way == Way::Captured { Way::Tcp } else { contender.way };
        let peer = contenders.iter().position(|c| c.way == way && c.name.starts_with("HAProxy"));
        if let Some(peer) = peer.filter(|p| contenders[*p].name != contender.name) {
            against(contender, rounds, &all[peer]);
        }
    }
}

fn row(contender: &Contender, rounds: &[Measured]) {
    let of = |get: &dyn Fn(&Measured) -> Option<f64>| median(rounds.iter().filter_map(get));
    let text = |value: f64, digits: usize, unit: &str| {
        if value.is_nan() { "–".to_owned() } else { format!("{value:.digits$}{unit}") }
    };
    let memory = rounds.iter().find_map(|m| m.memory.as_ref());
    let mb = |get: fn(&Memory) -> Option<f64>| {
        memory.and_then(get).map_or_else(|| "–".to_owned(), |mb| format!("{mb:.1} MB"))
    };
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} / {} |",
        contender.name,
        thousands(of(&|m| Some(m.requests.per_second))),
        text(of(&|m| Some(m.requests.p50)), 1, " ms"),
        text(of(&|m| Some(m.requests.p99)), 1, " ms"),
        text(of(&|m| m.requests.cpu), 1, " µs"),
        thousands(of(&|m| Some(m.connections.per_second))),
        text(of(&|m| m.connections.cpu), 0, " µs"),
        // Microseconds a byte.
        text(of(&|m| m.stream.as_ref()?.cpu) * 1e6, 0, " ms"),
        mb(|m| m.idle),
        mb(|m| m.full),
        text(of(&|m| Some(m.requests.busy * 100.0)), 0, " %"),
        text(of(&|m| Some(m.connections.busy * 100.0)), 0, " %"),
    );
}

fn against(contender: &Contender, rounds: &[Measured], peer: &[Measured]) {
    let ratio = |get: fn(&Measured) -> Option<f64>| {
        let mut all: Vec<f64> =
            rounds.iter().zip(peer).filter_map(|(a, b)| Some(get(a)? / get(b)?)).collect();
        all.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (all.first(), all.last()) else { return "–".to_owned() };
        format!("{:.2} ({least:.2}–{most:.2})", median(all.iter().copied()))
    };
    println!(
        "| {} | {} | {} | {} | {} |",
        contender.name,
        ratio(|m| Some(m.requests.per_second)),
        ratio(|m| m.requests.cpu),
        ratio(|m| Some(m.connections.per_second)),
        ratio(|m| m.connections.cpu),
    );
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
