//! `sunup rbac`: the roles that `doctor --live` and `fix --live` take, from the list they run on.

use std::process::ExitCode;

use sunup_kube::rbac::{Subject, Wish, yaml};

use crate::global::Global;
use crate::out;

const EXAMPLES: &str = "\
Examples:
  sunup rbac                                    read-only, for all namespaces
  sunup rbac -n shop --to user:jane@example.com one namespace, with the bindings
  sunup rbac --fix --to sa:ops/sunup | kubectl --context dev apply -f -";

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

    /// Also bind the roles: user:NAME, group:NAME or sa:NAMESPACE/NAME
    #[arg(long, value_name = "WHO", value_parser = subject)]
    to: Option<Subject>,

    /// Where the mesh's own settings are
    #[arg(long, value_name = "NS", default_value = "istio-system")]
    istio_namespace: String,
}

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
    let Args { namespace, fix, to: subject, istio_namespace: mesh_namespace } = args;
    out::print(global, &yaml(&Wish { namespace, mesh_namespace, fix, subject }))?;
    Ok(ExitCode::SUCCESS)
}
