//! The report for people: what is wrong, why that is certain, what to type. In that order.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anstyle::Style;
use sunup_api::report::{Finding, Fix, Report, Safety, Severity, StoreEntry, Subject, Verdict};
use sunup_api::show::{line as one_line, text as clean};

use super::look::{Look, Seen};
use super::paint::{
    BOLD, CYAN, DIM, ERROR, FRAME, GREEN, INFO, PLAIN, RED, Signs, WARNING, YELLOW, counted, paint,
    signs, wrap,
};
use super::snippet::{more, sameness, snippet};
use super::terms::{first_fix, severity, subject, verdict};
use super::timeline::timeline;

/// Findings told in full when not everything is asked for; the others have their headline.
const FULL_MAX: usize = 10;
/// Headlines listed at the top.
const OVERVIEW_MAX: usize = 20;
/// Pieces of evidence shown when not everything is asked for.
const EVIDENCE_MAX: usize = 3;
/// Lines of a diff shown when not everything is asked for.
const DIFF_MAX: usize = 40;
/// Look-alikes, unknowns and unreadable pieces listed when not everything is asked for.
const ASIDES_MAX: usize = 8;

/// The whole report, styled with ANSI sequences that the caller strips where they are not wanted.
#[must_use]
pub fn text(report: &Report, seen: &Seen, look: &Look) -> String {
    let mut page = Page { out: String::new(), look, seen, signs: signs(look.ascii) };
    let full = if look.verbose { usize::MAX } else { FULL_MAX };
    page.overview(report);
    for (index, finding) in report.findings.iter().enumerate().take(full) {
        page.finding(report, index, finding);
    }
    page.others(report.findings.get(full..).unwrap_or_default());
    page.cleared(report);
    page.unknown(report);
    page.unreadable(report);
    page.close(report);
    page.out
}

/// One line for each finding, for scripts and for the impatient.
#[must_use]
pub fn headlines(report: &Report) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let _ = writeln!(out, "{}: {}", headline(finding), one_line(&finding.summary));
    }
    out
}

/// `error[app-before-proxy] confirmed, Deployment shop/checkout`.
#[must_use]
pub fn headline(finding: &Finding) -> String {
    let style = severity_style(finding.severity);
    let cause = finding.cause.as_ref().map(|cause| format!("/{cause}")).unwrap_or_default();
    format!(
        "{}{} {}",
        paint(style, severity(finding.severity)),
        paint(
            BOLD,
            format_args!("[{}{}] {}", finding.rule, one_line(&cause), whose(&finding.subject))
        ),
        paint(verdict_style(finding.verdict), format_args!("({})", verdict(finding.verdict))),
    )
}

fn whose(of: &Subject) -> String {
    one_line(&subject(of))
}

fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Error => ERROR,
        Severity::Warning => WARNING,
        Severity::Info => INFO,
    }
}

fn verdict_style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Confirmed => RED,
        Verdict::Likely => YELLOW,
        Verdict::Possible => CYAN,
    }
}

