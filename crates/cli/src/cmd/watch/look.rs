//! One look: a pod's evidence collected now, and judged, as `sunup doctor --live` does.

use std::collections::HashSet;
use std::time::Duration;

use sunup_doctor::Diagnosis;
use sunup_evidence::collect::Collector;
use sunup_evidence::scope::Scope;
use sunup_intake::Options;
use sunup_kube::Cluster;
use sunup_kube::collect::{CollectError, Question};
use sunup_watch::Look;
use tokio::runtime::Handle;

use crate::live::{self, Beside};

/// How long one query may take: a later look may have more luck.
const WITHIN: Duration = Duration::from_secs(10);
/// Logs that are read at once.
const AT_ONCE: usize = 4;
/// Bytes of each log. A pod that has just started has not written more about it.
const LOG_BYTES: usize = 256 << 10;

/// What came of it.
pub(super) enum Looked {
    Judged(Box<Diagnosis>),
    /// The pod, or what makes it, was gone already.
    Gone,
    Failed(String),
}

/// Collects and judges. Takes as long as the cluster does: not to be called within the runtime.
pub(super) fn look(
    handle: &Handle,
    cluster: &Cluster,
    mesh_namespace: &str,
    look: &Look,
) -> Looked {
    let namespace = Some(look.owner.namespace.clone());
    let scope = Scope { namespace: namespace.clone(), ..Scope::default() };
    let workload = match &look.pod {
        Some((name, _)) => ("Pod".to_owned(), name.clone()),
        None => (look.owner.kind.clone(), look.owner.name.clone()),
    };
    let question = Question {
        namespace,
        workload: Some(workload),
        pods: look.pod.as_ref().map(|(_, uid)| HashSet::from([uid.clone()])),
        mesh_namespace: mesh_namespace.to_owned(),
        within: WITHIN,
        at_once: AT_ONCE,
        log_bytes: LOG_BYTES,
        ..Question::default()
    };
    let mut collector = Collector::new(scope.clone());
    // What one pod has to say is read faster than threads are made.
    let options = Options { scope, threads: 1, ..Options::default() };
    let place = (handle, cluster);
    let collected = match live::read(place, &question, Beside::default(), &options, &mut collector)
    {
        Ok((_, collected)) => collected,
        Err(why) => {
            return match why.downcast_ref::<CollectError>() {
                Some(CollectError::NoSuchWorkload { .. }) => Looked::Gone,
                _ => Looked::Failed(format!("{why:#}")),
            };
        }
    };
    if let Some(gap) = collected.gaps.iter().find(|gap| gap.what == "pods") {
        return Looked::Failed(gap.why.clone());
    }
    if look.pod.is_some() && collected.pods == 0 {
        return Looked::Gone;
    }
    Looked::Judged(Box::new(sunup_doctor::diagnose(&collector.finish())))
}
