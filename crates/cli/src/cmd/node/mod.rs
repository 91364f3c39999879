//! `sunup node`: the node agent, what it does about each pod, and its plugin's place on a node.
//!
//! What a pod gets is `sunup-node`'s, what is done about it `sunup-agent`'s; pods are heard of
//! through `sunup-kube`.

mod manifests;
mod place;
mod run;
mod status;

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use sunup_agent::plugin;
use sunup_node::chain::PLUGIN;

use crate::global::{Color, Global};
use crate::out;
use place::{OnNode, READ_AGAIN};

/// Accepts early connections for a mesh's proxies on this node, and hands them over
///
/// Runs on every node beside a mesh that stays as it is: where a pod's proxy is known to share its
/// port, early connections wait in the proxy's own queue; elsewhere their refusals are dropped.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

const AFTER_HELP: &str = "\
Examples:
  sunup node manifests | kubectl apply -f -
  sunup node status
  sunup node status --json
  sunup node run --node \"$NODE_NAME\" --proc /host/proc \\
    --cni-configurations /host/etc/cni/net.d --cni-programs /host/opt/cni/bin
  sunup node uninstall --cni-configurations /etc/cni/net.d --cni-programs /opt/cni/bin";

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prints what to install: the agent and its rights
    Manifests(manifests::Args),
    /// Runs the agent
    Run(Box<run::Args>),
    /// Shows what the agent of this node does about each pod, and why
    Status(status::Args),
    /// Takes the network plugin off this node: its entry first, then its program
    Uninstall(Uninstall),
}

#[derive(Debug, clap::Args)]
struct Uninstall {
    #[command(flatten)]
    place: OnNode,
}

/// The plugin, where this program was called by its name, before the command tree is built: a
/// runtime calls it for every pod.
pub(crate) fn shortcut() -> Option<(Global, anyhow::Result<ExitCode>)> {
    let called = std::env::args_os().next()?;
    if std::path::Path::new(&called).file_name()? != PLUGIN {
        return None;
    }
    // A configuration is small; what is larger is none.
    const CONFIGURATION_MAX: u64 = 4 << 20;
    let mut config = String::new();
    let read = std::io::stdin().take(CONFIGURATION_MAX).read_to_string(&mut config);
    let answer = plugin::call(|name| std::env::var(name).ok(), &config);
    let said = answer.said.or(read.err().map(|error| format!("sunup-cni: {error}")));
    // Where nobody reads, there is nobody to tell of it.
    let _ = std::io::stdout().write_all(answer.out.as_bytes());
    if let Some(said) = said {
        let _ = writeln!(std::io::stderr(), "{said}");
    }
    Some((Global { color: Color::Auto }, Ok(ExitCode::SUCCESS)))
}

pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Manifests(args) => {
            out::print(global, &manifests::text(&args)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Run(args) => run::run(&args, *global),
        Action::Status(args) => status::run(&args, global),
        Action::Uninstall(args) => {
            let Some(place) = args.place.place() else {
                anyhow::bail!("which folders? --cni-configurations and --cni-programs")
            };
            let said = if place.take_away(READ_AGAIN)? { "taken away" } else { "was not there" };
            out::print(global, &format!("{PLUGIN}: {said}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
