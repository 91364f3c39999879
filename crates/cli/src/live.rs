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
use tokio::sync::mpsc::{Receiver, channel};

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

/// Somebody who hears what a cluster gives.
pub(crate) trait Listener: Send {
    /// One more piece.
    fn piece(&mut self, piece: &Piece);
    /// It has given everything that was asked for. Not called where collecting failed.
    fn done(self: Box<Self>);
}

/// What is read together with what a cluster gives.
#[derive(Default)]
pub(crate) struct Beside<'k> {
    /// Read before it.
    pub(crate) first: Vec<Input>,
    /// Read when all of it has been.
    pub(crate) last: Vec<Input>,
    /// Where it is kept.
    pub(crate) keep: Option<&'k Keep>,
    /// Who hears of it meanwhile.
    pub(crate) listener: Option<Box<dyn Listener>>,
}

/// Collects from the cluster and reads what comes.
pub(crate) fn read(
    (runtime, cluster): (&Handle, &Cluster),
    question: &Question,
    beside: Beside<'_>,
    options: &Options,
    collector: &mut Collector,
) -> anyhow::Result<(Summary, Collected)> {
    let (sink, pieces) = channel(IN_FLIGHT);
    let (tell, told) = std::sync::mpsc::channel();
    let Beside { first: mut inputs, last, keep, listener } = beside;
    inputs.push(keep::input(heard(pieces, listener, told), keep));
    inputs.extend(last);
    let (summary, collected) = std::thread::scope(|scope| {
        let collecting = scope.spawn(move || {
            let collected = runtime.block_on(collect(cluster, question, sink));
            // Nobody listens, or nobody reads any more.
            let _ = tell.send(collected.is_ok());
            collected
        });
        let summary = sunup_intake::read(inputs, options, collector);
        (summary, collecting.join())
    });
    let collected = match collected {
        Ok(collected) => collected.with_context(|| cluster.named.to_string())?,
        Err(panicked) => std::panic::resume_unwind(panicked),
    };
    Ok((summary, collected))
}

/// The files as they come, each heard; the end of them too, once it is known how it went.
fn heard(
    mut pieces: Receiver<Piece>,
    mut listener: Option<Box<dyn Listener>>,
    told: std::sync::mpsc::Receiver<bool>,
) -> impl Iterator<Item = (String, Vec<u8>)> + Send {
    std::iter::from_fn(move || {
        let Some(piece) = pieces.blocking_recv() else {
            let well = listener.is_some() && told.recv() == Ok(true);
            listener.take().filter(|_| well).into_iter().for_each(Listener::done);
            return None;
        };
        if let Some(listener) = &mut listener {
            listener.piece(&piece);
        }
        Some((piece.name, piece.bytes))
    })
}
