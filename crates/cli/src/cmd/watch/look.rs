//! One look: a pod's evidence collected now, and judged, as `sunup doctor --live` does.

use std::collections::HashSet;
use std::time::Duration;

use sunup_doctor::Diagnosis;
use sunup_doctor::redact::{Addresses, Redactor};
use sunup_evidence::collect::Collector;
use sunup_evidence::scope::Scope;
use sunup_intake::Options;
use sunup_kube::Cluster;
use sunup_kube::collect::{CollectError, Question};
use sunup_watch::Look;
use tokio::runtime::Handle;

use super::incidents::{EVIDENCE, Kept};
use crate::keep::Keep;
use crate::live::{self, Beside};

/// How long one query may take: a later look may have more luck.
const WITHIN: Duration = Duration::from_secs(10);
/// Logs that are read at once.
const AT_ONCE: usize = 4;
/// Bytes of each log. A pod that has just started has not written more about it.
const LOG_BYTES: usize = 256 << 10;

/// What came of it.
pub(super) enum Looked {
    Judged(Box<Diagnosis>, Option<Box<Kept>>),
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
    keeps: bool,
) -> Looked {
    tried(handle, cluster, mesh_namespace, look, keeps)
        .unwrap_or_else(|why| Looked::Failed(format!("{why:#}")))
}

fn tried(
    handle: &Handle,
    cluster: &Cluster,
    mesh_namespace: &str,
    look: &Look,
    keeps: bool,
) -> anyhow::Result<Looked> {
    let plain = keeps.then(tempfile::tempdir).transpose()?;
    let keep = plain.as_ref().map(|plain| Keep::new(&plain.path().join(EVIDENCE), false));
    let keep = keep.transpose()?;
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
    let beside = Beside { keep: keep.as_ref(), ..Beside::default() };
    let read = live::read(place, &question, beside, &options, &mut collector);
    let collected = match read {
        Ok((_, collected)) => collected,
        Err(why) => match why.downcast_ref::<CollectError>() {
            Some(CollectError::NoSuchWorkload { .. }) => return Ok(Looked::Gone),
            _ => return Err(why),
        },
    };
    if let Some(gap) = collected.gaps.iter().find(|gap| gap.what == "pods") {
        return Ok(Looked::Failed(gap.why.clone()));
    }
    if look.pod.is_some() && collected.pods == 0 {
        return Ok(Looked::Gone);
    }
    let snapshot = collector.finish();
    let diagnosis = sunup_doctor::diagnose(&snapshot);
    let kept = plain.filter(|_| !diagnosis.report.findings.is_empty()).map(|plain| {
        let redactor = Redactor::new(&snapshot, Addresses::Named);
        Box::new(Kept { plain, stories: sunup_doctor::stories(&snapshot), redactor })
    });
    keep.filter(|_| kept.is_some()).map(Keep::done).transpose()?;
    Ok(Looked::Judged(Box::new(diagnosis), kept))
}
