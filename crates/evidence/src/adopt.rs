//! Finds the pods of logs, events and rows that name none, once everything has been read.
//!
//! In this order: what the lines themselves say (a proxy's own name), the pod of the same file,
//! the only pod with a container of that name, the only pod that was handed over at all: people
//! paste an error and the events under it. Where several could be meant, it stays nobody's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sunup_api::container;

use crate::identity;
use crate::log::ContainerLog;
use crate::object::Pod;
use crate::runs::Runs;
use crate::shape::is_mesh_container;
use crate::snapshot::PodFacts;

/// Pods by namespace and name.
pub(crate) type Pods = BTreeMap<(Option<String>, String), PodFacts>;

/// istiod's container.
pub(crate) const CONTROL_PLANE: &str = "discovery";

/// What the lines of a file say of whose they are.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    /// Proxies that name themselves: namespace and pod.
    proxies: BTreeSet<(String, String)>,
    /// Lines are there that only a control plane writes.
    control_plane: bool,
}

/// Proxies of one file that are told apart: a file with more has no owner anyway.
const PROXIES_MAX: usize = 4;

impl Claim {
    /// A line of which the input does not say whose it is.
    pub(crate) fn line(&mut self, text: &str, of_proxys_start: bool) {
        if of_proxys_start
            && self.proxies.len() < PROXIES_MAX
            && let Some((pod, namespace)) = identity::own(text)
        {
            self.proxies.insert((namespace.to_owned(), pod.to_owned()));
        }
        self.control_plane |= identity::is_of_control_plane(text);
    }
}

/// Gives everything that names no pod to the pod it belongs to; what is left is returned.
pub(crate) fn orphans(
    orphans: BTreeMap<Arc<str>, PodFacts>,
    mut claims: BTreeMap<Arc<str>, Claim>,
    pods: &mut Pods,
) -> BTreeMap<Arc<str>, PodFacts> {
    let mut left: BTreeMap<Arc<str>, PodFacts> = BTreeMap::new();
    let mut homeless = Vec::new();
    let mut runs: HashMap<Id, Runs> = HashMap::new();
    // First those that say it themselves: they may make known the only pod of the others.
    for (file, mut facts) in orphans {
        let claim = claims.remove(&file).unwrap_or_default();
        let mut proxies = claim.proxies.into_iter();
        match (proxies.next(), proxies.next()) {
            (Some((namespace, pod)), None) => {
                call_unnamed(&mut facts, container::PROXY, is_a_proxys);
                let id = (Some(namespace), pod);
                let home =
                    pods.entry(id.clone()).or_insert_with_key(|(ns, pod)| PodFacts::named(ns, pod));
                home.absorb(facts, runs.entry(id).or_default());
            }
            (None, _) if claim.control_plane => {
                call_unnamed(&mut facts, CONTROL_PLANE, |_| true);
                homeless.push((file, facts));
            }
            _ => homeless.push((file, facts)),
        }
    }
    let none_named = pods.is_empty();
    let mut index = Index::of(pods, &homeless, runs);
    let mut of_nobody = Runs::default();
    for (file, facts) in homeless {
        match index.home(&file, &facts, pods) {
            Some(id) => index.absorb(pods, id, facts),
            // No pod is named anywhere: everything without a name is one pod's.
            None if none_named && !is_control_planes(&facts) => {
                left.entry("".into()).or_default().absorb(facts, &mut of_nobody);
            }
            None => drop(left.insert(file, facts)),
        }
    }
    left
}

/// Gives the log that names no container a name, where nothing in it speaks against it.
fn call_unnamed(facts: &mut PodFacts, name: &str, fits: impl Fn(&ContainerLog) -> bool) {
    if facts.logs.get("").is_some_and(|log| fits(log))
        && let Some(log) = facts.logs.remove("")
    {
        facts.logs.entry(name.to_owned()).or_default().absorb(*log);
    }
}

/// Whether no line of another program was kept: `kubectl logs --all-containers` mixes a pod's
/// containers, and an application's error is not to become its proxy's.
pub(crate) fn is_a_proxys(log: &ContainerLog) -> bool {
    let refused = log.refusals.iter().flat_map(|burst| &burst.samples);
    let friends = log.friends.values().map(|(sample, _)| sample);
    let symptoms = log.symptoms.values().flat_map(|marks| marks.iter());
    let mut all = refused.chain(friends).chain(symptoms);
    all.all(|sample| identity::is_istios(&sample.text))
}

fn is_control_planes(facts: &PodFacts) -> bool {
    facts.logs.contains_key(CONTROL_PLANE)
}

type Id = (Option<String>, String);

/// Pods by what ties a text to them, so that many texts don't look at every one of many pods.
#[derive(Default)]
struct Index {
    /// By the files that homeless texts are of.
    by_file: HashMap<Arc<str>, Vec<Id>>,
    /// Pods that were handed over, by the names of their containers.
    by_container: HashMap<String, Vec<Id>>,
    /// Those of which more is known than a row of a table.
    known: BTreeSet<Id>,
    runs: HashMap<Id, Runs>,
}

