//! What `sunup doctor` can be asked.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use anyhow::ensure;
use sunup_api::report::{Finding, Severity, Verdict};
use sunup_api::shell;
use sunup_evidence::scope::Scope;
use sunup_intake::{Input, Limits};
use sunup_store::Wanted;

use crate::live::Where;
use crate::store::StoreArgs;
use crate::when::When;
use crate::workload::Workload;

/// The PATH that means standard input.
const STDIN: &str = "-";

const EXAMPLES: &str = "\
Examples:
  sunup doctor export.json                    a Cloud Logging export
  kubectl get pods,events,deploy -o json | sunup doctor
  sunup doctor bug-report.tar.gz -n shop      one namespace of a bug report
  sunup doctor k8s/ logs/ -w deploy/checkout  one workload, manifests and logs together
  sunup doctor --fix k8s/ export.json         edit the manifests among the inputs
  sunup doctor --format html dump/ > report.html    one page for a post-mortem
  sunup doctor --format sarif --fail-on warning k8s/ > sunup.sarif    in CI
  sunup doctor --live --context dev -n shop   a live cluster; `sunup rbac` says what that takes
  sunup doctor --live --context dev -A --save dump/     the same for all of it, kept for later
  sunup doctor --cloud-logging shop-prod -n shop --since 3h    pods that are gone, by their logs
  sunup doctor --baseline known.json k8s/     only what known.json doesn't know
  sunup doctor --watch /var/log/pods          while it happens
  sunup doctor --redact --format html dump/ > report.html    to be shared

What is read is recognised by its content, never by its name: Cloud Logging exports (JSON array
or lines), kubectl JSON and YAML, events, `kubectl logs --timestamps --prefix`, stern, CRI log files,
CSV and JSON of the usual log services (Azure, CloudWatch, Datadog, Elasticsearch, Grafana, Loki,
Splunk), logs of CI jobs, istioctl bug-report and must-gather archives, manifests, and directories
or archives of them (tar, zip; gz, zst, xz, bz2).

Exit codes:
  0  nothing found; also where all of the input is no evidence (sources, values, templates)
  1  findings (after --fix: those whose fix is not in place now); also when some of the input was
     unreadable
  2  no finding, but part of the input was unreadable or not recognised, there was nothing to read,
     or wrong usage";

/// Says why a workload does not come up, proves it, and shows or applies the fix
///
/// Reads what you already have: manifests, logs, events, pod status. Names the fault, shows the
/// lines that prove it, rules look-alikes out, and prints the change to the manifest as a diff.
/// Without --fix nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = "`sunup doctor --help` has examples.")]
#[command(group = clap::ArgGroup::new("asked").multiple(true))]
pub(crate) struct Args {
    /// Files, archives or directories; `-` is standard input, which is also read when no PATH is
    /// given and it is not a terminal
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,

    /// Only this namespace
    #[arg(short, long, value_name = "NS", help_heading = "Narrow the input")]
    pub(super) namespace: Option<String>,

    /// Only this pod; a log of which nothing says whose it is is taken for one of its
    #[arg(long, value_name = "POD", help_heading = "Narrow the input")]
    pod: Option<String>,

    /// Only this workload, such as deploy/checkout, StatefulSet/db or cronjob/report
    #[arg(short, long, value_name = "KIND/NAME", help_heading = "Narrow the input")]
    workload: Option<Workload>,

    /// Only what happened at or after this time: RFC 3339 (2026-11-23T10:41:15Z), a date (UTC), or
    /// how long before now (90s, 30m, 2h, 3d)
    #[arg(long, value_name = "TIME", help_heading = "Narrow the input")]
    since: Option<When>,

    /// Only what happened before this time, written likewise
    #[arg(long, value_name = "TIME", help_heading = "Narrow the input")]
    until: Option<When>,

    /// Edit the manifests among the inputs: the first safe fix of each finding, or with
    /// --fix=FIX_ID that one. Prints the diff, then what is left. Logs, exports, templates and
    /// healthy manifests are never touched
    #[arg(long, value_name = "FIX_ID", num_args = 0..=1, require_equals = true)]
    pub(super) fix: Option<Option<String>>,

