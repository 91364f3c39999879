//! `sunup doctor`: reads evidence, prints the report, and with `--fix` edits the manifests.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use sunup_api::report::{Finding, Report, Severity, Verdict};
use sunup_evidence::scope::Scope;

use super::{FINDINGS, Global, TROUBLE};
use crate::out;
use crate::when;
use crate::workload::Workload;

const EXAMPLES: &str = "\
Examples:
  sunup doctor export.json                    a Cloud Logging export
  kubectl get pods,events,deploy -o json | sunup doctor
  sunup doctor bug-report.tar.gz -n shop      one namespace of a bug report
  sunup doctor k8s/ logs/ -w deploy/checkout  one workload, manifests and logs together
  sunup doctor --fix k8s/ export.json         edit the manifests among the inputs

What is read is recognised by its content, never by its name: Cloud Logging exports (JSON array
or lines), kubectl JSON and YAML, events, `kubectl logs --timestamps --prefix`, CRI log files,
istioctl bug-report and must-gather archives, manifests, and directories or .tar/.gz/.zst of them.

Exit codes:
  0  nothing found
  1  findings (after --fix: findings left); also when some of the input was unreadable
  2  no finding, but part of the input was unreadable, there was nothing to read, or wrong usage";

/// Says why a workload does not come up, proves it, and shows or applies the fix
///
/// Reads what you already have: manifests, logs, events, pod status. Names the fault, shows the
/// lines that prove it, rules look-alikes out, and prints the change to the manifest as a diff.
/// Without --fix nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = "`sunup doctor --help` has examples.")]
pub(crate) struct Args {
    /// Files, archives or directories; `-` is standard input, which is also read when no PATH is
    /// given and it is not a terminal
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Only this namespace
    #[arg(short, long, value_name = "NS", help_heading = "Narrow the input")]
    namespace: Option<String>,

    /// Only this pod
    #[arg(long, value_name = "POD", help_heading = "Narrow the input")]
    pod: Option<String>,

    /// Only this workload, such as deploy/checkout, StatefulSet/db or cronjob/report
    #[arg(short, long, value_name = "KIND/NAME", help_heading = "Narrow the input")]
    workload: Option<Workload>,

    /// Only what happened at or after this time: RFC 3339 (2026-11-23T10:41:15Z), a date (UTC), or
    /// how long before now (90s, 30m, 2h, 3d)
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    #[arg(help_heading = "Narrow the input")]
    since: Option<Timestamp>,

    /// Only what happened before this time, written likewise
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    #[arg(help_heading = "Narrow the input")]
    until: Option<Timestamp>,

    /// Edit the manifests among the inputs: the first safe fix of each finding, or with
    /// --fix=FIX_ID that one. Prints the diff, then what is left. Logs, exports, templates and
    /// healthy manifests are never touched
    #[arg(long, value_name = "FIX_ID", num_args = 0..=1, require_equals = true)]
    fix: Option<Option<String>>,

    /// How to print the report; json is a contract
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    format: Format,

    /// What ends in exit code 1: findings that are at least this certain, warnings and errors
    /// only, or nothing
    #[arg(long, value_enum, value_name = "LINE", default_value_t, help_heading = "Output")]
    fail_on: FailOn,

    /// One line for each finding and nothing else
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,

    /// Everything: the whole timeline, all evidence, every fix with its patch
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
}

/// How to print the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: schema sunup.doctor/v1.
    Json,
}

/// Which findings end in exit code 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Any finding.
    #[default]
    Possible,
    /// Likely and confirmed ones.
    Likely,
    /// Confirmed ones.
    Confirmed,
    /// Warnings and errors, however certain.
    Warning,
    /// None.
    Never,
}

impl FailOn {
    fn counts(self, finding: &Finding) -> bool {
        match self {
            FailOn::Possible => true,
            FailOn::Likely => finding.verdict >= Verdict::Likely,
            FailOn::Confirmed => finding.verdict >= Verdict::Confirmed,
            FailOn::Warning => finding.severity >= Severity::Warning,
            FailOn::Never => false,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    if args.paths.is_empty() && std::io::stdin().is_terminal() {
        anyhow::bail!(
            "nothing to read: give it files or directories, or pipe something in, such as\n  \
             kubectl get pods,events,deploy -o json | sunup doctor"
        );
    }
    let report = examine(&args)?;
    let text = format!("{}\n", serde_json::to_string_pretty(&report)?);
    out::print(global, &text)?;
    Ok(exit_code(&report, args.fail_on))
}

/// What to look at.
fn scope(args: &Args) -> Scope {
    Scope {
        namespace: args.namespace.clone(),
        pod: args.pod.clone(),
        workload: args.workload.as_ref().map(|w| (w.kind.clone(), w.name.clone())),
        since: args.since,
        until: args.until,
    }
}

fn examine(args: &Args) -> anyhow::Result<Report> {
    let scope = scope(args);
    anyhow::bail!("this build reads no evidence yet ({:?}, {scope:?})", args.format)
}

fn exit_code(report: &Report, fail_on: FailOn) -> ExitCode {
    let code = if report.findings.iter().any(|f| fail_on.counts(f)) {
        FINDINGS
    } else if report.unreadable.is_empty() {
        0
    } else {
        TROUBLE
    };
    ExitCode::from(code)
}
