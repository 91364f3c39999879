//! What all formats say alike: a subject, a severity and a verdict in words, and the first fix.

use sunup_api::report::{Finding, Fix, Safety, Severity, Subject, Verdict};

/// `Deployment shop/checkout`; a pod that nothing names is not called by a name.
pub(crate) fn subject(subject: &Subject) -> String {
    if subject.kind == "Pod" && subject.name == "unknown" && subject.pods.is_empty() {
        return "an unknown pod".to_owned();
    }
    match &subject.namespace {
        Some(namespace) => format!("{} {namespace}/{}", subject.kind, subject.name),
        None => format!("{} {}", subject.kind, subject.name),
    }
}

pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::Likely => "likely",
        Verdict::Possible => "possible",
    }
}

/// The fix to show first: the one `--fix` would take, else the best there is.
pub(crate) fn first_fix(finding: &Finding) -> Option<usize> {
    let safe = |fix: &Fix| fix.safety == Safety::Safe;
    let best = finding.fixes.iter().position(safe);
    best.or_else(|| (!finding.fixes.is_empty()).then_some(0))
}
