//! What the cluster said in words: events, status messages, and log lines that were kept.
//!
//! Every rule names the stable parts of the texts that it wants (`hears`, `signs`). All texts of
//! all rules are looked for at once, so that a rule costs nothing on a pod it has no business with.
//! Which rules there are is told to the [`Listener`].

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use jiff::Timestamp;
use sunup_api::report::EvidenceItem;
use sunup_evidence::line::Sign;
use sunup_evidence::object::{ContainerState, Manifest, Pod};
use sunup_evidence::record::Place;
use sunup_evidence::snapshot::{EventRun, PodFacts};
use sunup_evidence::time::{Known, show};
use sunup_evidence::timeline::Point;

use crate::judging::meta::Meta;

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

/// Listens for all that any rule wants.
pub(crate) struct Listener {
    texts: AhoCorasick,
    /// Which rule wants which text, by its place in the list.
    wants_text: Vec<usize>,
    /// Which rule wants which lines.
    wants_sign: Vec<(usize, Sign)>,
    ids: Vec<&'static str>,
}

impl Listener {
    /// For these rules, 128 at most.
    pub(crate) fn new(rules: &[&'static Meta]) -> Self {
        let all = || rules.iter().enumerate();
        let (wants_text, texts): (Vec<usize>, Vec<&str>) =
            all().flat_map(|(i, m)| m.hears.iter().map(move |t| (i, *t))).unzip();
        let texts = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .build(texts)
            .expect("some hundred short texts always build");
        let wants_sign = all().flat_map(|(i, m)| m.signs.iter().map(move |s| (i, *s))).collect();
        Listener { texts, wants_text, wants_sign, ids: rules.iter().map(|m| m.id).collect() }
    }

    /// The rules that want a text.
    fn wanted(&self, text: &str) -> u128 {
        let hits = self.texts.find_overlapping_iter(text);
        hits.fold(0, |set, hit| set | 1 << self.wants_text[hit.pattern().as_usize()])
    }

    /// What of all that was said one rule wants.
    pub(crate) fn wanted_by<'s, 'a>(
        &self,
        meta: &'static Meta,
        all: &'s [Said<'a>],
    ) -> impl Iterator<Item = &'s Said<'a>> + use<'s, 'a> {
        let index = self.ids.iter().position(|id| *id == meta.id);
        all.iter().filter(move |s| index.is_some_and(|i| s.wanted & (1 << i) != 0))
    }

    /// An event, where a rule wants it.
    pub(crate) fn event<'a>(&self, run: &'a EventRun) -> Option<Said<'a>> {
        let e = &run.event;
        // A reason of its own tells as much as a text: `SysctlForbidden`.
        let wanted = self.wanted(&e.message) | self.wanted(&e.reason);
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
        &self,
        text: Option<&'a str>,
        reason: Option<&'a str>,
        container: Option<&'a str>,
        place: &'a Place,
    ) -> Option<Said<'a>> {
        let (text, reason) = (text.unwrap_or_default(), reason.unwrap_or_default());
        let wanted = self.wanted(text) | self.wanted(reason);
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
    pub(crate) fn of_pod<'a>(&self, facts: &'a PodFacts) -> Vec<Said<'a>> {
        let mut all: Vec<Said<'a>> =
            facts.events.iter().filter_map(|run| self.event(run)).collect();
        if let Some((pod, manifest)) = &facts.pod {
            self.of_status(pod, manifest, &mut all);
        }
        for (i, sign) in &self.wants_sign {
            for (container, log) in &facts.logs {
                for sample in log.symptoms.get(sign).into_iter().flat_map(|m| m.iter()) {
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

    fn of_status<'a>(&self, pod: &'a Pod, manifest: &'a Manifest, all: &mut Vec<Said<'a>>) {
        let place = &manifest.place;
        let s = &pod.status;
        all.extend(self.status(s.message.as_deref(), s.reason.as_deref(), None, place));
        for c in &s.conditions {
            all.extend(self.status(c.message.as_deref(), c.reason.as_deref(), None, place));
        }
        for c in s.init_container_statuses.iter().chain(&s.container_statuses) {
            let name = Some(c.name.as_str());
            let mut of_state = |state: &'a ContainerState| {
                if let Some(w) = &state.waiting {
                    all.extend(self.status(w.message.as_deref(), w.reason.as_deref(), name, place));
                }
                if let Some(t) = &state.terminated {
                    all.extend(self.status(t.message.as_deref(), t.reason.as_deref(), name, place));
                }
            };
            of_state(&c.state);
            of_state(&c.last_state);
        }
    }
}
