//! `sunup node status`: a table, or JSON.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use sunup_agent::plugin;
use sunup_api::show;
use sunup_node::cni;
use sunup_node::wire::{PodStatus, Status};

use crate::global::Global;
use crate::out;

/// Options of `sunup node status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The agent's socket
    #[arg(long, value_name = "PATH", default_value = cni::SOCKET)]
    socket: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Only say whether the agent answers, by the exit code: what probes ask
    #[arg(long, conflicts_with = "json")]
    alive: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let nobody = || format!("no agent answers at {}: is it root who asks?", args.socket.display());
    if args.alive {
        plugin::alive(&args.socket).with_context(nobody)?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = plugin::status(&args.socket).with_context(nobody)?;
    let text = if args.json {
        show::json(&serde_json::to_string_pretty(&status)?).into_owned() + "\n"
    } else {
        table(&status)?
    };
    out::print(global, &text)?;
    Ok(ExitCode::SUCCESS)
}

fn table(status: &Status) -> Result<String, std::fmt::Error> {
    let rows: Vec<[String; 5]> = status.pods.iter().map(row).collect();
    let head = ["POD", "GETS", "PORTS", "HANDED OVER", "WHY"].map(str::to_owned);
    let width = |at: usize| rows.iter().chain([&head]).map(|r| r[at].chars().count()).max();
    let widths: Vec<usize> = (0..4).map(|at| width(at).unwrap_or(0)).collect();
    let mut out = format!("agent {}, kernel {}\n", status.version, status.kernel);
    for row in [&head].into_iter().chain(&rows) {
        for (cell, width) in row.iter().zip(&widths) {
            let pad = width.saturating_sub(cell.chars().count());
            write!(out, "{cell}{:pad$}  ", "")?;
        }
        writeln!(out, "{}", row[4])?;
    }
    Ok(out)
}

fn row(pod: &PodStatus) -> [String; 5] {
    let ports = pod.ports.iter().map(|port| {
        let family = if port.ipv6 { "/6" } else { "" };
        let held = if port.held > 0 { format!(" ({} wait)", port.held) } else { String::new() };
        format!("{}{family} {}{held}", port.port, port.phase)
    });
    let ports: Vec<String> = ports.collect();
    let handed: u64 = pod.ports.iter().map(|port| port.handed_over).sum();
    let lost: u64 = pod.ports.iter().map(|port| port.expired).sum();
    let lost = if lost > 0 { format!(", {lost} reset") } else { String::new() };
    [
        show::line(&format!("{}/{}", pod.pod.namespace, pod.pod.name)),
        pod.mode.clone(),
        if ports.is_empty() { "–".to_owned() } else { ports.join(", ") },
        format!("{handed}{lost}"),
        show::line(&pod.why),
    ]
}
