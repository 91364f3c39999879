//! The whole: pods and warnings in, looks out; judgements in, what is new out.
//!
//! Which of many replicas is heard of first, and in which order, changes neither what is told nor how
//! often: troubles are an owner's, not a pod's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use sunup_api::report::{Finding, Verdict};

use crate::agenda::Agenda;
use crate::group::{Case, Group, State};
use crate::pod::{Owner, Pod};
use crate::rate::Rate;
use crate::starts::Starts;
pub use crate::story::{Key, Open, Workload};
use crate::story::{Noted, Story};
use crate::trouble::{self, Trouble, Warning};

/// Warnings that wait for their pod to be heard of.
const STRAYS: usize = 256;
const HOUR: Duration = Duration::from_secs(3600);
/// How long an owner without pods is remembered, and with it what was told.
const REMEMBER: Duration = HOUR;
/// A peer that was that quick is not held against one that is a little slower.
const PEER_MIN: Duration = Duration::from_secs(10);
/// How many times as long as its slowest peer a pod may take.
const PEER_TIMES: u32 = 3;
/// How long the next look is put off where one failed; doubled each time.
const AGAIN: Duration = Duration::from_secs(2);
/// At most.
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// How it is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// A pod that is not ready for longer is looked into.
    pub wait: Duration,
    /// A container that ends within this time of its pod's start belongs to the start.
    pub young: Duration,
    /// When a trouble is looked into, counted from when it was heard of. It is looked into again
    /// where nothing was proved: the line that proves it may not have been written yet.
    pub looks: Vec<Duration>,
    /// A trouble that was looked into without a proof is looked into again when it is heard of so
    /// much later.
    pub rest: Duration,
    /// How long a finding is taken to last after anything was heard to be wrong.
    pub linger: Duration,
    /// Looks an hour for one owner's pods.
    pub looks_hour: u32,
    /// Looks a minute for all.
    pub looks_minute: u32,
    /// Findings an hour that are told of one workload.
    pub told_hour: u32,
    /// How often a look is tried that fails.
    pub tries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Settings {
            wait: seconds(60),
            young: seconds(600),
            looks: vec![seconds(1), seconds(6), seconds(30)],
            rest: seconds(600),
            linger: seconds(900),
            looks_hour: 12,
            looks_minute: 60,
            told_hour: 6,
            tries: 10,
        }
    }
}

impl Settings {
    /// For one look at what there is.
    #[must_use]
    pub fn once() -> Settings {
        Settings {
            wait: Duration::ZERO,
            looks: vec![Duration::ZERO],
            looks_minute: 100_000,
            tries: 1,
            ..Settings::default()
        }
    }
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Since watching began, by a clock that never steps.
    pub now: Duration,
    /// By the clock on the wall, which may be another than the cluster's: only for how long ago
    /// something was that has been there before.
    pub wall: Timestamp,
}

/// One pod, or one owner without pods, of which evidence is to be collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What made the pod.
    pub owner: Owner,
    /// Name and uid of the pod; `None` where it is about the owner.
    pub pod: Option<(String, String)>,
    /// Why.
    pub trouble: Trouble,
    /// When that was heard of.
    pub heard: Duration,
}

/// What came of a look.
#[derive(Debug, Clone)]
pub enum Outcome<'f> {
    /// Evidence was there, and this was found in it.
    Judged(&'f [Finding]),
    /// The pod was gone already.
    Gone,
    /// The cluster could not be asked.
    Failed,
}

/// What a judgement came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Places of the findings that are to be told.
    pub told: Vec<usize>,
    /// Whether this was the last look, and none has found anything.
    pub unexplained: bool,
}

/// What has been counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Signals by kind.
    pub signals: BTreeMap<&'static str, u64>,
    /// Looks that were had.
    pub looks: u64,
    /// Looks that failed.
    pub failed: u64,
    /// Troubles whose pods were all gone before they were looked into.
    pub missed: u64,
    /// Looks that an owner's rate forbade.
    pub left_out: u64,
    /// Troubles that all looks left without a finding.
    pub unexplained: u64,
    /// Findings that were told.
    pub told: u64,
    /// Findings that a workload's rate kept from being told.
    pub hushed: u64,
}

