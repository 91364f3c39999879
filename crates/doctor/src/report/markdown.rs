//! The report for a ticket: short, details folded, diffs as blocks. GitHub's dialect, which
//! GitLab and most trackers read as well.

use std::fmt::Write as _;

use sunup_api::report::{Finding, Fix, Report, Safety, TimelineEntry};
use sunup_api::show::text as clean;

use super::terms::{first_fix, severity, subject, verdict};

/// Evidence shown of one finding.
const EVIDENCE_MAX: usize = 5;
/// Points of a timeline shown.
const POINTS_MAX: usize = 20;
/// Findings told with all details; trackers refuse longer texts (GitHub: 65,536 characters).
const FULL_MAX: usize = 10;

/// The report as Markdown.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    if report.findings.is_empty() {
        let all = report.unreadable.is_empty();
        out.push_str(match (all, report.read.is_passed_over()) {
            (true, true) => "**Nothing was read that a pod's start could be judged by.**\n",
            (true, false) => "**No start-up fault found.**\n",
            (false, _) => "**No start-up fault found in what could be read.**\n",
        });
    }
    for (i, finding) in report.findings.iter().enumerate() {
        one(&mut out, report, finding, i < FULL_MAX);
    }
    let asides = [
        (
            "Ruled out",
            report
                .cleared
                .iter()
                .map(|c| {
                    format!(
                        "**{}**, {}: {}",
                        plain(&c.look_alike),
                        plain(&subject(&c.subject)),
                        plain(&c.why)
                    )
                })
                .collect::<Vec<_>>(),
        ),
        (
            "Can't tell without more",
            report
                .unknown
                .iter()
                .map(|u| {
                    let how = u.get_it_with.as_deref().map(|c| {
                        format!("\n\n  {}", block("sh", c).replace('\n', "\n  ").trim_end())
                    });
                    format!(
                        "**{}**, {}: missing {}{}",
                        plain(&u.rule),
                        plain(&subject(&u.subject)),
                        plain(&u.missing.join(", ")),
                        how.unwrap_or_default()
                    )
                })
                .collect(),
        ),
        (
            "Could not be read",
            report
                .unreadable
                .iter()
                .map(|u| format!("{}: {}", code(&u.source), plain(&u.why)))
                .collect(),
        ),
    ];
    let account = super::account::account(&report.read);
    if !account.is_empty() {
        let _ = writeln!(out, "\n{}", plain(&account));
    }
    for (title, items) in asides.iter().filter(|(_, items)| !items.is_empty()) {
        let _ = writeln!(out, "\n<details><summary>{title} ({})</summary>\n", items.len());
        for item in items {
            let _ = writeln!(out, "- {item}");
        }
        out.push_str("\n</details>\n");
    }
    out
}

fn one(out: &mut String, report: &Report, finding: &Finding, full: bool) {
    if !out.is_empty() {
        out.push('\n');
    }
    let cause = finding.cause.as_ref().map(|cause| format!("/{cause}")).unwrap_or_default();
    let _ = writeln!(out, "### {}\n", plain(&finding.summary));
    let _ = writeln!(
        out,
        "{} ({}), {}: {}",
        code(&format!("{}{cause}", finding.rule)),
        verdict(finding.verdict),
        severity(finding.severity),
        plain(&subject(&finding.subject)),
    );
    if !full {
        return;
    }
    if !finding.explanation.trim().is_empty() {
        let _ = writeln!(out, "\n{}", plain(&finding.explanation));
    }
    if !finding.consequences.is_empty() {
        let rules: Vec<String> = finding.consequences.iter().map(|rule| code(rule)).collect();
        let _ = writeln!(out, "\nIts consequences: {}", rules.join(", "));
    }
    if let Some(best) = first_fix(finding) {
        let _ = write!(out, "\n**Fix:** {}", fix(&finding.fixes[best]));
        let others = finding.fixes.iter().enumerate().filter(|(i, _)| *i != best);
        for (_, other) in others {
            let _ = writeln!(
                out,
                "\n<details><summary>Or: {}</summary>\n\n{}\n</details>",
                html(&other.title),
                fix(other)
            );
        }
    }
    details(out, finding, report);
}

