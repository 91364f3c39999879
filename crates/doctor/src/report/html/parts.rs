//! The parts of a finding: headline, drawing, evidence, reasons, fixes.

use maud::{Markup, html};
use sunup_api::report::{EvidenceItem, Finding, Fix, Report, Safety};
use sunup_api::show::text as clean;

use super::chart;
use super::drawn::Drawn;
use crate::report::look::Seen;
use crate::report::snippet::telling;
use crate::report::terms::{first_fix, severity, subject, verdict};

/// Pods of a finding that are named in its headline.
const PODS_MAX: usize = 4;
/// Evidence shown unfolded.
const EVIDENCE_MAX: usize = 3;

pub(super) fn finding(
    index: usize,
    finding: &Finding,
    report: &Report,
    seen: &Seen,
    drawn: &Drawn<'_>,
) -> Markup {
    let id = format!("f{}", index + 1);
    html! {
        article.finding.(severity(finding.severity)) id=(id) aria-labelledby={ (id) "-h" } {
            p.kicker {
                span.chip.(severity(finding.severity)) { (severity(finding.severity)) }
                " " span.chip.verdict { (verdict(finding.verdict)) }
                " " code.rule { (finding.rule) @if let Some(cause) = &finding.cause { "/" (clean(cause)) } }
            }
            h2 id={ (id) "-h" } { (clean(&finding.summary)) }
            (whose(finding))
            (drawing(index, drawn))
            @if !finding.explanation.trim().is_empty() {
                section.why { h3 { "Why" } p { (clean(&finding.explanation)) } }
            }
            @if !finding.consequences.is_empty() {
                p.so { "Its consequences, not told again: "
                    @for (i, rule) in finding.consequences.iter().enumerate() {
                        @if i > 0 { ", " } code { (clean(rule)) }
                    }
                }
            }
            (fixes(index, finding, report, seen))
            (evidence(finding, report))
        }
    }
}

fn whose(finding: &Finding) -> Markup {
    let of = &finding.subject;
    html! {
        p.whose {
            (clean(&subject(of)))
            @if let Some(container) = &of.container { ", container " code { (clean(container)) } }
            @for pod in of.pods.iter().take(PODS_MAX) { br; span.podname { (clean(pod)) } }
            @if let Some(more) = of.pods.len().checked_sub(PODS_MAX).filter(|&n| n > 0) {
                details.more {
                    summary { (super::words::counted(more, "more pod")) }
                    @for pod in &of.pods[PODS_MAX..] { span.podname { (clean(pod)) } br; }
                }
            }
        }
    }
}

fn drawing(index: usize, drawn: &Drawn<'_>) -> Markup {
    let Some(story) = drawn.of_finding.get(index).copied().flatten() else { return html! {} };
    match drawn.shown_in.get(&story) {
        Some(&elsewhere) if elsewhere != index => html! {
            p.elsewhere { "Its start is drawn " a href={ "#f" (elsewhere + 1) } { "with another finding of this pod" } "." }
        },
        _ => chart::chart(&drawn.stories[story], &format!("c{}", index + 1)),
    }
}

fn evidence(finding: &Finding, report: &Report) -> Markup {
    if finding.evidence.is_empty() {
        return html! {};
    }
    let (first, rest) = finding.evidence.split_at(finding.evidence.len().min(EVIDENCE_MAX));
    html! {
        section.evidence {
            h3 { "Evidence" }
            @for one in first { (item(one, report)) }
            @if !rest.is_empty() {
                details {
                    summary { (rest.len()) " more" }
                    @for one in rest { (item(one, report)) }
                }
            }
        }
    }
}

fn item(item: &EvidenceItem, report: &Report) -> Markup {
    html! {
        figure.item {
            figcaption {
                span.source { (clean(&item.source)) }
                @if let Some(at) = &item.at { " " time datetime=(at) { (clean(at)) } }
                @if let Some(entry) = report.entry(&item.source) {
                    " " a href=(entry.link) { "insertId " (clean(&entry.insert_id)) } " of " span.source { (clean(&entry.log_name)) }
                }
            }
            pre tabindex="0" { @for (i, line) in clean(&item.text).lines().enumerate() {
                @if i > 0 { "\n" }
                @match telling(line) {
                    Some(span) => { (line[..span.start]) mark { (line[span.clone()]) } (line[span.end..]) }
                    None => { (line) }
                }
            } }
        }
    }
}

fn fixes(index: usize, finding: &Finding, report: &Report, seen: &Seen) -> Markup {
    let Some(best) = first_fix(finding) else { return html! {} };
    let others: Vec<&Fix> =
        finding.fixes.iter().enumerate().filter(|(i, _)| *i != best).map(|(_, fix)| fix).collect();
    html! {
        section.fixes {
            h3 { @if seen.settled.contains(&index) { "Fix, in place" } @else { "Fix" } }
            (fix(&finding.fixes[best], index, report))
            @if !others.is_empty() {
                details.others {
                    summary { @if others.len() == 1 { "Another way" } @else { (others.len()) " other ways" } }
                    @for other in others { (fix(other, index, report)) }
                }
            }
        }
    }
}

fn fix(fix: &Fix, index: usize, report: &Report) -> Markup {
    let advice = fix.patch.is_none() && fix.diff.is_none();
    let (class, word) = match fix.safety {
        Safety::Safe => ("safe", "safe"),
        Safety::Unsafe if advice => ("advice", "advice"),
        Safety::Unsafe => ("unsafe", "has a side effect"),
    };
    let told = report.findings[..index].iter().flat_map(|f| &f.fixes);
    let again = fix.diff.is_some() && told.clone().any(|other| other.diff == fix.diff);
    html! {
        div.fix {
            p.title { (clean(&fix.title)) " " code.id { (clean(&fix.id)) } " " span.chip.(class) { (word) } }
            @if again {
                p.again { "The same change as above." }
            } @else if let Some(text) = &fix.diff {
                (diff(text))
            }
            @if let Some(text) = &fix.command { (command(text)) }
        }
    }
}

/// A unified diff, each line with its sign, so that colour is not all that tells them apart.
fn diff(text: &str) -> Markup {
    html! {
        pre.diff tabindex="0" role="region" aria-label="Change as a diff" {
            @for line in clean(text).lines() {
                @let class = match line.as_bytes().first() {
                    _ if line.starts_with("+++") || line.starts_with("---") => "file",
                    Some(b'+') => "add",
                    Some(b'-') => "del",
                    Some(b'@') => "hunk",
                    _ => "same",
                };
                span.(class) { (line) "\n" }
            }
        }
    }
}

/// Something to type, with a button that copies it where scripts run.
pub(super) fn command(text: &str) -> Markup {
    html! {
        div.command {
            pre tabindex="0" { (clean(text)) }
            button.copy type="button" hidden { "Copy" }
        }
    }
}
