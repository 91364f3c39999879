//! `sunup lab times`: what start-up costs by mode.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use sunup_lab::BackOffTimes;

use super::duration::duration;
use crate::global::Global;
use crate::lab::machine;
use crate::lab::play::Setup;
use crate::lab::times::{self, Row};
use crate::out;

/// Options of `sunup lab times`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Pods of each mode, one after another
    #[arg(long, default_value_t = 5, value_name = "N")]
    runs: u32,
    /// How long istiod's stand-in takes to hand out the configuration
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = duration)]
    configuration: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Use the stand-in for Istio's proxy even where Envoy is installed
    #[arg(long)]
    no_envoy: bool,
}

pub(crate) fn run(args: &Args, global: &Global, state: &Path) -> anyhow::Result<ExitCode> {
    let config_ms = u64::try_from(args.configuration.as_millis())?;
    let setup = Setup {
        state: state.to_owned(),
        envoy: machine::envoy().filter(|_| !args.no_envoy),
        seed: 1,
        back_off: BackOffTimes::default(),
    };
    let rows = times::one_by_one(&setup, config_ms, args.runs)?;
    if args.json {
        let value = Value::Array(rows.iter().map(Row::json).collect());
        out::print(global, &(serde_json::to_string_pretty(&value)? + "\n"))?;
    } else {
        out::print(global, &times::table(&rows, &setup, config_ms))?;
    }
    Ok(ExitCode::SUCCESS)
}
