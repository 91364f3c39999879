//! What was found and still lasts: told once, however often it is found again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sunup_api::report::{Finding, Severity, Subject, Verdict};

use crate::rate::Rate;

/// What makes two findings the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its workload.
    pub workload: Workload,
    /// Rule.
    pub rule: String,
    /// Which of the rule's causes.
    pub cause: Option<String>,
}

/// A workload, whichever its pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// Namespace; `None` where nothing says it.
    pub namespace: Option<String>,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// A finding that lasts.
#[derive(Debug, Clone)]
pub struct Open {
    /// How bad it is.
    pub severity: Severity,
    /// How certain it has become.
    pub verdict: Verdict,
    /// When it was first found.
    pub since: Duration,
    /// uids of owners whose pods show it.
    pub(crate) groups: BTreeSet<String>,
}

/// All that was found and lasts.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) open: BTreeMap<Key, Open>,
    /// What may still be told of a workload.
    rates: BTreeMap<Workload, Rate>,
    rate: Rate,
}

impl Key {
    fn of(finding: &Finding) -> Key {
        let Subject { namespace, kind, name, .. } = finding.subject.clone();
        let workload = Workload { namespace, kind, name };
        Key { workload, rule: finding.rule.clone(), cause: finding.cause.clone() }
    }
}

/// What came of noting a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is new, and to be told.
    New,
    /// It is new, but its workload has had enough told of it.
    Hushed,
    Known,
}

impl Story {
    pub(crate) fn new(rate: Rate) -> Story {
        Story { open: BTreeMap::new(), rates: BTreeMap::new(), rate }
    }

    /// Notes that an owner's pods show a finding.
    pub(crate) fn note(&mut self, finding: &Finding, group: &str, now: Duration) -> Noted {
        let key = Key::of(finding);
        if let Some(open) = self.open.get_mut(&key) {
            open.groups.insert(group.to_owned());
            open.verdict = open.verdict.max(finding.verdict);
            open.severity = open.severity.max(finding.severity);
            return Noted::Known;
        }
        let rate = self.rates.entry(key.workload.clone()).or_insert_with(|| self.rate.clone());
        let told = rate.take(now);
        let open = Open {
            severity: finding.severity,
            verdict: finding.verdict,
            since: now,
            groups: BTreeSet::from([group.to_owned()]),
        };
        self.open.insert(key, open);
        if told { Noted::New } else { Noted::Hushed }
    }

    /// Forgets what no owner shows any more.
    pub(crate) fn end(&mut self, lasts: impl Fn(&str) -> bool, now: Duration) {
        self.open.retain(|_, open| open.groups.iter().any(|group| lasts(group)));
        let open: BTreeSet<&Workload> = self.open.keys().map(|key| &key.workload).collect();
        // One that is full again is as good as a new one.
        self.rates.retain(|workload, rate| open.contains(workload) || !rate.is_full(now));
    }
}