    /// How to print the report; json is a contract
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    pub(super) format: Format,

    /// What ends in exit code 1: findings that are at least this certain, warnings and errors
    /// only, errors only (what is broken now, or lost work), or nothing
    #[arg(long, value_enum, value_name = "LINE", default_value_t, help_heading = "Output")]
    pub(super) fail_on: FailOn,

    /// Leave out the findings that this file knows, which --write-baseline wrote, and say which of
    /// them are gone
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) baseline: Option<PathBuf>,

    /// Write all findings into this file as known, for --baseline; they don't end in exit code 1
    #[arg(long, value_name = "FILE", conflicts_with_all = ["baseline", "fix", "watch"])]
    #[arg(help_heading = "Output")]
    pub(super) write_baseline: Option<PathBuf>,

    /// Replace tokens, environment values, addresses and names by stand-ins, the same by the same, so
    /// that the report can be shared; `sunup redact` does it to the evidence
    #[arg(long, conflicts_with_all = ["fix", "watch"], help_heading = "Output")]
    pub(super) redact: bool,

    /// Judge again whenever the files change, until Ctrl-C. A terminal shows the whole report anew,
    /// a pipe gets what is new, changed or gone
    #[arg(long, conflicts_with_all = ["fix", "baseline", "asked"])]
    pub(super) watch: bool,

    /// One line for each finding and nothing else
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    pub(super) quiet: bool,

    /// Everything: the whole timeline, all evidence, every fix with its patch
    #[arg(short, long, help_heading = "Output")]
    pub(super) verbose: bool,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    pub(super) live: LiveArgs,

    #[command(flatten)]
    pub(super) store: StoreArgs,

    /// Keep what a cluster or a log store gave in this folder, in files such as kubectl and exports
    /// write: `sunup doctor DIR` then gives the same report. With --redact, what is kept is redacted
    /// too
    #[arg(long, value_name = "DIR", requires = "asked", help_heading = "From a live cluster")]
    pub(super) save: Option<PathBuf>,
}

/// How much of an input is read.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Limits (what lies beyond one is named, and the rest is read)")]
struct LimitArgs {
    /// Members of an input's archives, those of archives within them counted too [default: 200000]
    #[arg(long, value_name = "NUMBER")]
    max_members: Option<NonZeroUsize>,

    /// How many times its own size a packed input may come to, beyond 256 MiB [default: 1000]
    #[arg(long, value_name = "TIMES")]
    max_expansion: Option<NonZeroU64>,

    /// A text that is held as a whole, such as a list of objects; logs are not, and have no limit
    /// [default: 1024]
    #[arg(long, value_name = "MIB")]
    max_text: Option<NonZeroU64>,

    /// One object, or one log entry in JSON; small values count for more than their text
    /// [default: 32]
    #[arg(long, value_name = "MIB")]
    max_object: Option<NonZeroU64>,

    /// What is kept of all evidence in memory until it is judged: about 10 KiB for a pod and what
    /// belongs to it [default: 1024]
    #[arg(long, value_name = "MIB")]
    max_kept: Option<NonZeroU64>,
}

/// What of a cluster.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "From a live cluster")]
pub(crate) struct LiveArgs {
    /// Ask a cluster: pods, owners, events, logs, webhook configurations, the mesh's settings,
    /// Services and nodes' versions; never Secrets. Reads only. `sunup rbac` prints the role that
    /// this takes. PATHs are read as well: manifests given beside it are what a fix edits
    #[arg(long, group = "asked")]
    pub(super) live: bool,

    /// All namespaces; without this and -n, the context's own one
    #[arg(short = 'A', long, requires = "live", conflicts_with = "namespace")]
    pub(super) all_namespaces: bool,

    /// Only pods with these labels, as kubectl takes them: app=web,tier!=db
    #[arg(short = 'l', long, value_name = "SELECTOR", requires = "live")]
    pub(super) selector: Option<String>,

