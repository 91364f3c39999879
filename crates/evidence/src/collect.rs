//! Folds what readers hand over into one picture. State grows with containers, not with lines.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use sunup_api::report::Unreadable;

use crate::adopt::{self, Claim, Pods};
use crate::gap::Whole;
use crate::line::{ContainerKey, Noticed, Sign};
use crate::listed::Listed;
use crate::log::{ContainerLog, Sample};
use crate::node_gate::{GateCount, NodeGate};
use crate::object::{Manifest, Meta, Object, Origin, Pod, PodTemplate, Workload};
use crate::record::{Event, Place};
use crate::refused::{Joined, Joiner};
use crate::room::{Asking, Room, name_of};
use crate::runs::Runs;
use crate::scope::Scope;
use crate::snapshot::{EventRun, PodFacts, Snapshot};
use crate::weight;

pub use crate::room::KEPT_MAX;

/// Takes evidence in any order of files; lines of one file in their order.
#[derive(Default)]
pub struct Collector {
    scope: Scope,
    /// Pods that the input names, by namespace and name.
    pods: Pods,
    /// Logs and events of which the input does not say whose they are, by file.
    orphans: BTreeMap<Arc<str>, PodFacts>,
    /// What the lines of such logs say of whose they are, by file.
    claims: BTreeMap<Arc<str>, Claim>,
    /// Names of pods of namespaces that were not asked for: their logs may name no namespace.
    elsewhere: std::collections::HashSet<String>,
    joining: HashMap<(Arc<str>, Arc<ContainerKey>), Joining>,
    /// Where the events about anything but pods stand in the snapshot.
    others: Runs,
    /// What is kept of all that, and what is not any more.
    room: Room,
    /// Events that were left out of pods that have many, by pod.
    crowded: BTreeMap<(Option<String>, String), u64>,
    snapshot: Snapshot,
}

/// Lines of one container that may belong to one error.
struct Joining {
    joiner: Joiner,
    recent: VecDeque<(u64, Sample)>,
    next: u64,
}

/// Lines that a joiner may still refer to. An error longer than this has named its address by then.
const RECENT_MAX: usize = 64;
/// What a pod and one container of it need in memory beside what they say.
const CONTAINER_BYTES: usize =
    size_of::<PodFacts>() + size_of::<ContainerLog>() + size_of::<ContainerKey>() + 512;
/// The same with what may belong to one error of it.
const REFUSED_BYTES: usize =
    CONTAINER_BYTES + size_of::<Joining>() + size_of::<ContainerKey>() + 128;
/// Runs of events kept per pod; a pod that has more says the same thing again.
const EVENTS_MAX: usize = 256;

