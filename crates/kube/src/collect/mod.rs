//! Collects evidence: lists of objects and logs of containers, side by side, each query with its
//! own deadline. What can't be had is named, and the rest is handed on.
//!
//! What is collected is handed over in pieces, each a file such as kubectl would write, under a
//! name that says whose log it is. Kept in a folder they are read again to the same report. Knows
//! nothing of what a line means; never asks for Secrets.

mod family;
mod logs;
mod question;
mod run;
mod target;

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use sunup_evidence::gap::Gap;
use tokio::sync::mpsc::Sender;

use crate::client::Cluster;
use crate::list::List;
use crate::need::{LISTS, MESH_CONFIG, Need, PODS, Reach};
use crate::request::{Ask, Bounds, Trouble, ask, escape};

use family::{Family, Item};
use logs::Logs;
use run::Run;
use target::Target;
pub(crate) use target::selector;

pub use question::{CollectError, Collected, Log, Of, Piece, Question};

/// Collects everything that `question` asks for into `sink`.
///
/// # Errors
/// Credentials that are not accepted, an API server that can't be reached, a workload that isn't
/// there. Anything less is a [`Gap`].
pub async fn collect(
    cluster: &Cluster,
    question: &Question,
    sink: Sender<Piece>,
) -> Result<Collected, CollectError> {
    let narrow = question.workload.is_some() || question.selector.is_some();
    let run = Run { cluster, question, sink: &sink, gaps: RefCell::default(), narrow };
    let target = Target::find(&run).await?;
    let mut family = Family::default();
    family.uids.extend(target.uid.clone());
    let mut logs = Logs::default();
    run.pods(&target, &mut family, &mut logs).await?;
    let (read, ()) = futures::join!(logs.read(&run), run.objects(&mut family));
    let gaps = merged(run.gaps.into_inner());
    let collected = Collected { pods: logs.pods, logs: read.read, cut: read.cut, gaps };
    let _ = sink.send(about(cluster, question, &collected)).await;
    Ok(collected)
}

