//! The frozen picture that rules judge: pods with their logs and events, and the objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sunup_api::report::Unreadable;

use crate::gap::{Gap, Whole};
use crate::listed::Listed;
use crate::log::ContainerLog;
use crate::named::Named;
use crate::node_gate::{GateCount, NodeGate};
use crate::object::{
    ContainerStatus, Endpoints, Gateway, Manifest, Map, Meta, NetworkPolicy, NodeInfo, Pod,
    Service, WebhookConfiguration, Workload,
};
use crate::owners::Owners;
use crate::record::Place;
use crate::runs::Runs;
use crate::scope::Scope;

pub use crate::runs::{EventRun, Occurrence};

/// Everything that was handed over, reduced to what rules read.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What was asked for.
    pub scope: Scope,
    /// Pods, by namespace and name; last those that nothing names.
    pub pods: Vec<PodFacts>,
    /// Objects with a pod template.
    pub workloads: Vec<(Box<Workload>, Manifest)>,
    /// Services.
    pub services: Vec<(Box<Service>, Manifest)>,
    /// Addresses behind Services.
    pub endpoints: Vec<Endpoints>,
    /// Nodes by name.
    pub nodes: Vec<(String, NodeInfo)>,
    /// Namespaces.
    pub namespaces: Vec<(Meta, Manifest)>,
    /// ConfigMaps.
    pub config_maps: Vec<(Meta, Map)>,
    /// Istio Gateways.
    pub gateways: Vec<(Box<Gateway>, Manifest)>,
    /// NetworkPolicies.
    pub policies: Vec<(Box<NetworkPolicy>, Manifest)>,
    /// Mutating webhook configurations.
    pub webhooks: Vec<WebhookConfiguration>,
    /// IstioOperators: their spec as it stands.
    pub operators: Vec<(Meta, Value, Manifest)>,
    /// Events about anything but pods.
    pub events: Vec<EventRun>,
    /// What tables say of anything but pods.
    pub listed: Vec<Listed>,
    /// What nodes' agents say of pods, by namespace, pod and time.
    pub node_gates: Vec<NodeGate>,
    /// What nodes' agents count.
    pub gate_counts: Vec<GateCount>,
    /// Input that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Evidence that was looked for in a cluster and could not be had.
    pub gaps: Vec<Gap>,
    /// What a cluster has given in full.
    pub wholes: Vec<Whole>,
    /// Folders in which the answers lie of those who were asked, clusters and log stores, each with a
    /// slash behind it; empty where they lie in none.
    pub collections: Vec<String>,
    /// Objects that no rule reads.
    pub others: u64,
    /// Helm templates that can't be read before they are rendered.
    pub templates: Vec<Place>,
    /// Owners that events and tables name.
    pub owners: Owners,
    workloads_by_name: Named,
    pods_by_name: Named,
    services_by_name: Named,
    namespaces_by_name: Named,
    config_maps_by_name: Named,
}

/// What is known of one pod.
#[derive(Debug, Default)]
pub struct PodFacts {
    /// Namespace, where anything says it.
    pub namespace: Option<String>,
    /// Name; `None` where nothing says whose the log is.
    pub name: Option<String>,
    /// The object, where it was handed over.
    pub pod: Option<(Box<Pod>, Manifest)>,
    /// Logs by container; under the empty name what names no container.
    /// Boxed: most pods have few, and a tree makes room for eleven at once.
    pub logs: BTreeMap<String, Box<ContainerLog>>,
    /// Events, in the order of their first occurrence.
    pub events: Vec<EventRun>,
    /// What tables say of it, in the order of their places.
    pub listed: Vec<Listed>,
    /// Topmost owner (kind, name) where an export's labels say it.
    pub controller: Option<(String, String)>,
    /// The `pod-template-hash` where an export's labels say it.
    pub template_hash: Option<String>,
}

/// Rows of tables that are kept of one pod: the first ones and the last ones.
const ROWS_MAX: usize = 16;

impl PodFacts {
    pub(crate) fn named(namespace: &Option<String>, name: &str) -> Self {
        PodFacts {
            namespace: namespace.clone(),
            name: Some(name.to_owned()),
            ..PodFacts::default()
        }
    }