impl Collector {
    /// A collector for what was asked for.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Collector { scope, ..Collector::default() }
    }

    /// Keeps at most about so many bytes; [`KEPT_MAX`] where nobody says so.
    pub fn keep(&mut self, bytes: u64) {
        self.room.keep(bytes);
    }

    /// Whether nothing more is kept: what comes now is counted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room.is_full()
    }

    /// Whether there is room for something; else it is counted.
    fn takes(&mut self, asking: &Asking<'_>) -> bool {
        let (pods, orphans, joining) = (&self.pods, &self.orphans, &self.joining);
        let events = &self.snapshot.events;
        self.room.takes(asking, || {
            let facts = pods.values().chain(orphans.values()).map(weight::facts);
            let joining = joining.values().map(Joining::weight);
            let others = events.iter().map(weight::run);
            facts.chain(joining).chain(others).sum::<usize>() as u64
        })
    }

    /// What was asked for.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// A line that [`crate::line::notice`] kept.
    pub fn line(&mut self, file: &Arc<str>, mut noticed: Noticed) {
        if noticed.signs.has(Sign::NodeGate) {
            let place = Place::new(file, noticed.line);
            if let Some(gate) = NodeGate::of_line(&noticed.text, noticed.at, place) {
                return self.node_gate(gate);
            }
            noticed.signs.remove(Sign::NodeGate);
            if noticed.signs.is_empty() {
                return;
            }
        }
        let sample = Sample::of(file, &noticed);
        // The line, and what a container and its pod need that were not known before.
        let refused = noticed.signs.has(Sign::Refused);
        let own = if refused { REFUSED_BYTES } else { CONTAINER_BYTES };
        let asking = Asking {
            bytes: 2 * weight::sample(&sample) + own,
            fixed: false,
            kind: "lines",
            name: noticed.container.pod.as_deref(),
            file,
            line: sample.place.line,
        };
        if !self.takes(&asking) {
            return;
        }
        let telling = [Sign::ProxyStart, Sign::Rejected, Sign::PortSkipped];
        if noticed.container.pod.is_none() && telling.iter().any(|s| noticed.signs.has(*s)) {
            let claim = self.claims.entry(Arc::clone(file)).or_default();
            claim.line(&noticed.text, noticed.signs.has(Sign::ProxyStart));
        }
        let log = self.log(file, &noticed.container);
        log.sign(&sample, &noticed);
        if noticed.signs.has(Sign::Refused) {
            self.refused(file, &noticed, sample);
        }
    }

    fn refused(&mut self, file: &Arc<str>, noticed: &Noticed, sample: Sample) {
        let key = (Arc::clone(file), Arc::clone(&noticed.container));
        let joining = self.joining.entry(key).or_insert_with(|| Joining {
            joiner: Joiner::new(),
            recent: VecDeque::new(),
            next: 0,
        });
        let tag = joining.next;
        joining.next += 1;
        let at_ns = noticed.at.and_then(|t| i64::try_from(t.as_nanosecond()).ok());
        if joining.recent.len() == RECENT_MAX {
            joining.recent.pop_front();
        }
        joining.recent.push_back((tag, sample));
        if let Some(joined) = joining.joiner.push(tag, at_ns, &noticed.text) {
            let first = joining.sample(&joined);
            self.log(file, &noticed.container).joined(first, joined);
        }
    }

    fn log(&mut self, file: &Arc<str>, key: &ContainerKey) -> &mut ContainerLog {
        let facts = match &key.pod {
            Some(pod) => {
                let id = (key.namespace.clone(), pod.clone());
                self.pods.entry(id).or_insert_with_key(|(ns, pod)| PodFacts::named(ns, pod))
            }
            None => self.orphans.entry(Arc::clone(file)).or_default(),
        };
        if facts.controller.is_none() {
            facts.controller.clone_from(&key.controller);
        }
        if facts.template_hash.is_none() {
            facts.template_hash.clone_from(&key.template_hash);
        }
        if facts.namespace.is_none() {
            facts.namespace.clone_from(&key.namespace);
        }
        let log = facts.logs.entry(key.container.clone().unwrap_or_default()).or_default();
        log.of_file(file);
        log.previous |= key.previous;
        log
    }

    /// The input holds a log of this container, whether or not a line of it was kept.
    pub fn container_seen(&mut self, file: &Arc<str>, container: &ContainerKey) {
        let asked =
            self.scope.admits_object(container.namespace.as_deref(), container.pod.as_deref());
        let name = container.pod.as_deref();
        let bytes = CONTAINER_BYTES;
        let asking = Asking { bytes, fixed: false, kind: "logs", name, file, line: None };
        if asked && self.takes(&asking) {
            self.log(file, container);
        }
    }

    /// An event.
    pub fn event(&mut self, event: Event) {
        if !self.scope.admits_time(event.last.or(event.first)) {
            return;
        }
        let of_pod = event.kind.eq_ignore_ascii_case("pod") || event.kind.is_empty();
        let (file, line) = match &event.place {
            Some(place) => (&place.file, place.line),
            None => (&Arc::from("-"), None),
        };
        let (bytes, name) = (weight::event(&event), event.name.as_deref());
        let asking = Asking { bytes, fixed: false, kind: "events", name, file, line };
        if !self.takes(&asking) {
            return;
        }
        if !of_pod {
            self.others.add(&mut self.snapshot.events, event);
            return;
        }
        let facts = match (&event.name, &event.place) {
            (Some(name), _) => {
                if !self.scope.admits_object(event.namespace.as_deref(), Some(name)) {
                    return;
                }
                let id = (event.namespace.clone(), name.clone());
                self.pods.entry(id).or_insert_with_key(|(ns, pod)| PodFacts::named(ns, pod))
            }
            (None, Some(place)) => self.orphans.entry(Arc::clone(&place.file)).or_default(),
            (None, None) => return,
        };
        if facts.controller.is_none() {
            facts.controller.clone_from(&event.controller);
        }
        if !push_event(&mut facts.events, event) {
            let pod = (facts.namespace.clone(), facts.name.clone().unwrap_or_default());
            *self.crowded.entry(pod).or_default() += 1;
        }
    }

    /// What a node's agent says of a pod. It makes no pod known that nothing else tells of.
    pub fn node_gate(&mut self, gate: NodeGate) {
        let asking = Asking {
            bytes: weight::node_gate(&gate),
            fixed: true,
            kind: "words of a node's agent",
            name: Some(&gate.pod),
            file: &gate.place.file,
            line: gate.place.line,
        };
        let asked = self.scope.admits_object(Some(&gate.namespace), Some(&gate.pod));
        if asked && self.takes(&asking) {
            self.snapshot.node_gates.push(gate);
        }
    }

    /// How many pods get what, by the metrics of a node's agent.
    pub fn gate_count(&mut self, count: GateCount) {
        let asking = Asking {
            bytes: size_of::<GateCount>() + count.reason.len(),
            fixed: true,
            kind: "metrics",
            name: None,
            file: &count.place.file,
            line: count.place.line,
        };
        if self.takes(&asking) {
            self.snapshot.gate_counts.push(count);
        }
    }

    /// A row of a table.
    pub fn listed(&mut self, row: Listed) {
        let asking = Asking {
            bytes: weight::row(&row),
            fixed: row.kind != "Pod",
            kind: "rows",
            name: row.name.as_deref(),
            file: &row.place.file,
            line: row.place.line,
        };
        if !self.takes(&asking) {
            return;
        }
        if row.kind != "Pod" {
            if self.scope.admits_object(row.namespace.as_deref(), None) {
                self.snapshot.listed.push(row);
            }
            return;
        }
        if !self.scope.admits_object(row.namespace.as_deref(), row.name.as_deref()) {
            return;
        }
        let facts = match &row.name {
            Some(name) => {
                let id = (row.namespace.clone(), name.clone());
                self.pods.entry(id).or_insert_with_key(|(ns, pod)| PodFacts::named(ns, pod))
            }
            None => self.orphans.entry(Arc::clone(&row.place.file)).or_default(),
        };
        facts.list(row);
    }

    /// An object, and where it came from.
    pub fn object(&mut self, object: Object, manifest: Manifest) {
        let file = Arc::clone(&manifest.place.file);
        let asking = Asking {
            bytes: weight::object(&object, &manifest) + self.room.text(manifest.text.as_ref()),
            // The same pod may come again, and again.
            fixed: !matches!(&object, Object::Pod(pod) if is_live(pod)),
            kind: "objects",
            name: name_of(&object),
            file: &file,
            line: manifest.place.line,
        };
        let counted =
            matches!(object, Object::Event(_) | Object::Other(..) | Object::Collection(_));
        if !counted && !self.takes(&asking) {
            return;
        }
        let s = &mut self.snapshot;
        match object {
            Object::Pod(pod) if is_live(&pod) => {
                let meta = &pod.metadata;
                if !self.scope.admits_object(meta.namespace.as_deref(), Some(&meta.name)) {
                    self.elsewhere.insert(meta.name.clone());
                    return;
                }
                let id = (meta.namespace.clone(), meta.name.clone());
                let facts =
                    self.pods.entry(id).or_insert_with_key(|(ns, pod)| PodFacts::named(ns, pod));
                facts.pod = Some((pod, manifest));
            }
            Object::Pod(pod) => s.workloads.push((Box::new(bare_pod(*pod)), manifest)),
            Object::Workload(workload) => s.workloads.push((workload, manifest)),
            Object::Service(service) => s.services.push((service, manifest)),
            Object::Endpoints(endpoints) => s.endpoints.push(endpoints),
            Object::Node(meta, info) => s.nodes.push((meta.name, info)),
            Object::Namespace(meta) => s.namespaces.push((*meta, manifest)),
            Object::ConfigMap(meta, data) => s.config_maps.push((*meta, data)),
            Object::Gateway(gateway) => s.gateways.push((gateway, manifest)),
            Object::Policy(policy) => s.policies.push((policy, manifest)),
            Object::Webhooks(webhooks) => s.webhooks.push(*webhooks),
            Object::IstioOperator(meta, spec) => s.operators.push((*meta, spec, manifest)),
            Object::Event(event) => self.event(*event),
            Object::Collection(collection) => {
                let folder =
                    manifest.place.file.rfind('/').map_or("", |at| &manifest.place.file[..=at]);
                let folder = folder.to_owned();
                s.collections.push(folder.clone());
                s.wholes.extend(collection.whole.map(|whole| Whole { folder, ..whole }));
                s.gaps.extend(collection.gaps);
            }
            Object::Other(..) => s.others += 1,
        }
    }

    /// A Helm (Go) template that is no YAML before it is rendered. Not a fault of the input, and
    /// not judged; a fix for what it makes is printed, not written.
    pub fn template(&mut self, place: Place) {
        self.snapshot.templates.push(place);
    }

    /// A piece of input that could not be read.
    pub fn unreadable(&mut self, place: Place, why: String) {
        self.snapshot.unreadable.push(Unreadable { source: place.to_string(), why });
    }

    /// The frozen picture.
    #[must_use]
    pub fn finish(mut self) -> Snapshot {
        self.flush_joiners();
        self.tell();
        let (orphans, claims) =
            (std::mem::take(&mut self.orphans), std::mem::take(&mut self.claims));
        self.orphans = adopt::orphans(orphans, claims, &mut self.pods);
        self.merge_namespaces();
        let elsewhere = std::mem::take(&mut self.elsewhere);
        self.pods.retain(|(ns, name), _| ns.is_some() || !elsewhere.contains(name));
        let mut snapshot = self.snapshot;
        let mut pods: Vec<PodFacts> =
            self.pods.into_values().chain(self.orphans.into_values()).collect();
        for facts in &mut pods {
            adopt::name_the_only_container(facts);
            last_words(facts);
            facts.logs.values_mut().for_each(|log| log.settle());
            facts.events.iter_mut().for_each(EventRun::settle);
            facts.events.sort_by(|a, b| a.order().cmp(&b.order()));
        }
        snapshot.pods = pods;
        snapshot.scope = self.scope;
        snapshot.settle();
        snapshot
    }

    /// Says what was left out.
    fn tell(&mut self) {
        let crowded = std::mem::take(&mut self.crowded).into_iter().map(|((namespace, pod), more)| {
            let namespace = namespace.map(|name| format!("{name}/")).unwrap_or_default();
            let why = format!(
                "{more} more events, of other words than the {EVENTS_MAX} of this pod that are kept"
            );
            Unreadable { source: format!("Pod {namespace}{pod}"), why }
        });
        self.snapshot.unreadable.extend(self.room.told().into_iter().chain(crowded));
    }

    fn flush_joiners(&mut self) {
        let mut joining: Vec<_> = std::mem::take(&mut self.joining).into_iter().collect();
        joining.sort_by(|(a, _), (b, _)| a.cmp(b));
        for ((file, key), mut joining) in joining {
            while let Some(joined) = joining.joiner.flush() {
                let first = joining.sample(&joined);
                self.log(&file, &key).joined(first, joined);
            }
        }
    }

    /// A log without a namespace belongs to the pod of that name, where only one has it.
    fn merge_namespaces(&mut self) {
        // Of each name that is without a namespace somewhere: the namespaces that have it.
        let mut homes: BTreeMap<String, Vec<String>> = self
            .pods
            .keys()
            .filter(|(ns, _)| ns.is_none())
            .map(|(_, n)| (n.clone(), Vec::new()))
            .collect();
        if homes.is_empty() {
            return;
        }
        for (ns, name) in self.pods.keys() {
            if let (Some(ns), Some(homes)) = (ns, homes.get_mut(name)) {
                homes.push(ns.clone());
            }
        }
        for (name, homes) in homes {
            if let [home] = homes.as_slice()
                && let Some(facts) = self.pods.remove(&(None, name.clone()))
                && let Some(pod) = self.pods.get_mut(&(Some(home.clone()), name))
            {
                pod.absorb(facts, &mut Runs::default());
            }
        }
    }
}