struct Page<'a> {
    out: String,
    look: &'a Look,
    seen: &'a Seen,
    signs: &'static Signs,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn blank(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// A paragraph behind a lead-in, its further lines indented.
    fn note(&mut self, indent: usize, lead: &str, lead_style: Style, text: &str) {
        let hang = if lead.is_empty() { indent } else { indent + 2 };
        // The lead-in takes room on the first line only: a stand-in of its width keeps it free.
        let stand_in = "x".repeat(super::paint::width(lead.trim_end()));
        let room = self.look.width.saturating_sub(hang).max(20);
        let text = format!("{stand_in} {}", one_line(text));
        for (i, part) in wrap(&text, room).iter().enumerate() {
            match part.strip_prefix(&stand_in).filter(|_| i == 0) {
                Some(rest) => {
                    let rest = if lead.is_empty() { rest.trim_start() } else { rest };
                    let lead = paint(lead_style, lead.trim_end());
                    self.line(&format!("{:indent$}{lead}{rest}", ""));
                }
                None => {
                    // A name with a blank in it begins no line as a headline does.
                    let headline = part.split(' ').next().is_some_and(|word| word.contains('['));
                    let hang = if headline { hang.max(2) } else { hang };
                    self.line(&format!("{:hang$}{part}", ""));
                }
            }
        }
    }

    /// Of several findings a line each comes first: what is read before anything is read closely.
    fn overview(&mut self, report: &Report) {
        let findings = &report.findings;
        if findings.len() < 3 {
            return;
        }
        let tally = self.tally(report);
        self.line(&tally);
        let shown = if self.look.verbose { findings.len() } else { OVERVIEW_MAX };
        for finding in findings.iter().take(shown) {
            self.line(&format!("  {}", headline(finding)));
        }
        if let Some(left_out) = findings.len().checked_sub(shown).filter(|&n| n > 0) {
            self.line(&format!("  {}", more(left_out)));
        }
    }

    fn finding(&mut self, report: &Report, index: usize, finding: &Finding) {
        self.blank();
        self.line(&headline(finding));
        self.note(2, "", PLAIN, &finding.summary);
        if self.seen.settled.contains(&index) && !self.look.verbose {
            if let Some(fix) = first_fix(finding).map(|best| &finding.fixes[best]) {
                self.note(2, &format!("{} in place: ", self.signs.ok), GREEN, &fix.title);
                for line in fix.command.as_deref().unwrap_or_default().lines() {
                    self.line(&format!("      {}", paint(CYAN, clean(line))));
                }
            }
            return;
        }
        let drawing = timeline(finding, self.look);
        if !drawing.is_empty() {
            self.blank();
            for line in drawing {
                self.line(&format!("  {line}"));
            }
        }
        self.evidence(finding);
        self.entries(report, finding);
        if !finding.explanation.trim().is_empty() {
            self.blank();
            self.note(2, "why: ", BOLD, &finding.explanation);
        }
        if !finding.consequences.is_empty() {
            self.note(2, "so also: ", BOLD, &finding.consequences.join(", "));
        }
        self.fixes(report, index, finding);
    }

    /// Findings beyond what anybody reads in full.
    fn others(&mut self, findings: &[Finding]) {
        if findings.is_empty() {
            return;
        }
        self.heading(&format!(
            "{} more, in full with -v",
            counted(findings.len() as u64, "finding")
        ));
        for finding in findings {
            self.line(&format!("  {}", headline(finding)));
            self.note(4, "", PLAIN, &finding.summary);
        }
    }

    fn evidence(&mut self, finding: &Finding) {
        let mut said = BTreeSet::new();
        let mut shown = 0;
        for item in &finding.evidence {
            if !self.look.verbose && (shown == EVIDENCE_MAX || !said.insert(sameness(item))) {
                continue;
            }
            shown += 1;
            self.blank();
            for line in snippet(item, finding, self.look) {
                self.line(&format!(" {line}"));
            }
        }
        if let Some(left_out) = finding.evidence.len().checked_sub(shown).filter(|&n| n > 0) {
            self.line(&format!("     {}", more(left_out)));
        }
    }

    /// Which entries of Cloud Logging the evidence is; with everything, each with its link.
    fn entries(&mut self, report: &Report, finding: &Finding) {
        let entries = finding.evidence.iter().filter_map(|item| report.entry(&item.source));
        let entries: Vec<_> = entries.collect();
        let Some((first, more)) = entries.split_first() else { return };
        let named =
            |entry: &StoreEntry| format!("insertId {} of {}", entry.insert_id, entry.log_name);
        self.blank();
        if !self.look.verbose {
            let more = match more.len() {
                0 => String::new(),
                more => format!(", and {}", counted(more as u64, "other")),
            };
            return self.note(2, "in Cloud Logging: ", BOLD, &(named(first) + &more));
        }
        for entry in entries {
            let place = format!("{}: {}", entry.source, named(entry));
            self.note(2, "in Cloud Logging: ", BOLD, &place);
            self.line(&format!("      {}", paint(CYAN, one_line(&entry.link))));
        }
    }

    fn fixes(&mut self, report: &Report, index: usize, finding: &Finding) {
        let Some(best) = first_fix(finding) else { return };
        self.blank();
        let fix = &finding.fixes[best];
        self.note(
            2,
            "fix: ",
            BOLD.fg_color(GREEN.get_fg_color()),
            &format!("{} {}", fix.title, class(fix)),
        );
        if let Some(command) = self.command(index, finding, best) {
            self.blank();
            for line in command.lines() {
                self.line(&format!("      {}", paint(CYAN, line)));
            }
        }
        self.diff(report, index, fix);
        for (i, other) in finding.fixes.iter().enumerate().filter(|(i, _)| *i != best) {
            if self.look.verbose {
                self.blank();
            }
            self.note(3, "or: ", BOLD, &format!("{} {}", other.title, class(other)));
            let Some(command) = self.command(index, finding, i) else { continue };
            if self.look.verbose || !command.contains('\n') {
                for line in command.lines() {
                    self.line(&format!("      {}", paint(CYAN, line)));
                }
            }
            if self.look.verbose {
                self.diff(report, index, other);
            }
        }
    }

    /// What to type for a fix: our own `--fix` where the manifest can be edited, else the fix's
    /// command.
    fn command(&self, index: usize, finding: &Finding, which: usize) -> Option<String> {
        let fix = &finding.fixes[which];
        let editable = self.seen.editable.contains(&(index, fix.id.clone()));
        let command = fix.command.as_deref().map(clean);
        let Some(arguments) = self.seen.arguments.as_ref().filter(|_| editable) else {
            return command;
        };
        let first_safe = finding.fixes.iter().position(|fix| fix.safety == Safety::Safe);
        let option = match first_safe == Some(which) {
            true => "--fix".to_owned(),
            false => format!("--fix={}", fix.id),
        };
        Some(format!("sunup doctor {option} {arguments}"))
    }

    fn diff(&mut self, report: &Report, index: usize, fix: &Fix) {
        let Some(diff) = &fix.diff else { return };
        let before = report.findings[..index].iter().flat_map(|finding| &finding.fixes);
        if before.clone().any(|other| other.diff.as_ref() == Some(diff)) {
            self.line(&format!("      {}", paint(DIM, "the same change as above")));
            return;
        }
        self.blank();
        let lines: Vec<&str> = diff.lines().collect();
        let shown = if self.look.verbose { lines.len() } else { lines.len().min(DIFF_MAX) };
        for line in &lines[..shown] {
            let style = match line.as_bytes().first() {
                _ if line.starts_with("+++") || line.starts_with("---") => BOLD,
                Some(b'+') => GREEN,
                Some(b'-') => RED,
                Some(b'@') => FRAME,
                _ => PLAIN,
            };
            self.line(&format!("      {}", paint(style, clean(line))));
        }
        if shown < lines.len() {
            self.line(&format!("      {}", more(lines.len() - shown)));
        }
        self.blank();
    }

    fn heading(&mut self, text: &str) {
        self.blank();
        self.line(&paint(BOLD, text));
    }

    /// How many of a list to show, and the line that says so.
    fn shown(&self, of: usize) -> usize {
        if self.look.verbose { of } else { of.min(ASIDES_MAX) }
    }

    fn rest(&mut self, of: usize) {
        if let Some(left_out) = of.checked_sub(self.shown(of)).filter(|&n| n > 0) {
            self.line(&format!("    {}", more(left_out)));
        }
    }

    fn cleared(&mut self, report: &Report) {
        if report.cleared.is_empty() {
            return;
        }
        self.heading("ruled out");
        for item in &report.cleared[..self.shown(report.cleared.len())] {
            let lead = format!("{} {}: ", self.signs.ok, item.look_alike);
            let text = format!("{}: {}", whose(&item.subject), item.why);
            self.note(2, &lead, GREEN, &text);
        }
        self.rest(report.cleared.len());
    }

    fn unknown(&mut self, report: &Report) {
        if report.unknown.is_empty() {
            return;
        }
        self.heading("can't tell without more");
        for item in &report.unknown[..self.shown(report.unknown.len())] {
            let text = format!("{}: missing {}", whose(&item.subject), item.missing.join(", "));
            self.note(2, &format!("? {}: ", item.rule), YELLOW, &text);
            for line in item.get_it_with.as_deref().unwrap_or_default().lines() {
                self.line(&format!("      {}", paint(CYAN, clean(line))));
            }
        }
        self.rest(report.unknown.len());
    }

    fn unreadable(&mut self, report: &Report) {
        if report.unreadable.is_empty() {
            return;
        }
        self.heading("could not be read");
        for item in &report.unreadable[..self.shown(report.unreadable.len())] {
            let text = format!("{}: {}", one_line(&item.source), one_line(&item.why));
            self.note(2, "! ", YELLOW, &text);
        }
        self.rest(report.unreadable.len());
    }

    fn close(&mut self, report: &Report) {
        self.blank();
        if report.findings.is_empty() {
            let text = if self.seen.empty {
                "Nothing was read that a pod's start could be judged by."
            } else if report.unreadable.is_empty() {
                "No start-up fault found."
            } else {
                "No start-up fault found in what could be read."
            };
            self.line(&paint(BOLD, text));
        } else {
            self.line(&self.tally(report));
        }
        let counts: Vec<String> = self
            .seen
            .counts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| counted(*number, what))
            .collect();
        if !counts.is_empty() {
            self.note(0, "Looked at ", PLAIN, &format!("{}.", counts.join(", ")));
        }
        let gaps = !self.seen.empty && (report.findings.is_empty() || self.look.verbose);
        for (what, command) in self.seen.gaps.iter().filter(|_| gaps) {
            self.note(0, "Not among it: ", YELLOW, &format!("{what}. To add it:"));
            for line in clean(command).lines() {
                self.line(&format!("      {}", paint(CYAN, line)));
            }
        }
        let account = super::account::account(&report.read);
        if !account.is_empty() {
            self.note(0, "", PLAIN, &account);
        }
    }

    /// `1 error, 2 warnings; 1 ruled out, 1 can't tell, 1 could not be read`.
    fn tally(&self, report: &Report) -> String {
        let mut parts = Vec::new();
        for (of, style) in
            [(Severity::Error, ERROR), (Severity::Warning, WARNING), (Severity::Info, INFO)]
        {
            let number = report.findings.iter().filter(|f| f.severity == of).count();
            let word = if of == Severity::Info { "note" } else { severity(of) };
            if number > 0 {
                parts.push(paint(style, counted(number as u64, word)));
            }
        }
        for (number, words) in [
            (report.cleared.len(), "ruled out"),
            (report.unknown.len(), "undecided"),
            (report.unreadable.len(), "unreadable"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {words}"));
            }
        }
        parts.join(self.signs.separator)
    }
}

/// `[hold-application]`; one that has a side effect says so.
fn class(fix: &Fix) -> String {
    match fix.safety {
        Safety::Safe => format!("[{}]", fix.id),
        // Nothing that could be applied: somebody's own work.
        Safety::Unsafe if fix.patch.is_none() && fix.diff.is_none() => {
            format!("[{}, advice]", fix.id)
        }
        Safety::Unsafe => format!("[{}, unsafe]", fix.id),
    }
}
