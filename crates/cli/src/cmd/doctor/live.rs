//! `sunup doctor --live`: what to collect from a cluster, and what is said about it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use sunup_evidence::collect::Collector;
use sunup_intake::{Options, Summary};
use sunup_kube::Cluster;
use sunup_kube::collect::{Collected, Question};
use sunup_kube::provider::{NodePlace, provider};
use sunup_store::{Clues, NodeClue};
use tokio::runtime::Runtime;

use super::args::Args;
use crate::global::Global;
use crate::live::{self, Beside};
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
    /// The namespace that is asked about; `None` is all of them.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.question.namespace.as_deref()
    }

    /// Whether this runs in a pod of the cluster.
    pub(super) fn is_own(&self) -> bool {
        self.cluster.named.context.is_none()
    }

    /// What the cluster says of the cloud it runs in, and what the kubeconfig calls it.
    pub(super) fn clues(&self) -> anyhow::Result<Clues> {
        let named = &self.cluster.named;
        let asking = provider(&self.cluster, self.question.within);
        let said = self.runtime.block_on(asking).with_context(|| named.to_string())?;
        let node = |node: NodePlace| NodeClue {
            provider_id: node.provider_id,
            region: node.region,
            zone: node.zone,
        };
        Ok(Clues {
            issuer: said.issuer,
            attributes: None,
            // A context is often renamed, what it names rarely.
            names: named.cluster.iter().chain(&named.context).cloned().collect(),
            nodes: said.nodes.into_iter().map(node).collect(),
            unseen: said.unseen,
        })
    }

    /// Reads the cluster together with what else was handed over.
    pub(super) fn read(
        &self,
        beside: Beside<'_>,
        options: &Options,
        collector: &mut Collector,
    ) -> anyhow::Result<(Summary, Vec<String>)> {
        let place = (self.runtime.handle(), &self.cluster);
        let (summary, collected) = live::read(place, &self.question, beside, options, collector)?;
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
