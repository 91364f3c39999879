//! Which finding is to be fixed, and how.

use anyhow::bail;
use serde_json::Value;
use sunup_api::report::{Finding, Fix, Report, Safety, Verdict};

use super::args::Args;

/// One fix of one finding.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) rule: String,
    pub(super) verdict: Verdict,
    pub(super) summary: String,
    pub(super) fix: String,
    pub(super) title: String,
    pub(super) safety: Safety,
    /// What of the object changes; `None` for advice, and for what is done elsewhere.
    pub(super) patch: Option<Value>,
    /// What can be typed instead.
    pub(super) command: Option<String>,
}

impl Plan {
    /// The first safe fix of the first finding, or what was named. `None` where there is no such
    /// finding.
    pub(super) fn of(args: &Args, report: &Report) -> anyhow::Result<Option<Plan>> {
        let asked =
            |finding: &&Finding| args.rule.as_ref().is_none_or(|rule| finding.rule == *rule);
        let findings: Vec<&Finding> = report.findings.iter().filter(asked).collect();
        let Some(first) = findings.first() else { return Ok(None) };
        if let Some(id) = &args.fix {
            let of = |finding: &&Finding| finding.fixes.iter().any(|fix| fix.id == *id);
            let Some(finding) = findings.iter().find(|finding| of(finding)) else {
                let fixes = findings.iter().flat_map(|finding| &finding.fixes);
                let known: Vec<&str> = fixes.map(|fix| fix.id.as_str()).collect();
                bail!("no finding has a fix `{id}`; there are: {}", known.join(", "));
            };
            let fix = finding.fixes.iter().find(|fix| fix.id == *id);
            return Ok(fix.map(|fix| Plan::new(finding, fix)));
        }
        let safe = |fix: &&Fix| fix.safety == Safety::Safe && fix.patch.is_some();
        let best = findings
            .iter()
            .find_map(|finding| finding.fixes.iter().find(safe).map(|fix| Plan::new(finding, fix)));
        if best.is_some() {
            return Ok(best);
        }
        let Some(fix) = first.fixes.first() else {
            bail!("{}: {}; no fix for it is known here", first.rule, first.summary);
        };
        let mut plan = Plan::new(first, fix);
        // What may have side effects is done only where it was named.
        plan.patch = None;
        Ok(Some(plan))
    }

    fn new(finding: &Finding, fix: &Fix) -> Plan {
        Plan {
            rule: finding.rule.clone(),
            verdict: finding.verdict,
            summary: finding.summary.clone(),
            fix: fix.id.clone(),
            title: fix.title.clone(),
            safety: fix.safety,
            patch: fix.patch.clone(),
            command: fix.command.clone(),
        }
    }
}

/// Whether a patch takes something away.
pub(super) fn removes(patch: &Value) -> bool {
    match patch {
        Value::Null => true,
        Value::Object(map) => map.values().any(removes),
        Value::Array(list) => list.iter().any(removes),
        _ => false,
    }
}