/// A pod that has not come up yet.
#[derive(Debug)]
struct Coming {
    /// Since when it is known.
    since: Duration,
    /// How long it had been there before.
    before: Duration,
    /// Whether it was found to take long.
    told: bool,
}

/// All that is known.
#[derive(Debug)]
pub struct Watch {
    settings: Settings,
    pods: BTreeMap<String, Pod>,
    coming: BTreeMap<String, Coming>,
    groups: BTreeMap<String, Group>,
    agenda: Agenda,
    looks: Rate,
    story: Story,
    counts: Counts,
    starts: Starts,
    /// Warnings of pods that are not known yet, the newest last: two lists are followed, and which of
    /// them is ahead can't be told.
    strays: VecDeque<Warning>,
}

impl Watch {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(settings: Settings) -> Watch {
        Watch {
            pods: BTreeMap::new(),
            coming: BTreeMap::new(),
            groups: BTreeMap::new(),
            agenda: Agenda::default(),
            looks: Rate::new(settings.looks_minute, Duration::from_secs(60)),
            story: Story::new(Rate::new(settings.told_hour, HOUR)),
            counts: Counts::default(),
            starts: Starts::new(),
            strays: VecDeque::new(),
            settings,
        }
    }

    /// A pod is as it is now. The pod as it was before, where it was known.
    pub fn pod(&mut self, pod: Pod, at: At) -> Option<Pod> {
        let now = at.now;
        let (wait, hourly) = (self.settings.wait, self.settings.looks_hour);
        let before = self.pods.get(&pod.uid);
        let group = group_of(&mut self.groups, &pod.owner, hourly);
        group.pods += usize::from(before.is_none());
        if let Some(took) = pod.took().filter(|took| *took <= wait) {
            group.slowest = group.slowest.max(Some(took));
        }
        let lately = |then: Option<Timestamp>| then.is_none_or(|then| ago(then, at.wall) <= HOUR);
        let troubles = trouble::since(before, &pod, self.settings.young, lately);
        if !pod.is_coming() {
            let came = self.coming.remove(&pod.uid).is_some();
            if let Some(took) = pod.took().filter(|_| came) {
                self.starts.entry(pod.mode).or_default().add(took);
            }
        } else if before.is_none() {
            let age = pod.created.map_or(Duration::ZERO, |created| ago(created, at.wall));
            let coming = Coming { since: now, before: age.min(self.settings.wait), told: false };
            self.coming.insert(pod.uid.clone(), coming);
        }
        let (owner, uid) = (pod.owner.clone(), pod.uid.clone());
        let before = self.pods.insert(uid.clone(), pod);
        for trouble in troubles {
            self.signal(&owner, Some(&uid), trouble, now);
        }
        if before.is_none() {
            let (its, others) = self.strays.drain(..).partition(|stray| stray.about.uid == uid);
            self.strays = others;
            let its: VecDeque<Warning> = its;
            for warning in its {
                self.warning(warning, false, now);
            }
        }
        before
    }

    /// A pod is gone.
    pub fn gone(&mut self, uid: &str) {
        self.coming.remove(uid);
        let Some(pod) = self.pods.remove(uid) else { return };
        if let Some(group) = self.groups.get_mut(&pod.owner.uid) {
            group.pods = group.pods.saturating_sub(1);
        }
    }

    /// Somebody warns. `known` is a warning that was there before, of a pod that may be well since.
    pub fn warning(&mut self, warning: Warning, known: bool, now: Duration) {
        let Some(pod) = self.pods.get(&warning.about.uid) else {
            if warning.about.kind != "Pod" {
                let trouble = Trouble::Warning { reason: warning.reason };
                self.signal(&warning.about, None, trouble, now);
            } else if !known {
                self.strays.push_back(warning);
                if self.strays.len() > STRAYS {
                    self.strays.pop_front();
                }
            }
            return;
        };
        if known && pod.is_up() || pod.leaving {
            return;
        }
        let Warning { about, reason } = warning;
        let owner = pod.owner.clone();
        self.signal(&owner, Some(&about.uid), Trouble::Warning { reason }, now);
    }

