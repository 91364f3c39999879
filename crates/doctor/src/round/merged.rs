//! What was said of all pods and manifests, kept once for each workload: of many pods that say the
//! same the clearest, so that it grows with the workloads and not with their replicas.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sunup_api::report::{Cleared, Finding, Subject, Unknown};
use sunup_evidence::snapshot::Snapshot;

use crate::judging::fault::{Fault, Innocent, Judgements, Open};
use crate::judging::home;
use crate::judging::ignore::Ignore;
use crate::round::gone::Gone;
use crate::round::ignored::Ignored;

/// Rule, cause, workload, and the file of its manifest.
type Whose = (&'static str, Option<&'static str>, Subject, Option<Arc<str>>);

/// Faults of one kind of source.
#[derive(Default)]
struct Side {
    faults: BTreeMap<Whose, Fault>,
    ignored: Vec<Innocent>,
}

/// All that was said, merged.
pub(crate) struct Merged<'s> {
    snapshot: &'s Snapshot,
    gone: Gone<'s>,
    ignored: Ignored,
    of_pods: Side,
    of_manifests: Side,
    cleared: BTreeMap<(&'static str, &'static str, Subject), Cleared>,
    unknown: BTreeMap<(&'static str, Subject), Unknown>,
}

/// A subject without its pods: what pods are merged by.
pub(crate) fn without_pods(subject: &Subject) -> Subject {
    Subject { pods: Vec::new(), ..subject.clone() }
}

/// The subject with its pods in order.
fn in_order(mut subject: Subject) -> Subject {
    subject.pods.sort();
    subject.pods.dedup();
    subject
}

/// Adds pods to those of a subject, which are in order.
fn add_pods(subject: &mut Subject, more: Vec<String>) {
    // They come in the order of their names, so that the next one is mostly the last.
    for next in more {
        match subject.pods.last() {
            Some(last) if *last >= next => {
                if let Err(at) = subject.pods.binary_search(&next) {
                    subject.pods.insert(at, next);
                }
            }
            _ => subject.pods.push(next),
        }
    }
}

