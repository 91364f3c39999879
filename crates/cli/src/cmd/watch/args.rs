//! What `sunup watch` can be asked.

#[cfg(target_os = "linux")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::live::Where;
use crate::when::length;

const EXAMPLES: &str = "\
Examples:
  sunup watch --context dev -A                  until Ctrl-C, whatever fails to start, as it happens
  sunup watch --context dev -n shop --for 10m   during a rollout; the exit code says how it went
  sunup watch --context dev -A --once           what is there now
  sunup watch --context dev -A --format json | jq -c '.findings[0].summary'

What is a reason to look at a pod: a container that ended or was started again in its pod's first ten
minutes, a proxy that ended at any time, a status reason such as ErrImagePull, a Warning event, and
being in Init or not ready for longer than --wait, or than three times its slowest peer. Replicas
with the same trouble are looked at once. Of each trouble the evidence is collected and judged as
`sunup doctor --live` does, about a second after it was heard of; where nothing is proved, twice
more. A finding is told once for its workload, however many pods and restarts show it, and again
only after it has been gone for a quarter of an hour.

A refusal that a pod overcame without restarting leaves no such reason, and is not seen.

Exit codes:
  0  nothing found
  1  findings
  2  no finding, but part of the evidence could not be had, or wrong usage, or no access";

/// Watches a cluster's pods, and says what is wrong with a start when it happens
///
/// Evidence of a failed start is gone in minutes: logs go with the container, events are few and
/// short-lived. This stands by, collects it at that moment, and names the fault as `sunup doctor`
/// would. Nothing is changed; `sunup rbac --watch` prints the role that it takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = "`sunup watch --help` has examples.")]
pub(crate) struct Args {
    /// Only this namespace; without this and -A, the context's own one
    #[arg(short, long, value_name = "NS")]
    pub(super) namespace: Option<String>,

    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(super) all_namespaces: bool,

    /// End after so long: 90s, 10m, 2h
    #[arg(long = "for", value_name = "TIME", value_parser = length, conflicts_with = "once")]
    pub(super) time: Option<Duration>,

    /// Look at what is wrong now, and end
    #[arg(long)]
    pub(super) once: bool,

    /// A pod that isn't ready after so long is looked at
    #[arg(long, value_name = "TIME", value_parser = length, default_value = "60s")]
    #[arg(conflicts_with = "once")]
    pub(super) wait: Duration,

    /// How findings are printed: as text, or as the JSON of `sunup doctor`, one report a line with one
    /// finding each
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    pub(super) format: Format,

    /// Tell of each finding in the cluster too: an Event on its workload, with the rule as its reason
    /// and the fix's command
    #[arg(long, help_heading = "Where else findings go")]
    pub(super) events: bool,

    /// Keep the last 20 incidents in this folder, each with its redacted evidence, which `sunup doctor`
    /// reads to the same finding, and a page
    #[arg(long, value_name = "DIR", help_heading = "Where else findings go")]
    pub(super) incidents: Option<PathBuf>,

    /// Serve /metrics for Prometheus, /healthz and /readyz there, such as 127.0.0.1:15014
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "ADDRESS", help_heading = "Where else findings go")]
    pub(super) health: Option<SocketAddr>,

    /// Where the mesh's own settings are
    #[arg(long, value_name = "NS", default_value = "istio-system")]
    pub(super) istio_namespace: String,

    #[command(flatten)]
    pub(super) place: Where,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}