    /// The files that say anything of it; one may come several times.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Arc<str>> {
        let logs = self.logs.values().flat_map(|log| &log.files);
        let events = self.events.iter().flat_map(|run| &run.occurrences);
        let events = events.filter_map(|o| o.place.as_ref()).map(|place| &place.file);
        let object = self.pod.iter().map(|(_, manifest)| &manifest.place.file);
        let rows = self.listed.iter().map(|row| &row.place.file);
        logs.chain(events).chain(object).chain(rows)
    }

    /// Adds what a table says; a table that was printed again and again says the same.
    pub(crate) fn list(&mut self, row: Listed) {
        let at = self.listed.partition_point(|known| known.place <= row.place);
        self.listed.insert(at, row);
        if self.listed.len() > ROWS_MAX {
            self.listed.remove(ROWS_MAX / 2);
        }
    }

    /// Takes over what is known of the same pod by another name; `runs` is for this pod alone.
    pub(crate) fn absorb(&mut self, other: PodFacts, runs: &mut Runs) {
        for (container, log) in other.logs {
            self.logs.entry(container).or_default().absorb(*log);
        }
        runs.merge(&mut self.events, other.events);
        other.listed.into_iter().for_each(|row| self.list(row));
        self.pod = self.pod.take().or(other.pod);
        self.controller = self.controller.take().or(other.controller);
        self.template_hash = self.template_hash.take().or(other.template_hash);
        self.namespace = self.namespace.take().or(other.namespace);
    }

    /// The object's pod, where it was handed over.
    #[must_use]
    pub fn object(&self) -> Option<&Pod> {
        self.pod.as_ref().map(|(p, _)| &**p)
    }

    /// What tables say of a container, the latest word of the one that is listed last.
    #[must_use]
    pub fn listed_container(&self, name: &str) -> Option<&ContainerStatus> {
        self.listed.iter().rev().find_map(|row| row.container(name))
    }

    /// The log of a container.
    #[must_use]
    pub fn log(&self, container: &str) -> Option<&ContainerLog> {
        self.logs.get(container).map(|log| &**log)
    }

    /// Events of one container.
    pub fn events_of<'a>(&'a self, container: &'a str) -> impl Iterator<Item = &'a EventRun> {
        self.events.iter().filter(move |r| r.event.container.as_deref() == Some(container))
    }
}