    fn signal(&mut self, owner: &Owner, pod: Option<&str>, trouble: Trouble, now: Duration) {
        *self.counts.signals.entry(trouble.kind()).or_default() += 1;
        let group = group_of(&mut self.groups, owner, self.settings.looks_hour);
        let due = now + self.settings.looks.first().copied().unwrap_or_default();
        let due = if trouble.has_waited() { now } else { due };
        group.heard = now;
        let proved = group.proved;
        let item = (owner.uid.clone(), trouble.clone());
        match group.cases.get_mut(&trouble) {
            None => {
                let mut case = Case::new(now, due);
                case.of(pod);
                group.cases.insert(trouble, case);
                self.agenda.put(due, item);
            }
            Some(case) => {
                case.of(pod);
                if let State::Rests(since) = case.state
                    && !proved
                    && now.saturating_sub(since) >= self.settings.rest
                {
                    *case = Case { pods: std::mem::take(&mut case.pods), ..Case::new(now, due) };
                    self.agenda.put(due, item);
                }
            }
        }
    }

    /// Time has passed: pods that take long are found, and what is over is forgotten. To be called
    /// when [`Watch::due`] says so, and at least once a minute.
    pub fn tick(&mut self, now: Duration) {
        let wait = self.settings.wait;
        let mut late = Vec::new();
        for (uid, coming) in self.coming.iter_mut().filter(|(_, coming)| !coming.told) {
            let Some(pod) = self.pods.get(uid) else { continue };
            let peers = self.groups.get(&pod.owner.uid).and_then(|group| group.slowest);
            let peers = peers.map(|slowest| (slowest * PEER_TIMES).max(PEER_MIN));
            if now.saturating_sub(coming.since) + coming.before
                >= peers.map_or(wait, |p| p.min(wait))
            {
                coming.told = true;
                let trouble = if pod.in_init { Trouble::InInit } else { Trouble::NotReady };
                late.push((pod.owner.clone(), uid.clone(), trouble));
            }
        }
        for (owner, uid, trouble) in late {
            self.signal(&owner, Some(&uid), trouble, now);
        }
        let coming: BTreeSet<&str> = self
            .coming
            .keys()
            .filter_map(|uid| Some(self.pods.get(uid)?.owner.uid.as_str()))
            .collect();
        let linger = self.settings.linger;
        let lasts = |uid: &str| {
            let heard = self.groups.get(uid).map(|group| group.heard);
            coming.contains(uid) || heard.is_some_and(|h| now.saturating_sub(h) <= linger)
        };
        self.story.end(lasts, now);
        // A fault that comes again after it has ended is told again.
        for group in self.groups.values_mut().filter(|group| group.proved) {
            group.proved = coming.contains(group.owner.uid.as_str())
                || now.saturating_sub(group.heard) <= linger;
        }
        self.groups.retain(|_, group| !group.is_over(now, REMEMBER));
    }

    /// When something is to be done: a look, or a tick. `None` where nothing is waited for.
    #[must_use]
    pub fn due(&mut self, now: Duration) -> Option<Duration> {
        let look = self.agenda.first();
        let look = look.and_then(|at| Some(at.max(self.looks.next(now)?)));
        let waits = self.coming.values().any(|coming| !coming.told);
        let tick = waits.then(|| now + Duration::from_secs(1));
        [look, tick].into_iter().flatten().min()
    }