    /// Where the mesh's own settings are
    #[arg(long, value_name = "NS", requires = "live", default_value = "istio-system")]
    pub(super) istio_namespace: String,

    /// How long each query to the cluster may take
    #[arg(long, value_name = "SECONDS", requires = "live", default_value = "30")]
    pub(super) query_timeout: Option<NonZeroU64>,

    #[command(flatten)]
    pub(super) place: Where,
}

/// How to print the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: schema sunup.doctor/v1.
    Json,
    /// One page with drawings of the pods' starts, for a post-mortem.
    Html,
    /// For a ticket.
    Markdown,
    /// For code scanning and editors: SARIF 2.1.0.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
}

/// Which findings end in exit code 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FailOn {
    /// Any finding.
    #[default]
    Possible,
    /// Likely and confirmed ones.
    Likely,
    /// Confirmed ones.
    Confirmed,
    /// Warnings and errors, however certain.
    Warning,
    /// Errors, however certain: what is broken now, or lost work.
    Error,
    /// None.
    Never,
}

impl FailOn {
    /// Whether a finding ends in exit code 1.
    pub(super) fn counts(self, finding: &Finding) -> bool {
        match self {
            FailOn::Possible => true,
            FailOn::Likely => finding.verdict >= Verdict::Likely,
            FailOn::Confirmed => finding.verdict >= Verdict::Confirmed,
            FailOn::Warning => finding.severity >= Severity::Warning,
            FailOn::Error => finding.severity >= Severity::Error,
            FailOn::Never => false,
        }
    }
}

impl Args {
    /// What to look at.
    pub(super) fn scope(&self) -> Scope {
        Scope {
            namespace: self.namespace.clone(),
            pod: self.pod.clone(),
            workload: self.workload.as_ref().map(|w| (w.kind.clone(), w.name.clone())),
            since: self.since.as_ref().map(|when| when.at),
            until: self.until.as_ref().map(|when| when.at),
        }
    }

    /// What of a log store.
    pub(super) fn wanted(
        &self,
        store: &StoreArgs,
        namespace: Option<&str>,
    ) -> anyhow::Result<Wanted> {
        let workload = self.workload.as_ref().map(|workload| workload.name.as_str());
        let pods = (self.pod.as_deref(), workload);
        let times = (self.since.as_ref(), self.until.as_ref());
        store.wanted(namespace, pods, times)
    }

    /// How much of it.
    pub(super) fn limits(&self) -> Limits {
        let LimitArgs { max_members, max_expansion, max_text, max_object, max_kept } = self.limits;
        let default = Limits::default();
        let bytes = |mib: NonZeroU64| mib.get().saturating_mul(1 << 20);
        Limits {
            members: max_members.map_or(default.members, NonZeroUsize::get),
            expansion: max_expansion.map_or(default.expansion, NonZeroU64::get),
            text: max_text.map_or(default.text, bytes),
            object: max_object.map_or(default.object, bytes),
            kept: max_kept.map_or(default.kept, bytes),
            ..default
        }
    }

