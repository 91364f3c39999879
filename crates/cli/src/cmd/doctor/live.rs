//! `sunup doctor --live`: what to collect from a cluster, and what is said about it.

use std::time::Duration;

use anyhow::ensure;
use sunup_evidence::collect::Collector;
use sunup_intake::{Input, Options, Summary};
use sunup_kube::Cluster;
use sunup_kube::collect::{Collected, Question};
use tokio::runtime::Runtime;

use super::args::Args;
use crate::global::Global;
use crate::keep::Keep;
use crate::live;
use crate::out;

/// A cluster that was connected to.
pub(super) struct Live {
    runtime: Runtime,
    cluster: Cluster,
    question: Question,
}

/// Connects, where that was asked for, and says to what.
pub(super) fn connect(args: &Args, global: &Global) -> anyhow::Result<Option<Live>> {
    let asked = &args.live;
    if !asked.live {
        return Ok(None);
    }
    let workload = args.scope().workload;
    ensure!(
        !(asked.all_namespaces && workload.is_some()),
        "-w names a workload of one namespace: give it with -n instead of -A"
    );
    let (runtime, cluster) = asked.place.connect()?;
    let own = || cluster.named.namespace.clone();
    let namespace = (!asked.all_namespaces).then(|| args.namespace.clone().unwrap_or_else(own));
    let place = match &namespace {
        Some(namespace) => format!("namespace {namespace}"),
        None => "all namespaces".to_owned(),
    };
    out::note(global, &format!("asking {}, {place}", cluster.named));
    let mut question = Question {
        namespace,
        selector: asked.selector.clone(),
        workload,
        mesh_namespace: asked.istio_namespace.clone(),
        ..Question::default()
    };
    if let Some(seconds) = asked.query_timeout {
        question.within = Duration::from_secs(seconds.get());
    }
    Ok(Some(Live { runtime, cluster, question }))
}

impl Live {
    /// Reads the cluster together with what else was handed over.
    pub(super) fn read(
        &self,
        inputs: Vec<Input>,
        keep: Option<&Keep>,
        options: &Options,
        collector: &mut Collector,
    ) -> anyhow::Result<(Summary, Vec<String>)> {
        let place = (self.runtime.handle(), &self.cluster);
        let (summary, collected) =
            live::read(place, &self.question, keep, inputs, options, collector)?;
        Ok((summary, self.notes(&collected)))
    }

    /// What is worth knowing beside the report.
    fn notes(&self, collected: &Collected) -> Vec<String> {
        let mut notes = Vec::new();
        if collected.cut > 0 {
            notes.push(format!(
                "of {} of {} logs only the first {} MiB were read: start-up is told there",
                collected.cut,
                collected.logs,
                self.question.log_bytes >> 20
            ));
        }
        notes
    }
}
