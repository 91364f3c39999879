//! A live cluster as an input: named by the user, collected and read side by side.
//!
//! Which objects are asked for is `sunup-kube`'s affair, what they mean the doctor's.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use sunup_evidence::collect::Collector;
use sunup_intake::{Input, Options, Summary};
use sunup_kube::collect::{Collected, Piece, Question, collect};
use sunup_kube::{Cluster, Wanted, connect};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, channel};

use crate::folder;

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
    (runtime, cluster): (&Runtime, &Cluster),
    question: &Question,
    save: Option<&Path>,
    mut inputs: Vec<Input>,
    options: &Options,
    collector: &mut Collector,
) -> anyhow::Result<(Summary, Collected)> {
    let (sink, pieces) = channel(IN_FLIGHT);
    let unsaved: Arc<Mutex<Option<io::Error>>> = Arc::default();
    inputs.push(Input::Pieces(kept(pieces, save, &unsaved)?));
    let (summary, collected) = std::thread::scope(|scope| {
        let collecting = scope.spawn(|| runtime.block_on(collect(cluster, question, sink)));
        let summary = sunup_intake::read(inputs, options, collector);
        (summary, collecting.join())
    });
    let collected = match collected {
        Ok(collected) => collected.with_context(|| cluster.named.to_string())?,
        Err(panicked) => std::panic::resume_unwind(panicked),
    };
    let unsaved = unsaved.lock().ok().and_then(|mut unsaved| unsaved.take());
    if let (Some(why), Some(folder)) = (unsaved, save) {
        return Err(why).with_context(|| format!("could not save to {}", folder.display()));
    }
    Ok((summary, collected))
}

type Pieces = Box<dyn Iterator<Item = (String, Vec<u8>)> + Send>;

/// The pieces as the reader takes them, each written into `folder` on the way.
fn kept(
    mut pieces: Receiver<Piece>,
    folder: Option<&Path>,
    unsaved: &Arc<Mutex<Option<io::Error>>>,
) -> anyhow::Result<Pieces> {
    let next = move || pieces.blocking_recv().map(|Piece { name, bytes }| (name, bytes));
    let all = std::iter::from_fn(next);
    let Some(folder) = folder else { return Ok(Box::new(all)) };
    folder::ensure_new(folder)?;
    folder::private(folder).with_context(|| format!("could not make {}", folder.display()))?;
    let (folder, unsaved) = (folder.to_owned(), Arc::clone(unsaved));
    Ok(Box::new(all.inspect(move |(name, bytes)| {
        let made = folder::file(&folder, Path::new(name));
        if let Err(why) = made.and_then(|mut file| file.write_all(bytes))
            && let Ok(mut first) = unsaved.lock()
        {
            first.get_or_insert(why);
        }
    })))
}
