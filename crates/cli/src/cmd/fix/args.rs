//! What `sunup fix` can be asked.

use std::num::NonZeroU64;

use crate::live::Where;
use crate::workload::Workload;

const EXAMPLES: &str = "\
Examples:
  sunup fix --live --context dev -n shop -w deploy/checkout --dry-run
  sunup fix --live --context dev -n shop -w deploy/checkout --rollback-on-failure
  sunup fix --live --context dev -n jobs -w job/migrate --recreate

Manifests are edited by `sunup doctor --fix`; what this puts into a cluster belongs into them too.

Exit codes:
  0  fixed, or nothing to fix, or --dry-run
  1  not fixed
  2  it could not be tried: wrong usage, no access, part of the evidence missing";

/// Fixes a workload in a live cluster, and checks that it came up
///
/// Diagnoses it, applies the first safe fix (or the one that is named) to its pod template by
/// server-side apply, waits for the new pods, diagnoses these from fresh evidence, and says
/// `fixed` or `not fixed`, and why. Of a StatefulSet that makes its pods one by one, a pod that isn't
/// ready is deleted: Kubernetes would wait for it before it replaces any.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = "`sunup fix --help` has examples.")]
pub(crate) struct Args {
    /// Change a live cluster. Required, so that it is never done by accident
    #[arg(long, required = true)]
    pub(super) live: bool,

    /// The workload, such as deploy/checkout, sts/db, cronjob/report
    #[arg(short, long, value_name = "KIND/NAME")]
    pub(super) workload: Workload,

    /// Its namespace; without this, the context's own one
    #[arg(short, long, value_name = "NS")]
    pub(super) namespace: Option<String>,

    /// Only this rule's finding
    #[arg(long, value_name = "RULE")]
    pub(super) rule: Option<String>,

    /// This fix instead of the first safe one
    #[arg(long, value_name = "FIX_ID")]
    pub(super) fix: Option<String>,

    /// Show what would be changed, as the API server would do it, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Put the template back where the fix does not help
    #[arg(long)]
    pub(super) rollback_on_failure: bool,

    /// Take over fields that somebody else owns
    #[arg(long)]
    pub(super) force_conflicts: bool,

    /// Delete and create what can't be changed: a Job, a pod of its own; of a CronJob, start a Job
    #[arg(long)]
    pub(super) recreate: bool,

    /// How long the new pods may take to become ready
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub(super) wait: NonZeroU64,

    /// Where the mesh's own settings are
    #[arg(long, value_name = "NS", default_value = "istio-system")]
    pub(super) istio_namespace: String,

    #[command(flatten)]
    pub(super) place: Where,
}