impl<'s> Merged<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot) -> Self {
        Merged {
            snapshot,
            gone: Gone::of(snapshot),
            ignored: Ignored::of(snapshot),
            of_pods: Side::default(),
            of_manifests: Side::default(),
            cleared: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// What a rule says of a pod.
    pub(crate) fn of_pod(&mut self, said: Judgements) {
        said.faults.into_iter().for_each(|fault| self.fault(fault, true));
        self.rest(said.cleared, said.unknown);
    }

    /// What it says of a manifest.
    pub(crate) fn of_manifest(&mut self, said: Judgements) {
        said.faults.into_iter().for_each(|fault| self.fault(fault, false));
        self.rest(said.cleared, said.unknown);
    }

    fn fault(&mut self, fault: Fault, of_pod: bool) {
        if self.gone.took(&fault) {
            return;
        }
        let why = self.ignored.why(&fault);
        let side = if of_pod { &mut self.of_pods } else { &mut self.of_manifests };
        match why {
            Some(why) => {
                let (rule, look_alike) = (fault.rule, "ignored");
                side.ignored.push(Innocent { rule, look_alike, subject: fault.subject, why });
            }
            None => side.put(fault, self.snapshot),
        }
    }

    fn rest(&mut self, cleared: Vec<Innocent>, unknown: Vec<Open>) {
        cleared.into_iter().for_each(|one| self.innocent(one));
        unknown.into_iter().for_each(|one| self.open(one));
    }

    fn innocent(&mut self, one: Innocent) {
        if self.gone.is_gone(&one.subject) {
            return;
        }
        let key = (one.rule, one.look_alike, without_pods(&one.subject));
        match self.cleared.get_mut(&key) {
            Some(known) => add_pods(&mut known.subject, one.subject.pods),
            None => {
                let cleared = Cleared {
                    rule: one.rule.to_owned(),
                    look_alike: one.look_alike.to_owned(),
                    subject: in_order(one.subject),
                    why: one.why,
                };
                self.cleared.insert(key, cleared);
            }
        }
    }

    fn open(&mut self, one: Open) {
        if self.gone.is_gone(&one.subject) {
            return;
        }
        let key = (one.rule, without_pods(&one.subject));
        match self.unknown.get_mut(&key) {
            Some(known) => add_pods(&mut known.subject, one.subject.pods),
            None => {
                let unknown = Unknown {
                    rule: one.rule.to_owned(),
                    subject: in_order(one.subject),
                    missing: one.missing,
                    get_it_with: one.get_it_with,
                };
                self.unknown.insert(key, unknown);
            }
        }
    }

    /// The ignores that no fault has met.
    pub(crate) fn unused(&self) -> Vec<Ignore> {
        self.ignored.unused(self.snapshot)
    }

    /// Faults that nothing takes out.
    pub(crate) fn add(&mut self, faults: impl IntoIterator<Item = Fault>) {
        for fault in faults {
            self.of_manifests.put(fault, self.snapshot);
        }
    }

    /// Whether nothing was said at all.
    pub(crate) fn is_empty(&self) -> bool {
        let sides = [&self.of_pods, &self.of_manifests];
        sides.iter().all(|side| side.faults.is_empty() && side.ignored.is_empty())
            && self.cleared.is_empty()
            && self.unknown.is_empty()
    }

    /// The faults of each workload. What a manifest shows comes first: of two that say as much, it
    /// tells the story.
    pub(crate) fn take_faults(&mut self) -> Vec<Fault> {
        let mut side = std::mem::take(&mut self.of_manifests.faults);
        for (whose, fault) in std::mem::take(&mut self.of_pods.faults) {
            absorb(&mut side, whose, fault);
        }
        side.into_values().collect()
    }

    /// What was ruled out, and what is open but for workloads on which the rule has spoken already.
    pub(crate) fn rest_of(mut self, spoken: &[Finding]) -> (Vec<Cleared>, Vec<Unknown>) {
        for side in
            [&mut self.of_manifests, &mut self.of_pods].map(|s| std::mem::take(&mut s.ignored))
        {
            side.into_iter().for_each(|one| self.innocent(one));
        }
        let spoken: HashSet<_> = spoken.iter().map(|f| of(&f.rule, &f.subject)).collect();
        let open = |one: &Unknown| !spoken.contains(&of(&one.rule, &one.subject));
        let unknown = self.unknown.into_values().filter(open).collect();
        (self.cleared.into_values().collect(), unknown)
    }
}

/// A rule and whose it is, its pods and its container apart.
fn of<'a>(rule: &'a str, on: &'a Subject) -> (&'a str, &'a str, &'a str, Option<&'a str>) {
    (rule, &on.kind, &on.name, on.namespace.as_deref())
}

impl Side {
    fn put(&mut self, fault: Fault, snapshot: &Snapshot) {
        // A pod's, and a cluster's copy of a manifest, belong to a file as well, if it can be told.
        let own = home::manifests(&fault.subject, snapshot, &fault.home).ok().flatten();
        let file = own.map(|(_, manifest)| Arc::clone(&manifest.place.file));
        let whose = (fault.rule, fault.cause, without_pods(&fault.subject), file);
        absorb(&mut self.faults, whose, fault);
    }
}

/// One finding for all pods of a workload and the manifest that they come from: the clearest pod tells
/// the story.
fn absorb(merged: &mut BTreeMap<Whose, Fault>, whose: Whose, mut fault: Fault) {
    fault.subject = in_order(fault.subject);
    // A pod that is still broken tells more than one that has got over it, and either more than what
    // a manifest makes possible.
    let clear = |fault: &Fault| (!fault.subject.pods.is_empty(), fault.severity, fault.verdict);
    match merged.get_mut(&whose) {
        Some(known) => {
            if clear(&fault) > clear(known) {
                std::mem::swap(known, &mut fault);
            }
            add_pods(&mut known.subject, fault.subject.pods);
        }
        None => drop(merged.insert(whose, fault)),
    }
}