    /// Whether no look is due or under way, now or later.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let rests = |case: &Case| matches!(case.state, State::Rests(_));
        self.groups.values().all(|group| group.cases.values().all(rests))
    }

    /// What is to be looked into now.
    pub fn next(&mut self, now: Duration) -> Option<Look> {
        while self.agenda.first().is_some_and(|at| at <= now) {
            if self.looks.next(now).is_none_or(|at| at > now) {
                return None;
            }
            let (uid, trouble) = self.agenda.take(now)?;
            let Some(group) = self.groups.get_mut(&uid) else { continue };
            let Some(case) = group.cases.get_mut(&trouble) else { continue };
            case.pods.retain(|pod| self.pods.contains_key(pod));
            let pod = case.pods.last().and_then(|uid| self.pods.get(uid));
            let own = pod.is_none() && matches!(trouble, Trouble::Warning { .. });
            if pod.is_none() && (!own || group.owner.kind == "Pod") {
                self.counts.missed += u64::from(case.looked == 0);
                case.state = State::Rests(now);
                continue;
            }
            // One that only took long has come up meanwhile.
            let well = trouble.has_waited() && pod.is_some_and(Pod::is_up);
            if well || case.looked > 0 && group.proved {
                case.state = State::Rests(now);
                continue;
            }
            if !group.looks.take(now) {
                self.counts.left_out += 1;
                case.state = State::Rests(now);
                continue;
            }
            self.looks.take(now);
            case.state = State::Looking;
            let pod = pod.map(|pod| (pod.name.clone(), pod.uid.clone()));
            return Some(Look { owner: group.owner.clone(), pod, trouble, heard: case.first });
        }
        None
    }

    /// Notes what a look came to.
    pub fn judged(&mut self, look: &Look, outcome: &Outcome<'_>, now: Duration) -> Judged {
        let uid = &look.owner.uid;
        let mut said = Judged::default();
        // What only a manifest says is no observation of this pod.
        let seen = |finding: &&Finding| finding.verdict > Verdict::Possible;
        let mut found = 0;
        let mut proved = false;
        if let Outcome::Judged(findings) = outcome {
            self.counts.looks += 1;
            for (place, finding) in findings.iter().enumerate().filter(|(_, f)| seen(f)) {
                found += 1;
                proved |= finding.verdict == Verdict::Confirmed;
                match self.story.note(finding, uid, now) {
                    Noted::New => said.told.push(place),
                    Noted::Hushed => self.counts.hushed += 1,
                    Noted::Known => {}
                }
            }
            self.counts.told += said.told.len() as u64;
        }
        let Some(group) = self.groups.get_mut(uid) else { return said };
        group.proved |= proved;
        let Some(case) = group.cases.get_mut(&look.trouble) else { return said };
        let next = match outcome {
            Outcome::Judged(_) => {
                case.failed = 0;
                case.looked += 1;
                let more = self.settings.looks.get(case.looked).filter(|_| !group.proved);
                case.found |= found > 0;
                if more.is_none() && !case.found && !group.proved {
                    self.counts.unexplained += 1;
                    said.unexplained = true;
                }
                // One that takes long is given as much time again, and more.
                let times = if look.trouble.has_waited() { case.looked } else { 0 };
                let wait = self.settings.wait * u32::try_from(times).unwrap_or(u32::MAX);
                more.map(|after| (case.first + *after + wait).max(now))
            }
            Outcome::Gone => {
                if let Some((_, pod)) = &look.pod {
                    case.pods.retain(|known| known != pod);
                }
                self.counts.missed += u64::from(case.pods.is_empty() && case.looked == 0);
                (!case.pods.is_empty()).then_some(now)
            }
            Outcome::Failed => {
                self.counts.failed += 1;
                case.failed += 1;
                let pause = AGAIN * 2_u32.saturating_pow(case.failed.min(6) - 1);
                (case.failed < self.settings.tries).then_some(now + pause.min(AGAIN_MAX))
            }
        };
        case.state = match next {
            Some(at) => {
                self.agenda.put(at, (uid.clone(), look.trouble.clone()));
                State::Due(at)
            }
            None => State::Rests(now),
        };
        said
    }

    /// What was found and lasts.
    pub fn open(&self) -> impl Iterator<Item = (&Key, &Open)> {
        self.story.open.iter()
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How long starts took that were seen to end well.
    pub(crate) fn starts(&self) -> &Starts {
        &self.starts
    }

    /// Pods that are known, and those of them that have not come up yet.
    #[must_use]
    pub fn pods(&self) -> (usize, usize) {
        (self.pods.len(), self.coming.len())
    }
}

fn group_of<'g>(
    groups: &'g mut BTreeMap<String, Group>,
    owner: &Owner,
    looks_hour: u32,
) -> &'g mut Group {
    let new = || Group::new(owner.clone(), Rate::new(looks_hour, HOUR));
    groups.entry(owner.uid.clone()).or_insert_with(new)
}

/// How long ago something was; nothing where the clocks say that it is yet to come.
fn ago(then: Timestamp, wall: Timestamp) -> Duration {
    Duration::try_from(wall.duration_since(then)).unwrap_or_default()
}
