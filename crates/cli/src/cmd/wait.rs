//! `sunup wait`: waits until the proxy is ready; stands where `pilot-agent wait` stood.
//!
//! Arguments and printing only; the asking is `sunup-proxy`'s.

use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use sunup_proxy::wait::Wait;

use crate::global::{FINDINGS, Global};

/// Waits until the proxy is ready, then ends or becomes a command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Wait up to a minute, as `pilot-agent wait` does:
    sunup wait
  As an entrypoint: start the application once its connections are served:
    sunup wait -- /app/server --port 8080

Exit codes: 0 ready; 1 not ready in time; 2 wrong usage. With a command: its own.")]
pub(crate) struct Args {
    /// What to ask; 200 means ready
    #[arg(long, default_value = "http://localhost:15021/healthz/ready")]
    url: String,
    /// Give up after so many seconds
    #[arg(long = "timeoutSeconds", alias = "timeout", default_value_t = 60)]
    #[arg(value_name = "SECONDS")]
    timeout_s: u64,
    /// Milliseconds between two questions
    #[arg(long = "periodMillis", alias = "period", default_value_t = 500, value_name = "MS")]
    period_ms: u64,
    /// Milliseconds that one question may take
    #[arg(long = "requestTimeoutMillis", default_value_t = 500, value_name = "MS")]
    request_timeout_ms: u64,
    /// Command to become when the proxy is ready
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let wait = Wait {
        url: args.url,
        timeout: Duration::from_secs(args.timeout_s),
        period: Duration::from_millis(args.period_ms),
        request_timeout: Duration::from_millis(args.request_timeout_ms),
    };
    match wait.run() {
        Ok(_) => {}
        Err(error @ sunup_proxy::wait::WaitError::Url(_)) => return Err(error.into()),
        Err(error) => {
            crate::out::error(global, &error.into());
            return Ok(ExitCode::from(FINDINGS));
        }
    }
    let Some((program, rest)) = args.command.split_first() else { return Ok(ExitCode::SUCCESS) };
    let error = std::process::Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("cannot run {program}"))
}