impl Run<'_> {
    async fn pods(
        &self,
        target: &Target,
        family: &mut Family,
        logs: &mut Logs,
    ) -> Result<(), Trouble> {
        if target.empty {
            return Ok(());
        }
        let namespace = self.question.namespace.as_deref();
        let mut query = Vec::new();
        query.extend(target.selector.as_deref().map(|s| ("labelSelector", s)));
        query.extend(target.fields.as_deref().map(|s| ("fieldSelector", s)));
        let list = List { need: &PODS, version: None, namespace, query };
        let each = |item: &RawValue| logs.note(item, self.question, target, family);
        match self.list(&list, each).await {
            Err(trouble) if trouble.is_final() => Err(trouble),
            Err(trouble) => {
                self.gap(&PODS, namespace, &trouble);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Everything but pods and logs. Owners come first: they say which of the rest is wanted.
    async fn objects(&self, family: &mut Family) {
        let between = |need: &&Need| matches!(need.kind, "ReplicaSet" | "Job");
        for need in LISTS.iter().filter(between) {
            let mut owners = Vec::new();
            let each = |item: &RawValue| {
                let Ok(item) = serde_json::from_str::<Item>(item.get()) else { return true };
                let wanted = family.owns(&item)
                    // One that makes no pods, though it should: its events say why.
                    || need.kind == "ReplicaSet" && !self.narrow && item.spec.replicas != Some(0);
                if wanted {
                    owners.push(item.metadata.uid);
                    owners.extend(item.metadata.owner_references.into_iter().map(|o| o.uid));
                }
                wanted
            };
            self.need(need, each).await;
            family.uids.extend(owners);
        }
        let family = &*family;
        let rest = LISTS.iter().filter(|need| !between(need)).map(|need| {
            let each = |item: &RawValue| {
                let owned = match need.kind {
                    "Deployment" | "StatefulSet" | "DaemonSet" | "CronJob" | "Event" => self.narrow,
                    _ => false,
                };
                // What can't be read is the reader's to complain about.
                !owned || serde_json::from_str(item.get()).map_or(true, |item| family.owns(&item))
            };
            self.need(need, each)
        });
        futures::join!(futures::future::join_all(rest), self.mesh(family));
    }

    async fn need(&self, need: &Need, each: impl FnMut(&RawValue) -> bool) {
        let asked = self.question.namespace.as_deref();
        let mesh = self.question.mesh_namespace.as_str();
        let only = asked.map(|namespace| format!("metadata.name={namespace}"));
        let mut list = List { need, version: None, namespace: None, query: Vec::new() };
        match need.reach {
            Reach::Asked => list.namespace = asked,
            Reach::Mesh => list.namespace = Some(mesh),
            Reach::All | Reach::Cluster => {}
        }
        if need.kind == "Namespace" {
            list.query.extend(only.as_deref().map(|only| ("fieldSelector", only)));
        }
        let mut each = each;
        let mut done = self.list(&list, &mut each).await;
        // Served under an older version by an older Istio, or not at all: no custom resource.
        let older =
            if need.group == "networking.istio.io" { &["v1beta1", "v1alpha3"][..] } else { &[] };
        for version in older {
            if matches!(&done, Err(trouble) if trouble.code() == Some(404)) {
                list.version = Some(version);
                done = self.list(&list, &mut each).await;
            }
        }
        let Err(trouble) = done else { return };
        let custom = need.group.ends_with(".istio.io");
        if custom && trouble.code() == Some(404) {
            return;
        }
        self.gap(need, list.namespace, &trouble);
        if need.reach == Reach::All && asked.is_some() && trouble.code() == Some(403) {
            list.namespace = asked;
            if let Err(trouble) = self.list(&list, &mut each).await {
                self.gap(need, asked, &trouble);
            }
        }
    }

    /// The mesh's ConfigMaps, by the names that its revisions give them.
    async fn mesh(&self, family: &Family) {
        let names = ["istio", "istio-sidecar-injector"];
        let revisions = family.revisions.iter().flat_map(|revision| {
            let asm = revision.strip_prefix("asm-managed").map(|_| format!("istio-{revision}"));
            names.iter().map(move |name| format!("{name}-{revision}")).chain(asm)
        });
        let names: BTreeSet<String> =
            names.iter().map(|&name| name.to_owned()).chain(revisions).collect();
        let mesh = self.question.mesh_namespace.as_str();
        let path = MESH_CONFIG.path(Some(mesh));
        let mut items: Vec<Value> = Vec::new();
        for name in names {
            let one = Ask::get(format!("{path}/{}", escape(&name)));
            let bounds = Bounds::new(self.question.within, 16 << 20);
            match ask(self.cluster, &one, bounds).await {
                Ok(bytes) => items.extend(serde_json::from_slice::<Value>(&bytes)),
                // A mesh has one or the other; a cluster without a mesh, none.
                Err(trouble) if trouble.code() == Some(404) => {}
                Err(trouble) => {
                    self.gap(&MESH_CONFIG, Some(mesh), &trouble);
                    break;
                }
            }
        }
        if items.is_empty() {
            return;
        }
        let lines: Vec<String> = items.iter().map(Value::to_string).collect();
        let head = "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n";
        let text = format!("{head}{}\n]}}\n", lines.join(",\n"));
        let of = Of::Objects(MESH_CONFIG.kind);
        self.pass("configmaps.json".to_owned(), text.into_bytes(), of).await;
    }
}

/// The same gap of many is told once.
fn merged(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort();
    gaps.dedup();
    gaps
}

/// What was collected where, and what is missing: read back with the rest.
fn about(cluster: &Cluster, question: &Question, collected: &Collected) -> Piece {
    let named = &cluster.named;
    let narrow = question.workload.is_some() || question.selector.is_some();
    // ReplicaSets and Jobs are kept only where they have pods or should have.
    let whole = std::iter::once(&PODS).chain(LISTS).filter(|need| {
        matches!(need.kind, "Pod" | "Deployment" | "StatefulSet" | "DaemonSet" | "CronJob")
            && !collected.gaps.iter().any(|gap| gap.what == need.resource)
    });
    let kinds: Vec<&str> = whole.map(|need| need.kind).collect();
    let whole = (!narrow).then(|| json!({"namespace": question.namespace, "kinds": kinds}));
    let about = json!({
        "apiVersion": "sunup.dev/v1",
        "kind": "Collection",
        "metadata": {"name": named.context.as_deref().unwrap_or("in-cluster")},
        "cluster": named.cluster,
        "server": named.server,
        "gaps": collected.gaps,
        "whole": whole,
    });
    let mut bytes = about.to_string().into_bytes();
    bytes.push(b'\n');
    Piece { name: "collection.json".to_owned(), bytes, of: Of::Collection }
}