impl Joining {
    fn weight(&self) -> usize {
        let recent = self.recent.iter().map(|(_, sample)| weight::sample(sample));
        REFUSED_BYTES - CONTAINER_BYTES + recent.sum::<usize>()
    }

    fn sample(&self, joined: &Joined) -> Sample {
        let of_tag = self.recent.iter().find(|(tag, _)| *tag >= joined.tag);
        let (_, sample) = of_tag
            .or_else(|| self.recent.back())
            .expect("a joined error consists of lines that were pushed");
        sample.clone()
    }
}

/// Whether a Pod object is one that a cluster has, rather than a manifest for one.
fn is_live(pod: &Pod) -> bool {
    let status = &pod.status;
    pod.metadata.uid.is_some()
        || status.phase.is_some()
        || status.start_time.is_some()
        || !status.container_statuses.is_empty()
}

fn bare_pod(pod: Pod) -> Workload {
    Workload {
        kind: "Pod".to_owned(),
        api_version: "v1".to_owned(),
        selector: pod.metadata.labels.clone(),
        metadata: pod.metadata.clone(),
        template: PodTemplate {
            metadata: Meta { name: String::new(), ..pod.metadata },
            spec: pod.spec,
        },
        template_path: Vec::new(),
        conditions: Vec::new(),
    }
}

