//! What rules say of one workload, before it is merged and written down.

use sunup_api::report::{EvidenceItem, Severity, Subject, Verdict};
use sunup_evidence::log::Sample;
use sunup_evidence::time::show;
use sunup_evidence::timeline::Point;

use crate::judging::home::Home;
use crate::judging::meta::Meta;
use crate::judging::remedy::Remedy;
use crate::judging::texts::Said;

/// A fault that a rule found.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) rule: &'static str,
    pub(crate) cause: Option<&'static str>,
    pub(crate) severity: Severity,
    pub(crate) verdict: Verdict,
    pub(crate) subject: Subject,
    pub(crate) summary: String,
    pub(crate) explanation: Vec<String>,
    pub(crate) points: Vec<Point>,
    pub(crate) evidence: Vec<EvidenceItem>,
    pub(crate) remedies: Vec<Remedy>,
    /// Where it was seen; the engine fills it.
    pub(crate) home: Home,
    /// Rules whose faults follow from this one; the engine fills it.
    pub(crate) consequences: Vec<&'static str>,
}

impl Fault {
    /// A fault at its worst, of no rule and nobody: to see what weighing makes of it.
    pub(crate) fn empty(verdict: Verdict) -> Self {
        Fault {
            rule: "",
            cause: None,
            severity: Severity::Error,
            verdict,
            subject: Subject::default(),
            summary: String::new(),
            explanation: Vec::new(),
            points: Vec::new(),
            evidence: Vec::new(),
            remedies: Vec::new(),
            home: Home::default(),
            consequences: Vec::new(),
        }
    }

    /// A fault of a rule, as bad as the rule says it can be.
    pub(crate) fn new(
        meta: &'static Meta,
        verdict: Verdict,
        subject: Subject,
        summary: impl Into<String>,
    ) -> Self {
        Fault {
            rule: meta.id,
            severity: meta.severity,
            subject,
            summary: summary.into(),
            ..Fault::empty(verdict)
        }
    }

    /// Says why.
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.explanation.push(why.into());
        self
    }

    /// Shows what was said, the earliest first, and puts its first instant on the timeline.
    pub(crate) fn show<'s, 'a: 's>(
        mut self,
        said: impl IntoIterator<Item = &'s Said<'a>>,
        what: &str,
    ) -> Self {
        let mut said: Vec<&Said<'_>> = said.into_iter().collect();
        said.sort_by_key(|s| (s.first.is_none(), s.first));
        self.points.extend(said.first().into_iter().flat_map(|s| s.points(what)));
        for item in said.iter().map(|s| s.item()) {
            if !self.evidence.iter().any(|e| e.text == item.text) {
                self.evidence.push(item);
            }
        }
        self
    }

    /// Offers a remedy, after those offered before.
    pub(crate) fn offer(mut self, remedy: impl IntoIterator<Item = Remedy>) -> Self {
        self.remedies.extend(remedy);
        self
    }
}

/// A look-alike that a rule ruled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Innocent {
    pub(crate) rule: &'static str,
    pub(crate) look_alike: &'static str,
    pub(crate) subject: Subject,
    pub(crate) why: String,
}

/// A judgement that a rule could not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) rule: &'static str,
    pub(crate) subject: Subject,
    pub(crate) missing: Vec<String>,
    pub(crate) get_it_with: Option<String>,
}

/// All that the rules say.
#[derive(Debug, Default)]
pub(crate) struct Judgements {
    pub(crate) faults: Vec<Fault>,
    pub(crate) cleared: Vec<Innocent>,
    pub(crate) unknown: Vec<Open>,
}

impl Judgements {
    pub(crate) fn clear(
        &mut self,
        rule: &'static str,
        look_alike: &'static str,
        subject: Subject,
        why: String,
    ) {
        self.cleared.push(Innocent { rule, look_alike, subject, why });
    }
}

/// A kept line as evidence.
pub(crate) fn item(sample: &Sample) -> EvidenceItem {
    EvidenceItem {
        source: sample.place.to_string(),
        at: sample.at.map(show),
        text: sample.text.to_string(),
    }
}