impl Index {
    fn of(pods: &Pods, homeless: &[(Arc<str>, PodFacts)], runs: HashMap<Id, Runs>) -> Index {
        let mut index = Index { runs, ..Index::default() };
        let files: BTreeSet<&Arc<str>> = homeless.iter().map(|(file, _)| file).collect();
        if files.is_empty() {
            return index;
        }
        for (id, pod) in pods {
            if is_known(pod) {
                index.known.insert(id.clone());
            }
            for container in pod.object().into_iter().flat_map(containers) {
                let ids = index.by_container.entry(container.to_owned()).or_default();
                // A pod has a name once, unless it is broken.
                if ids.last() != Some(id) {
                    ids.push(id.clone());
                }
            }
            for file in pod.files().filter(|file| files.contains(file)) {
                let ids = index.by_file.entry(Arc::clone(file)).or_default();
                if ids.last() != Some(id) {
                    ids.push(id.clone());
                }
            }
        }
        index
    }

    fn absorb(&mut self, pods: &mut Pods, id: Id, facts: PodFacts) {
        if let Some(pod) = pods.get_mut(&id) {
            pod.absorb(facts, self.runs.entry(id.clone()).or_default());
            if is_known(pod) {
                self.known.insert(id);
            }
        }
    }

    fn home(&self, file: &Arc<str>, facts: &PodFacts, pods: &Pods) -> Option<Id> {
        let fits = |id: &Id| pods.get(id).is_some_and(|pod| could_be_of(facts, id, pod));
        let of_file = self.by_file.get(file).map(Vec::as_slice).unwrap_or_default();
        // A row of a table makes a pod known, but not the subject of what was handed over.
        for known_only in [true, false] {
            let counts = |id: &&Id| !known_only || self.known.contains(*id);
            if of_file.iter().any(|id| counts(&id)) {
                return only(of_file.iter().filter(counts).filter(|id| fits(id)));
            }
            let mut all = pods.keys().filter(|_| !known_only);
            let first = if known_only { self.known.first() } else { all.next() };
            let several = if known_only { self.known.len() > 1 } else { all.next().is_some() };
            if let Some(first) = first {
                return self
                    .with_containers(facts, pods, &counts)
                    .or_else(|| (!several && fits(first)).then(|| first.clone()));
            }
        }
        None
    }

    /// The only pod that has all the containers which a text names.
    fn with_containers(
        &self,
        facts: &PodFacts,
        pods: &Pods,
        counts: &impl Fn(&&Id) -> bool,
    ) -> Option<Id> {
        let named = facts.logs.keys().filter(|name| !name.is_empty());
        let having = |name: &String| self.by_container.get(name).map_or(&[][..], Vec::as_slice);
        let fewest = named.map(having).min_by_key(|ids| ids.len())?;
        let has_all = |id: &&Id| pods.get(*id).is_some_and(|pod| has_all_containers(facts, pod));
        only(fewest.iter().filter(counts).filter(has_all))
    }
}

fn only<'p>(mut found: impl Iterator<Item = &'p Id>) -> Option<Id> {
    match (found.next(), found.next()) {
        (Some(id), None) => Some(id.clone()),
        _ => None,
    }
}

/// Whether more is known of a pod than that a table lists it.
fn is_known(pod: &PodFacts) -> bool {
    pod.pod.is_some() || !pod.logs.is_empty() || !pod.events.is_empty()
}

/// Whether nothing speaks against it: a pod that was handed over has the containers it has, and
/// a control plane's log is no other pod's.
fn could_be_of(facts: &PodFacts, (_, name): &Id, pod: &PodFacts) -> bool {
    if is_control_planes(facts) {
        let named = ["istiod-", "istio-pilot-"].iter().any(|stem| name.starts_with(stem));
        return pod.object().map_or(named, |object| has_container(object, CONTROL_PLANE));
    }
    let named = facts.logs.keys().filter(|name| !name.is_empty());
    pod.object().is_none_or(|object| named.into_iter().all(|name| has_container(object, name)))
}

/// Whether a pod that was handed over has containers of these names, among them one that not
/// every pod of a mesh has.
fn has_all_containers(facts: &PodFacts, pod: &PodFacts) -> bool {
    let Some(object) = pod.object() else { return false };
    let named = || facts.logs.keys().filter(|name| !name.is_empty());
    named().any(|name| !is_mesh_container(name)) && named().all(|name| has_container(object, name))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &str> {
    let all = pod.spec.init_containers.iter().chain(&pod.spec.containers);
    all.map(|container| container.name.as_str())
}

fn has_container(pod: &Pod, name: &str) -> bool {
    containers(pod).any(|container| container == name)
}

/// Of a pod whose log names no container, and which has one application container, it is that
/// one's; of a gateway, which has none, its proxy's.
pub(crate) fn name_the_only_container(facts: &mut PodFacts) {
    let Some((pod, _)) = &facts.pod else { return };
    let mut apps = pod.spec.containers.iter().filter(|c| c.name != container::PROXY);
    let name = match (apps.next(), apps.next()) {
        (Some(app), None) => app.name.clone(),
        (None, None) => match pod.spec.containers.first() {
            Some(only) => only.name.clone(),
            None => return,
        },
        _ => return,
    };
    if let Some(log) = facts.logs.remove("") {
        facts.logs.entry(name).or_default().absorb(*log);
    }
}
