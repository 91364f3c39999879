//! Findings as annotations of GitHub Actions: a line each, shown beside the changed line of a pull
//! request.
//!
//! # Sources
//! GitHub, "Workflow commands for GitHub Actions": `::error file=…,line=…,col=…,title=…::message`.
//! What is escaped: `@actions/core`, `command.ts`.

use std::fmt::Write as _;

use sunup_api::report::{Report, Severity};
use sunup_api::show::text as clean;

use super::place;
use super::terms::{first_fix, subject, verdict};

/// One line for each finding and each unreadable piece.
#[must_use]
pub fn github(report: &Report) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "notice",
        };
        let mut properties = Vec::new();
        if let Some(place) = place::of_finding(finding) {
            properties.push(format!("file={}", property(&place.file)));
            properties.push(format!("line={}", place.line));
            properties.push(format!("col={}", place.column));
        }
        let cause = finding.cause.as_ref().map(|cause| format!("/{cause}")).unwrap_or_default();
        let title = format!("{}{cause} ({})", finding.rule, verdict(finding.verdict));
        properties.push(format!("title={}", property(&title)));
        let mut message = format!("{}: {}", subject(&finding.subject), finding.summary);
        if let Some(best) = first_fix(finding) {
            let fix = &finding.fixes[best];
            let _ = write!(message, "\nfix: {}", fix.title);
            if let Some(command) = &fix.command {
                let _ = write!(message, "\n{command}");
            }
        }
        let _ = writeln!(out, "::{command} {}::{}", properties.join(","), data(&message));
    }
    for item in &report.unreadable {
        let place = place::of_source(&item.source);
        let file = place.map(|p| format!("file={},line={},", property(&p.file), p.line));
        let _ = writeln!(
            out,
            "::warning {}title=could not be read::{}",
            file.unwrap_or_default(),
            data(&format!("{}: {}", item.source, item.why))
        );
    }
    out
}

fn data(text: &str) -> String {
    clean(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::report;

    #[test]
    fn each_finding_is_one_line_at_its_place() {
        let got = github(&report());
        let mut lines = got.lines();
        let first = lines.next().expect("a finding");
        let head = "::error file=deploy.yaml,line=13,col=7,title=app-before-proxy (confirmed)::";
        assert!(first.starts_with(head), "{first}");
        assert!(first.contains("%0Afix: start the application"), "{first}");
        assert!(lines.next().is_some_and(|l| l.starts_with("::warning file=x.json,line=3,")));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn no_text_can_end_its_line_or_begin_a_command() {
        let mut report = report();
        report.findings[0].summary = "50%\n::stop-commands::x\r\n".into();
        report.findings[0].fixes[0].target = None;
        report.findings[0].fixes[0].diff =
            Some("--- a/x,y:z.yaml\n+++ b\n@@ -1 +1 @@\n+a\n".into());
        let got = github(&report);
        assert_eq!(got.lines().count(), 2, "{got}");
        assert!(got.contains("50%25%0A: :stop-commands"), "{got}");
        assert!(got.starts_with("::error file=x%2Cy%3Az.yaml,line=1,"), "{got}");
    }
}
