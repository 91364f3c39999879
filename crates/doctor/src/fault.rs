//! What rules say of one workload, before it is merged and written down.

use sunup_api::report::{EvidenceItem, Severity, Subject, Verdict};
use sunup_evidence::log::Sample;
use sunup_evidence::time::show;
use sunup_evidence::timeline::Point;

use crate::fix::Remedy;

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

/// The subject with its container named.
pub(crate) fn at(subject: &Subject, container: &str) -> Subject {
    let container = (!container.is_empty()).then(|| container.to_owned());
    Subject { container, ..subject.clone() }
}

/// `-n NAMESPACE ` where a namespace is known.
pub(crate) fn namespace_flag(subject: &Subject) -> String {
    subject.namespace.as_ref().map(|n| format!("-n {n} ")).unwrap_or_default()
}
