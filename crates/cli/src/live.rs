//! A live cluster as an input: named by the user, collected and read side by side.
//!
//! Which objects are asked for is `sunup-kube`'s affair, what they mean the doctor's.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sunup_evidence::collect::Collector;
use sunup_intake::{Input, Options, Summary};
use sunup_kube::collect::{Collected, Piece, Question, collect};
use sunup_kube::{Cluster, Wanted, connect};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc::channel;

use crate::keep::{self, Keep};

/// Files on their way from the cluster to the reader.
const IN_FLIGHT: usize = 16;

/// Which cluster.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Where {
    /// The kubeconfig's context to use. kubectl's current one is never taken by itself; inside a
    /// cluster, the pod's own service account is
    #[arg(long, value_name = "CONTEXT", help_heading = "Which cluster")]
    pub(crate) context: Option<String>,

    /// Read this kubeconfig instead of the usual ones. Where it has only one context, that one is
    /// used
    #[arg(long, value_name = "FILE", help_heading = "Which cluster")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl Where {
    /// With what the environment says: where kubeconfigs lie, and whether this is a pod.
    pub(crate) fn wanted(&self) -> Wanted {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let usual = match set("KUBECONFIG") {
            Some(list) => std::env::split_paths(&list).filter(|p| p.as_os_str() != "").collect(),
            None => {
                set("HOME").map(|home| Path::new(&home).join(".kube/config")).into_iter().collect()
            }
        };
        let token = Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token");
        Wanted {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            usual,
            in_pod: set("KUBERNETES_SERVICE_HOST").is_some() && token.exists(),
        }
    }

    /// A runtime, and a client for the cluster that was named.
    pub(crate) fn connect(&self) -> anyhow::Result<(Runtime, Cluster)> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("no threads for speaking to a cluster")?;
        let cluster = runtime.block_on(connect(&self.wanted()))?;
        Ok((runtime, cluster))
    }
}

/// Collects from the cluster and reads what comes, together with `inputs`.
pub(crate) fn read(
    (runtime, cluster): (&Handle, &Cluster),
    question: &Question,
    keep: Option<&Keep>,
    mut inputs: Vec<Input>,
    options: &Options,
    collector: &mut Collector,
) -> anyhow::Result<(Summary, Collected)> {
    let (sink, pieces) = channel(IN_FLIGHT);
    inputs.push(keep::input(pieces, |Piece { name, bytes }| (name, bytes), keep));
    let (summary, collected) = std::thread::scope(|scope| {
        let collecting = scope.spawn(|| runtime.block_on(collect(cluster, question, sink)));
        let summary = sunup_intake::read(inputs, options, collector);
        (summary, collecting.join())
    });
    let collected = match collected {
        Ok(collected) => collected.with_context(|| cluster.named.to_string())?,
        Err(panicked) => std::panic::resume_unwind(panicked),
    };
    Ok((summary, collected))
}