/// The termination message of a container whose log was not handed over: what it said last, before
/// it ended.
///
/// # Sources
/// Kubernetes, "Determine the Reason for Pod Failure": `terminationMessagePolicy:
/// FallbackToLogsOnError` puts the tail of the log there.
fn last_words(facts: &mut PodFacts) {
    let Some((pod, manifest)) = &facts.pod else { return };
    let status = &pod.status;
    for container in status.init_container_statuses.iter().chain(&status.container_statuses) {
        if facts.logs.get(&container.name).is_some_and(|l| !l.refusals.is_empty()) {
            continue;
        }
        let ended = [&container.last_state, &container.state];
        for ended in ended.into_iter().filter_map(|s| s.terminated.as_ref()) {
            let Some(text) = ended.message.as_deref() else { continue };
            let Some(refused) = crate::refused::recognise(text) else { continue };
            let at =
                crate::time::parse(ended.finished_at.as_deref()).map(|t| t + crate::time::SECOND);
            let place = manifest.place.clone();
            let text = crate::line::cut(text.trim_end(), crate::line::TEXT_MAX).into();
            let sample = Sample { at, place, text, last_words: true };
            let log = facts.logs.entry(container.name.clone()).or_default();
            log.refused(sample, &refused);
        }
    }
}

/// Whether it is kept.
fn push_event(runs: &mut Vec<EventRun>, event: Event) -> bool {
    let full = runs.len() >= EVENTS_MAX;
    match runs.iter_mut().find(|r| r.is_of(&event)) {
        Some(run) => run.add(&event),
        None if full => return false,
        None => runs.push(EventRun::new(event)),
    }
    true
}

impl Manifest {
    /// Whether the object may be edited where it lies.
    #[must_use]
    pub fn is_editable(&self) -> bool {
        self.origin == Origin::Plain && self.path.is_some()
    }
}
