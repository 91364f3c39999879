//! `sunup request`: one request to the pod's agent; stands where `pilot-agent request` stood, in
//! preStop hooks above all.

use std::process::ExitCode;

use sunup_api::port;

use crate::global::{FINDINGS, Global};
use crate::out;

/// Sends one request to this pod's agent, as hooks do: `request POST drain`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// GET or POST
    method: String,
    /// Path, such as drain, quitquitquit or healthz/ready
    path: String,
    /// Port of the agent
    #[arg(long = "debug-port", default_value_t = port::AGENT, value_name = "PORT")]
    port: u16,
}

pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let answer = sunup_proxy::wait::request(args.port, &args.method, &args.path);
    let (status, body) = answer.map_err(anyhow::Error::msg)?;
    out::print(global, &body)?;
    Ok(if (200..300).contains(&status) { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}
