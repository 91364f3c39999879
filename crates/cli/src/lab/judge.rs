//! What the doctor says about a folder of evidence, and whether that is what a scenario expects.

use std::path::Path;

use sunup_api::report::Finding;
use sunup_doctor::Diagnosis;
use sunup_evidence::collect::Collector;
use sunup_intake::{Input, Options};
use sunup_lab::scenario::Scenario;

/// Reads a folder as `sunup doctor FOLDER` does.
pub(crate) fn diagnose(folder: &Path) -> Diagnosis {
    let options = Options::default();
    let mut collector = Collector::new(options.scope.clone());
    sunup_intake::read(vec![Input::Path(folder.to_owned())], &options, &mut collector);
    sunup_doctor::diagnose(&collector.finish())
}

/// `Deployment/orders`.
pub(crate) fn subject(finding: &Finding) -> String {
    format!("{}/{}", finding.subject.kind, finding.subject.name)
}

/// A finding in a few words.
pub(crate) fn in_words(finding: &Finding) -> String {
    let cause = finding.cause.as_deref().map_or(String::new(), |cause| format!(" ({cause})"));
    format!("{}{cause} for {}", finding.rule, subject(finding))
}

/// Why the findings are not the one that a scenario expects; `None` where they are.
pub(crate) fn differs(scenario: &Scenario, diagnosis: &Diagnosis) -> Option<String> {
    let findings = &diagnosis.report.findings;
    let said: Vec<String> = findings.iter().map(in_words).collect();
    let Some(rule) = &scenario.rule else {
        return (!said.is_empty())
            .then(|| format!("nothing is wrong, but found: {}", said.join("; ")));
    };
    let expected = |finding: &Finding| {
        finding.rule == *rule
            && subject(finding) == scenario.workload
            && (scenario.cause.is_none() || finding.cause.as_deref() == scenario.cause.as_deref())
    };
    match findings.as_slice() {
        [only] if expected(only) => None,
        [] => Some(format!("{rule} for {} was not found", scenario.workload)),
        _ => Some(format!(
            "expected {rule} for {} alone, but found: {}",
            scenario.workload,
            said.join("; ")
        )),
    }
}

/// What is found although nothing should be.
pub(crate) fn left(diagnosis: &Diagnosis) -> Option<String> {
    let said: Vec<String> = diagnosis.report.findings.iter().map(in_words).collect();
    (!said.is_empty()).then(|| said.join("; "))
}
