//! `sunup rbac`: the roles that `doctor --live`, `fix --live` and `watch` take, from the list they run
//! on.

use std::process::ExitCode;

use sunup_kube::rbac::{Subject, Task, Wish, yaml};

use crate::global::Global;
use crate::out;

const EXAMPLES: &str = "\
Examples:
  sunup rbac                                    read-only, for all namespaces
  sunup rbac -n shop --to user:jane@example.com one namespace, with the bindings
  sunup rbac --fix --to sa:ops/sunup | kubectl --context dev apply -f -
  sunup rbac --cloud-logging > role.yaml        for `doctor --cloud-logging`, with its gcloud command";

/// Prints the roles that asking a cluster takes, each verb with its reason
///
/// Read-only unless --fix is given. Printed from the same list by which the requests are made.
/// Nothing is sent anywhere.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only for the workloads of this namespace: a Role for them, and a ClusterRole for nodes,
    /// namespaces, webhooks and Services
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,

    /// Also what `sunup fix --live` changes and watches
    #[arg(long)]
    fix: bool,

    /// Also what `sunup watch` hears of
    #[arg(long, conflicts_with = "fix")]
    watch: bool,

    /// Also bind the roles: user:NAME, group:NAME or sa:NAMESPACE/NAME
    #[arg(long, value_name = "WHO", value_parser = subject)]
    to: Option<Subject>,

    /// Where the mesh's own settings are
    #[arg(long, value_name = "NS", default_value = "istio-system")]
    istio_namespace: String,

    /// Instead, the role of Google Cloud that reading logs takes, for `gcloud iam roles create`
    #[arg(long, conflicts_with_all = ["namespace", "fix", "watch", "to"])]
    cloud_logging: bool,
}

/// What `doctor --cloud-logging` and `logs --cloud-logging` send needs this and nothing else.
const READER: &str = "\
# gcloud iam roles create sunupLogReader --project=PROJECT --file=role.yaml
# gcloud projects add-iam-policy-binding PROJECT --role=projects/PROJECT/roles/sunupLogReader \\
#   --member=user:SOMEBODY@EXAMPLE.COM
title: Sunup log reader
description: Lists log entries; changes nothing.
stage: GA
includedPermissions:
  # entries:list, the only request that is made
  - logging.logEntries.list
  # the same of a view (--view), which logEntries.list alone does not open
  - logging.views.access
";

fn subject(text: &str) -> Result<Subject, String> {
    let own = |text: &str| text.to_owned();
    let found = match text.split_once(':') {
        Some(("user", name)) => Some(Subject::User(own(name))),
        Some(("group", name)) => Some(Subject::Group(own(name))),
        Some(("sa" | "serviceaccount", name)) => name
            .split_once('/')
            .map(|(namespace, name)| Subject::ServiceAccount(own(namespace), own(name))),
        _ => None,
    };
    let empty = text.ends_with([':', '/']);
    found
        .filter(|_| !empty)
        .ok_or_else(|| "give it as user:NAME, group:NAME or sa:NAMESPACE/NAME".into())
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    if args.cloud_logging {
        out::print(global, READER)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Args { namespace, fix, watch, to: subject, istio_namespace: mesh_namespace, .. } = args;
    let task = match (fix, watch) {
        (true, _) => Task::Fix,
        (_, true) => Task::Watch,
        _ => Task::Doctor,
    };
    out::print(global, &yaml(&Wish { namespace, mesh_namespace, task, subject }))?;
    Ok(ExitCode::SUCCESS)
}