    /// What clap cannot see.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let stdin = self.paths.iter().filter(|path| is_stdin(path)).count();
        ensure!(stdin < 2, "standard input can be read once: give `-` once");
        ensure!(
            !self.watch || !self.reads_stdin(),
            "standard input can't be watched: name files or directories"
        );
        ensure!(
            !self.watch || self.format == Format::Text,
            "--watch prints text: leave --format out"
        );
        ensure!(
            self.live.live || !self.store.is_auto(),
            "--cloud-logging auto takes project and cluster from the cluster that --live asks: give \
             --live, or name the project"
        );
        ensure!(
            self.live.selector.is_none() || !self.store.is_asked(),
            "-l picks pods that a cluster has by their labels, and a log store is asked by names: \
             give -w or --pod instead"
        );
        if let (Some(since), Some(until)) = (&self.since, &self.until) {
            ensure!(
                since.at < until.at,
                "--since {} is not before --until {}",
                since.text,
                until.text
            );
        }
        Ok(())
    }

    /// Whether standard input is among what is read.
    pub(super) fn reads_stdin(&self) -> bool {
        self.paths.is_empty() && !self.asks() || self.paths.iter().any(|path| is_stdin(path))
    }

    /// Whether anything is asked over the network.
    pub(super) fn asks(&self) -> bool {
        self.live.live || self.store.is_asked()
    }

    /// What is read of this machine, as `intake` takes it.
    pub(super) fn inputs(&self) -> Vec<Input> {
        let stdin = || Input::Stdin(Box::new(std::io::stdin()));
        if self.paths.is_empty() {
            return if self.asks() { Vec::new() } else { vec![stdin()] };
        }
        let of = |path: &PathBuf| {
            if is_stdin(path) { stdin() } else { Input::Path(path.clone()) }
        };
        self.paths.iter().map(of).collect()
    }

    /// The arguments to run again with, but for `--fix` and those about the output, quoted for a
    /// shell; `None` where that can't be done: standard input, or a name that is no text.
    pub(super) fn again(&self) -> Option<String> {
        if self.reads_stdin() || self.asks() {
            return None;
        }
        let mut words: Vec<String> = Vec::new();
        let options = [
            ("-n", self.namespace.clone()),
            ("--pod", self.pod.clone()),
            ("-w", self.workload.as_ref().map(ToString::to_string)),
            ("--since", self.since.as_ref().map(|when| when.text.clone())),
            ("--until", self.until.as_ref().map(|when| when.text.clone())),
        ];
        for (option, value) in options {
            words.extend(
                value.into_iter().flat_map(|value| [option.to_owned(), shell::word(&value)]),
            );
        }
        let paths = self.paths.iter().map(|path| path.to_str().map(shell::word));
        let paths = paths.collect::<Option<Vec<String>>>()?;
        if paths.iter().any(|path| path.starts_with('-')) {
            words.push("--".to_owned());
        }
        words.extend(paths);
        Some(words.join(" "))
    }
}

/// Whether a PATH means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cmd::{Cli, Command};

    fn args(line: &[&str]) -> Args {
        let line = ["sunup", "doctor"].iter().chain(line);
        let cli = Cli::try_parse_from(line).expect("a good command line");
        #[allow(irrefutable_let_patterns, reason = "it is refutable with a second command")]
        let Command::Doctor(args) = cli.command else { panic!("another command") };
        *args
    }

    #[test]
    fn a_run_can_be_repeated_as_it_was_given() {
        let again = |line: &[&str]| args(line).again();
        assert_eq!(
            again(&["a b.yaml", "-n", "shop", "--fix", "--since=2h", "-w", "deploy/x", "-v"]),
            Some("-n shop -w Deployment/x --since 2h 'a b.yaml'".to_owned())
        );
        assert_eq!(again(&["--", "-x.yaml", "it's"]), Some("-- -x.yaml 'it'\\''s'".to_owned()));
        assert_eq!(again(&["a", "-"]), None);
        assert_eq!(again(&[]), None);
    }

    #[test]
    fn fix_takes_an_id_only_behind_an_equals_sign() {
        assert_eq!(args(&["--fix", "a.yaml"]).fix, Some(None));
        assert_eq!(args(&["--fix=x", "a.yaml"]).fix, Some(Some("x".to_owned())));
        assert_eq!(args(&["a.yaml"]).fix, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [&["-", "-"][..], &["--since=1h", "--until=2h", "a"]] {
            assert!(args(line).check().is_err(), "{line:?}");
        }
        assert!(args(&["-", "a"]).check().is_ok());
        // A cluster and a log store may be asked together, and what both gave be kept.
        let both = ["--live", "--cloud-logging", "auto", "--save", "x"];
        assert!(args(&both).check().is_ok());
        assert!(args(&["--cloud-logging", "auto"]).check().is_err());
        assert!(args(&["--live", "-l", "a=b", "--cloud-logging", "shop"]).check().is_err());
    }
}