impl Snapshot {
    /// Puts everything in an order that does not depend on the order of the input.
    pub(crate) fn settle(&mut self) {
        let pod = |p: &PodFacts| (p.name.is_none(), p.namespace.clone(), p.name.clone());
        self.pods.sort_by_cached_key(pod);
        self.workloads.sort_by(|(a, ma), (b, mb)| {
            fn key(w: &Workload) -> impl Ord + use<'_> {
                (&w.metadata.namespace, &w.kind, &w.metadata.name)
            }
            (key(a), &ma.place, ma.item).cmp(&(key(b), &mb.place, mb.item))
        });
        self.services.sort_by(|(_, a), (_, b)| (&a.place, a.item).cmp(&(&b.place, b.item)));
        self.policies.sort_by(|(_, a), (_, b)| (&a.place, a.item).cmp(&(&b.place, b.item)));
        self.gateways.sort_by(|(_, a), (_, b)| (&a.place, a.item).cmp(&(&b.place, b.item)));
        self.operators.sort_by(|(.., a), (.., b)| (&a.place, a.item).cmp(&(&b.place, b.item)));
        self.nodes.sort_by(|a, b| a.0.cmp(&b.0));
        self.nodes.dedup();
        self.events.iter_mut().for_each(EventRun::settle);
        self.events.sort_by(|a, b| a.order().cmp(&b.order()));
        self.listed.sort_by(|a, b| {
            fn key(row: &Listed) -> impl Ord + use<'_> {
                (&row.kind, &row.namespace, &row.name, &row.place)
            }
            key(a).cmp(&key(b))
        });
        self.owners = Owners::of(self.events.iter().map(|run| &run.event), &self.listed);
        self.node_gates.sort();
        self.gate_counts.sort();
        self.templates.sort();
        self.wholes.sort();
        self.collections.sort();
        self.gaps.sort();
        self.gaps.dedup();
        self.unreadable.sort();
        self.unreadable.dedup();
        self.workloads_by_name = Named::of(self.workloads.iter().map(|(w, _)| &*w.metadata.name));
        let pods = self.pods.iter().map(|pod| pod.name.as_deref().unwrap_or_default());
        self.pods_by_name = Named::of(pods);
        self.services_by_name = Named::of(self.services.iter().map(|(s, _)| &*s.metadata.name));
        self.namespaces_by_name = Named::of(self.namespaces.iter().map(|(n, _)| &*n.name));
        self.config_maps_by_name = Named::of(self.config_maps.iter().map(|(c, _)| &*c.name));
    }

    /// Where the lines and events stand that are kept of pods, and the events of everything else.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let runs = self.pods.iter().flat_map(|pod| &pod.events).chain(&self.events);
        let events = runs.flat_map(|run| &run.occurrences).filter_map(|one| one.place.as_ref());
        let logs = self.pods.iter().flat_map(|pod| pod.logs.values());
        logs.flat_map(|log| log.samples()).map(|sample| &sample.place).chain(events)
    }

    /// The workloads of that name, in their order.
    pub fn workloads_named<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a (Box<Workload>, Manifest)> + use<'a, 'n> {
        let found = self.workloads_by_name.find(&self.workloads, name);
        found.filter(move |(w, _)| w.metadata.name == name)
    }

    /// The pod of that name that is in this namespace, or of which nobody says where it is.
    #[must_use]
    pub fn pod_named(&self, namespace: &str, name: &str) -> Option<&PodFacts> {
        self.pods_by_name.find(&self.pods, name).find(|pod| {
            pod.name.as_deref() == Some(name)
                && pod.namespace.as_deref().is_none_or(|n| n == namespace)
        })
    }

    /// What nodes' agents say of a pod, in the order of time.
    pub fn node_gates_of(&self, facts: &PodFacts) -> impl DoubleEndedIterator<Item = &NodeGate> {
        let name = facts.name.as_deref().unwrap_or_default();
        let namespace = facts.namespace.as_deref();
        let uid = facts.object().and_then(|pod| pod.metadata.uid.as_deref());
        // Without a namespace any of that name may be meant: then all are looked through.
        let from = namespace.map_or(0, |namespace| {
            self.node_gates.partition_point(|g| (&*g.namespace, &*g.pod) < (namespace, name))
        });
        let of_name = move |gate: &&NodeGate| {
            gate.pod == name && namespace.is_none_or(|namespace| gate.namespace == namespace)
        };
        let rest = &self.node_gates[from..];
        let end = namespace.map_or(rest.len(), |_| rest.partition_point(|gate| of_name(&gate)));
        let all = rest[..end].iter().filter(of_name);
        // A StatefulSet's pods keep their names.
        all.filter(move |gate| uid.is_none() || gate.uid.is_none() || gate.uid.as_deref() == uid)
    }

    /// The Namespace of that name.
    #[must_use]
    pub fn namespace_named(&self, name: &str) -> Option<&Meta> {
        let found = self.namespaces_by_name.find(&self.namespaces, name);
        found.map(|(meta, _)| meta).find(|meta| meta.name == name)
    }

    /// The data of the ConfigMap of that name that a namespace sees.
    #[must_use]
    pub fn config_map_named(&self, namespace: Option<&str>, name: &str) -> Option<&Map> {
        let found = self.config_maps_by_name.find(&self.config_maps, name);
        let sees = |meta: &Meta| {
            let own = meta.namespace.as_deref();
            meta.name == name && (own.is_none() || namespace.is_none() || own == namespace)
        };
        found.filter(|(meta, _)| sees(meta)).map(|(_, data)| data).next()
    }

    /// The Services of that name that a namespace sees.
    pub fn services_named<'a>(
        &'a self,
        namespace: Option<&'a str>,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Service> {
        let found = self.services_by_name.find(&self.services, name);
        found.map(|(s, _)| &**s).filter(move |s| {
            let ns = s.metadata.namespace.as_deref();
            s.metadata.name == name && (ns.is_none() || namespace.is_none() || ns == namespace)
        })
    }
}