fn details(out: &mut String, finding: &Finding, report: &Report) {
    if finding.timeline.is_empty() && finding.evidence.is_empty() {
        return;
    }
    out.push_str("\n<details><summary>Timeline and evidence</summary>\n");
    if !finding.timeline.is_empty() {
        out.push_str("\n| time (UTC) | what | source |\n|---|---|---|\n");
        for point in finding.timeline.iter().take(POINTS_MAX) {
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                cell(&time(point)),
                cell(&plain(&point.what)),
                cell(&code(&point.source))
            );
        }
    }
    for item in finding.evidence.iter().take(EVIDENCE_MAX) {
        let entry = report.entry(&item.source).map(|entry| {
            let (log, id) = (code(&entry.log_name), code(&entry.insert_id));
            format!(" (insertId [{id}]({}) of {log})", entry.link)
        });
        let entry = entry.unwrap_or_default();
        let _ = write!(out, "\n{}{entry}\n\n{}", code(&item.source), block("", &item.text));
    }
    out.push_str("\n</details>\n");
}

fn time(point: &TimelineEntry) -> String {
    use sunup_api::report::Precision;
    let at = point.at.as_deref().map_or("unknown", |at| at.trim_end_matches('Z'));
    let at = plain(&at.replace('T', " "));
    match (point.precision, &point.until) {
        (Precision::NotBefore, _) => format!("≥ {at}"),
        (Precision::NotAfter, _) => format!("≤ {at}"),
        (_, Some(until)) => {
            format!("{at} … {}", plain(&until.trim_end_matches('Z').replace('T', " ")))
        }
        _ => at,
    }
}

fn fix(fix: &Fix) -> String {
    let advice = fix.patch.is_none() && fix.diff.is_none();
    let class = match fix.safety {
        Safety::Safe => "safe",
        Safety::Unsafe if advice => "advice",
        Safety::Unsafe => "has a side effect",
    };
    let mut out = format!("{} ({}, {class})\n", plain(&fix.title), code(&fix.id));
    if let Some(diff) = &fix.diff {
        let _ = write!(out, "\n{}", block("diff", diff));
    }
    if let Some(command) = &fix.command {
        let _ = write!(out, "\n{}", block("sh", command));
    }
    out
}

/// Text that Markdown and HTML leave alone, in one line.
fn plain(text: &str) -> String {
    let text = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A zero-width joiner keeps `@team` from calling a team, and `#12` from linking.
            '@' => out.push_str("@\u{2060}"),
            '#' => out.push_str("#\u{2060}"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Text inside of HTML, in one line.
fn html(text: &str) -> String {
    let text = clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('@', "@\u{2060}").replace('#', "#\u{2060}").replace('\n', " ")
}

/// A cell of a table ends at a bar, even in code.
fn cell(text: &str) -> String {
    text.replace("\\|", "|").replace('|', "\\|")
}

/// A code span that its own backticks can't end.
fn code(text: &str) -> String {
    let text = clean(text).replace('\n', " ");
    let fence = "`".repeat(longest(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A block that its own backticks can't end.
fn block(language: &str, text: &str) -> String {
    let text = clean(text);
    let fence = "`".repeat(longest(&text).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

/// The longest row of backticks.
fn longest(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{golden, report};

    #[test]
    fn a_ticket_has_the_fault_its_reason_and_its_fix() {
        golden("ticket.md", &markdown(&report()));
    }

    #[test]
    fn no_text_of_the_evidence_becomes_markup() {
        let evil = "<img src=x> `code` ```\n</details> | @team #12 *b* [x](y)";
        let mut report = report();
        let finding = &mut report.findings[0];
        finding.summary = evil.into();
        finding.explanation = evil.into();
        finding.timeline[0].what = evil.into();
        finding.timeline[0].source = evil.into();
        finding.evidence[0].text = evil.into();
        finding.fixes[0].title = evil.into();
        finding.fixes[1].title = evil.into();
        finding.fixes[0].diff = Some(evil.into());
        report.cleared[0].why = evil.into();
        let got = markdown(&report);
        let mut fence: Option<&str> = None;
        for line in got.lines() {
            let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
            match fence {
                Some(open) if ticks.len() >= open.len() && line == ticks => fence = None,
                Some(_) => continue,
                None if ticks.len() >= 3 => fence = Some(ticks),
                None => {
                    let in_code = line.contains('`') && line.starts_with('|');
                    let in_html = line.starts_with("<details>");
                    assert!(!line.contains("<img") || in_code, "{line}");
                    assert!(!line.contains("[x](y)") || in_code || in_html, "{line}");
                }
            }
        }
        assert_eq!(fence, None, "every block ends");
        assert_eq!(got.matches("\n<details>").count(), got.matches("\n</details>\n").count());
    }
}
