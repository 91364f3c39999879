//! `--baseline`: what is known already is left out of the report and fails no build; what is gone
//! is said, so that the file does not outlive the faults it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use sunup_api::report::Finding;

use super::examine::Examined;

/// Name and version of the file's format.
const SCHEMA: &str = "sunup.baseline/v1";
/// Vanished findings that are named; the rest are counted.
const NAMED_MAX: usize = 5;

/// Findings that are known.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Baseline {
    schema: String,
    findings: BTreeSet<Known>,
}

/// What tells a finding from others from one run to the next: neither lines nor pods, which change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Known {
    rule: String,
    cause: Option<String>,
    namespace: Option<String>,
    kind: String,
    name: String,
    container: Option<String>,
}

impl Known {
    fn of(finding: &Finding) -> Known {
        let subject = &finding.subject;
        Known {
            rule: finding.rule.clone(),
            cause: finding.cause.clone(),
            namespace: subject.namespace.clone(),
            kind: subject.kind.clone(),
            name: subject.name.clone(),
            container: subject.container.clone(),
        }
    }

    fn words(&self) -> String {
        let namespace = self.namespace.as_ref().map(|ns| format!("{ns}/")).unwrap_or_default();
        format!("{} of {} {namespace}{}", self.rule, self.kind, self.name)
    }
}

impl Baseline {
    pub(super) fn read(path: &Path) -> anyhow::Result<Baseline> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| {
            format!("{shown}: can't be read; `--write-baseline {shown}` makes it")
        })?;
        let baseline: Baseline = serde_json::from_str(&text).with_context(|| {
            format!("{shown}: is no baseline; `--write-baseline {shown}` makes one")
        })?;
        ensure!(
            baseline.schema == SCHEMA,
            "{shown}: is written in {}, and this is a sunup that reads {SCHEMA}: write it anew \
             with --write-baseline",
            baseline.schema
        );
        Ok(baseline)
    }

    /// Takes what is known out of the report.
    pub(super) fn subtract(&self, examined: &mut Examined) {
        let findings = &examined.diagnosis.report.findings;
        let keep: Vec<bool> =
            findings.iter().map(|f| !self.findings.contains(&Known::of(f))).collect();
        examined.keep(&keep);
    }

    /// What is to be said after the report: `found` is what there was before known findings were
    /// taken out. A narrowed run can't tell what is gone.
    pub(super) fn notes(&self, path: &Path, found: &[Finding], whole: bool) -> Vec<String> {
        let found: BTreeSet<Known> = found.iter().map(Known::of).collect();
        let known = self.findings.intersection(&found).count();
        let mut notes = Vec::new();
        if known > 0 {
            let words = if known == 1 { "finding is" } else { "findings are" };
            notes.push(format!("{known} {words} known by {} and not shown", path.display()));
        }
        let gone: Vec<&Known> = self.findings.difference(&found).collect();
        if whole && !gone.is_empty() {
            let mut named: Vec<String> =
                gone.iter().take(NAMED_MAX).map(|known| known.words()).collect();
            if gone.len() > NAMED_MAX {
                named.push(format!("{} more", gone.len() - NAMED_MAX));
            }
            notes.push(format!(
                "no longer found, though {} has it: {}; `--write-baseline {0}` forgets it",
                path.display(),
                named.join(", ")
            ));
        }
        notes
    }
}

/// Writes all findings as known.
pub(super) fn write(path: &Path, findings: &[Finding]) -> anyhow::Result<()> {
    let findings = findings.iter().map(Known::of).collect();
    let baseline = Baseline { schema: SCHEMA.to_owned(), findings };
    let mut text = serde_json::to_string_pretty(&baseline).context("a baseline is plain data")?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("{}: can't be written", path.display()))
}
