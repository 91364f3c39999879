//! What the cluster said in words: events, status messages, and log lines that were kept.
//!
//! Every rule names the stable parts of the texts that it wants (`hears`, `signs`). All texts of
//! all rules are looked for at once, so that a rule costs nothing on a pod it has no business with.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use jiff::Timestamp;
use sunup_api::report::EvidenceItem;
use sunup_evidence::object::{ContainerState, Manifest, Pod};
use sunup_evidence::record::Place;
use sunup_evidence::snapshot::{EventRun, PodFacts};
use sunup_evidence::time::{Known, show};
use sunup_evidence::timeline::Point;

use crate::rule::Meta;
use crate::rules::RULES;

/// What kind of source a text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// An event.
    Event,
    /// A status: of a pod, of a container, a condition.
    Status,
    /// A line of a log.
    Log,
}

/// One text that a rule wanted to see.
#[derive(Debug, Clone)]
pub(crate) struct Said<'a> {
    pub(crate) text: &'a str,
    pub(crate) from: From,
    /// `FailedCreate`, `CrashLoopBackOff` …; empty where there is none.
    pub(crate) reason: &'a str,
    pub(crate) container: Option<&'a str>,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    pub(crate) count: u32,
    place: Option<&'a Place>,
    /// Rules that want it, by their place in the list.
    wanted: u128,
}

impl Said<'_> {
    /// As the report shows it.
    pub(crate) fn item(&self) -> EvidenceItem {
        let what = match self.from {
            From::Event => "event",
            From::Status => "status",
            From::Log => "log",
        };
        EvidenceItem {
            source: self.place.map_or_else(|| what.to_owned(), ToString::to_string),
            at: self.first.map(show),
            text: if self.reason.is_empty() || self.text.contains(self.reason) {
                self.text.to_owned()
            } else {
                format!("{}: {}", self.reason, self.text)
            },
        }
    }

    /// Its first and its last time on the timeline, where it has any.
    pub(crate) fn points(&self, what: &str) -> Vec<Point> {
        let source = self.item().source;
        let known = |at| match self.from {
            From::Log => Known::exact(at, &source),
            From::Event | From::Status => Known::second(at, &source),
        };
        let mut points: Vec<Point> =
            self.first.map(|at| Point::new(known(at), what)).into_iter().collect();
        if let Some(last) = self.last.filter(|_| self.last != self.first) {
            points.push(Point::new(known(last), format!("{what} ({} times by then)", self.count)));
        }
        points
    }

    /// Whether the text has this part (lower case), in any case.
    pub(crate) fn has(&self, part: &str) -> bool {
        has(self.text, part)
    }

    /// Whether the text has one of these parts.
    pub(crate) fn has_any(&self, parts: &[&str]) -> bool {
        parts.iter().any(|p| self.has(p))
    }
}

/// Whether `text` has `part` (lower-case ASCII), in any case.
pub(crate) fn has(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    text.windows(part.len()).any(|w| w.eq_ignore_ascii_case(part))
}

struct Ears {
    automaton: AhoCorasick,
    rules: Vec<usize>,
}

static EARS: LazyLock<Ears> = LazyLock::new(|| {
    let all = RULES.iter().enumerate();
    let (rules, texts): (Vec<usize>, Vec<&str>) =
        all.flat_map(|(i, r)| r.meta().hears.iter().map(move |t| (i, *t))).unzip();
    let automaton = AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .build(texts)
        .expect("some hundred short texts always build");
    Ears { automaton, rules }
});

fn wanted(text: &str) -> u128 {
    let ears = &*EARS;
    let hits = ears.automaton.find_overlapping_iter(text);
    hits.fold(0, |set, hit| set | 1 << ears.rules[hit.pattern().as_usize()])
}

/// What of all that was said one rule wants.
pub(crate) fn of<'s, 'a>(
    all: &'s [Said<'a>],
    meta: &'static Meta,
) -> impl Iterator<Item = &'s Said<'a>> {
    let index = RULES.iter().position(|r| r.meta().id == meta.id);
    all.iter().filter(move |s| index.is_some_and(|i| s.wanted & (1 << i) != 0))
}

/// An event, where a rule wants it.
pub(crate) fn event(run: &EventRun) -> Option<Said<'_>> {
    let e = &run.event;
    // A reason of its own tells as much as a text: `SysctlForbidden`.
    let wanted = wanted(&e.message) | wanted(&e.reason);
    let count = run.occurrences.iter().map(|o| o.count).fold(0, u32::saturating_add);
    (wanted != 0).then(|| Said {
        text: &e.message,
        from: From::Event,
        reason: &e.reason,
        container: e.container.as_deref(),
        first: e.first,
        last: e.last,
        count: count.max(1),
        place: e.place.as_ref(),
        wanted,
    })
}

/// A message of a status, where a rule wants it.
pub(crate) fn status<'a>(
    text: Option<&'a str>,
    reason: Option<&'a str>,
    container: Option<&'a str>,
    place: &'a Place,
) -> Option<Said<'a>> {
    let (text, reason) = (text.unwrap_or_default(), reason.unwrap_or_default());
    let wanted = wanted(text) | wanted(reason);
    (wanted != 0).then_some(Said {
        text: if text.is_empty() { reason } else { text },
        from: From::Status,
        reason,
        container,
        first: None,
        last: None,
        count: 1,
        place: Some(place),
        wanted,
    })
}

/// All that was said of a pod and that a rule wants.
pub(crate) fn of_pod(facts: &PodFacts) -> Vec<Said<'_>> {
    let mut all: Vec<Said<'_>> = facts.events.iter().filter_map(event).collect();
    if let Some((pod, manifest)) = &facts.pod {
        of_status(pod, manifest, &mut all);
    }
    let signs = RULES.iter().enumerate().flat_map(|(i, r)| {
        let signs = r.meta().signs.iter();
        signs.map(move |s| (i, *s))
    });
    for (i, sign) in signs {
        for (container, log) in &facts.logs {
            for sample in log.symptoms.get(&sign).into_iter().flat_map(|m| m.iter()) {
                all.push(Said {
                    text: &sample.text,
                    from: From::Log,
                    reason: "",
                    container: (!container.is_empty()).then_some(container.as_str()),
                    first: sample.at,
                    last: sample.at,
                    count: 1,
                    place: Some(&sample.place),
                    wanted: 1 << i,
                });
            }
        }
    }
    all
}

fn of_status<'a>(pod: &'a Pod, manifest: &'a Manifest, all: &mut Vec<Said<'a>>) {
    let place = &manifest.place;
    let s = &pod.status;
    all.extend(status(s.message.as_deref(), s.reason.as_deref(), None, place));
    for c in &s.conditions {
        all.extend(status(c.message.as_deref(), c.reason.as_deref(), None, place));
    }
    for c in s.init_container_statuses.iter().chain(&s.container_statuses) {
        let name = Some(c.name.as_str());
        let mut of_state = |state: &'a ContainerState| {
            if let Some(w) = &state.waiting {
                all.extend(status(w.message.as_deref(), w.reason.as_deref(), name, place));
            }
            if let Some(t) = &state.terminated {
                all.extend(status(t.message.as_deref(), t.reason.as_deref(), name, place));
            }
        };
        of_state(&c.state);
        of_state(&c.last_state);
    }
}
