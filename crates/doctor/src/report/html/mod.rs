//! The report as one HTML file for a post-mortem: no network, readable without scripts, on paper
//! and on a phone. Styles and script lie beside this file and are put into the page.

mod chart;
mod drawn;
mod parts;
mod view;
mod words;

#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sunup_api::report::{Report, Severity};
use sunup_api::show::text as clean;

use self::drawn::Drawn;
use super::look::Seen;
use super::paint::thousands;
use super::terms::{severity, subject, verdict};
use crate::report::lanes::{Story, TickKind};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Pods drawn beside those of findings. A browser lays out this many at once.
const PODS_MAX: usize = 2_000;

/// The whole page. `stories` are those of [`crate::stories`].
#[must_use]
pub fn html(report: &Report, stories: &[Story], seen: &Seen) -> String {
    let drawn = Drawn::new(report, stories);
    let title = title(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Nothing is fetched, whatever a log line says.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (defs())
                a.skip href="#main" { "Skip to the findings" }
                (header(report, seen))
                main #main tabindex="-1" {
                    (contents(report))
                    @for (i, finding) in report.findings.iter().enumerate() {
                        (parts::finding(i, finding, report, seen, &drawn))
                    }
                    (asides(report))
                    (pods(report, &drawn))
                }
                (footer())
                div #tip role="tooltip" hidden {}
                div #said .unseen aria-live="polite" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn title(report: &Report) -> String {
    match report.findings.as_slice() {
        [] => "No start-up fault found".to_owned(),
        [one] => format!("{}: {}", one.rule, clean(&subject(&one.subject))),
        [first, ..] => {
            format!("{}, and {} more findings", first.rule, report.findings.len() - 1)
        }
    }
}

/// Gradients and patterns that every drawing shares. Not `display: none`: what refers to them
/// would not be painted.
fn defs() -> Markup {
    let states = ["redirecting", "running", "failed", "not-ready", "ready"];
    html! {
        svg.defs width="0" height="0" aria-hidden="true" focusable="false" {
            defs {
                @for state in states {
                    linearGradient id={ "in-" (state) } {
                        stop.(state).none offset="0" {}
                        stop.(state) offset="1" {}
                    }
                    linearGradient id={ "out-" (state) } {
                        stop.(state) offset="0" {}
                        stop.(state).none offset="1" {}
                    }
                }
                pattern #hatch width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.hatch-ground width="7" height="7" {}
                    rect.hatch-line width="2.4" height="7" {}
                }
            }
        }
    }
}

fn header(report: &Report, seen: &Seen) -> Markup {
    html! {
        header.top {
            div.brand {
                span.sun aria-hidden="true" {}
                span { "Sunup doctor" }
                div.tools {
                    button type="button" #theme hidden aria-label="Switch between light and dark" { "Dark" }
                    button type="button" #expand hidden { "Open all" }
                }
            }
            h1 { (headline(report)) }
            p.counts {
                @if !seen.empty { "Looked at " (counts(seen)) ". " }
                (clean(&super::account::account(&report.read)))
            }
        }
    }
}

fn headline(report: &Report) -> String {
    let number = |of: Severity| report.findings.iter().filter(|f| f.severity == of).count();
    let word = |of| if of == Severity::Info { "note" } else { severity(of) };
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Info]
        .into_iter()
        .filter(|&of| number(of) > 0)
        .map(|of| words::counted(number(of), word(of)))
        .collect();
    match parts.as_slice() {
        [] if report.unreadable.is_empty() => "No start-up fault found".to_owned(),
        [] => "No start-up fault found in what could be read".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn counts(seen: &Seen) -> String {
    let counted = |(number, what): &(u64, &str)| super::paint::counted(*number, what);
    let parts = seen.counts.iter().filter(|(number, _)| *number > 0);
    parts.map(counted).collect::<Vec<_>>().join(", ")
}

/// The findings in a line each, when there are several.
fn contents(report: &Report) -> Markup {
    if report.findings.len() < 2 {
        return html! {};
    }
    html! {
        nav.contents aria-label="Findings" {
            ol {
                @for (i, finding) in report.findings.iter().enumerate() {
                    li {
                        a href={ "#f" (i + 1) } {
                            span.dot.(severity(finding.severity)) aria-hidden="true" {}
                            span.rule { (finding.rule) @if let Some(cause) = &finding.cause { "/" (clean(cause)) } }
                            " "
                            span.subject { (clean(&subject(&finding.subject))) }
                            " "
                            span.verdict { (severity(finding.severity)) ", " (verdict(finding.verdict)) }
                        }
                    }
                }
            }
        }
    }
}

fn asides(report: &Report) -> Markup {
    html! {
        @if !report.cleared.is_empty() {
            section.aside #cleared {
                h2 { "Ruled out" }
                p.lead { "What looked like a fault and is none." }
                ul {
                    @for item in &report.cleared {
                        li {
                            strong { (clean(&item.look_alike)) } " " span.subject { (clean(&subject(&item.subject))) }
                            p { (clean(&item.why)) }
                        }
                    }
                }
            }
        }
        @if !report.unknown.is_empty() {
            section.aside #unknown {
                h2 { "Can't tell without more" }
                ul {
                    @for item in &report.unknown {
                        li {
                            strong { (clean(&item.rule)) } " " span.subject { (clean(&subject(&item.subject))) }
                            p { "Missing: " (clean(&item.missing.join(", "))) }
                            @if let Some(command) = &item.get_it_with { (parts::command(command)) }
                        }
                    }
                }
            }
        }
        @if !report.unreadable.is_empty() {
            section.aside #unreadable {
                h2 { "Could not be read" }
                ul {
                    @for item in &report.unreadable {
                        li { code { (clean(&item.source)) } p { (clean(&item.why)) } }
                    }
                }
            }
        }
    }
}

fn pods(report: &Report, drawn: &Drawn<'_>) -> Markup {
    let rest: Vec<usize> =
        (0..drawn.stories.len()).filter(|i| !drawn.shown_in.contains_key(i)).collect();
    if rest.is_empty() {
        return html! {};
    }
    let shown = rest.len().min(PODS_MAX);
    html! {
        section.pods #pods {
            h2 { @if report.findings.is_empty() { "Pods" } @else { "Other pods" } }
            p.lead {
                (words::counted(rest.len(), "pod")) " whose start is known."
                @if shown < rest.len() { " The first " (thousands(shown as u64)) " are drawn; narrow the input to see others." }
            }
            label.filter hidden {
                "Filter " input type="search" #filter autocomplete="off" placeholder="name, namespace, workload";
            }
            @for &i in &rest[..shown] {
                @let story = &drawn.stories[i];
                details.pod open[rest.len() <= 3] {
                    summary {
                        span { (pod_name(story)) }
                        " " span.subject { (clean(&subject(&story.subject))) }
                        (errors_of(story))
                    }
                    (chart::chart(story, &format!("p{i}")))
                }
            }
        }
    }
}

fn pod_name(story: &Story) -> String {
    match story.subject.pods.first() {
        Some(pod) => clean(pod),
        None => "not named".to_owned(),
    }
}

fn errors_of(story: &Story) -> Markup {
    let ticks = story.lanes.iter().flat_map(|lane| &lane.ticks);
    let errors = ticks.filter(|tick| tick.kind == TickKind::Error).count();
    html! {
        @if errors > 0 { " " span.errors { (words::counted(errors, "error")) } }
    }
}

fn footer() -> Markup {
    html! {
        footer {
            section.legend aria-label="Legend" {
                h2 { "How to read the drawings" }
                dl {
                    (key("not-ready", "not ready")) dd { "the proxy runs and takes no traffic yet" }
                    (key("ready", "ready")) dd { "the proxy is ready" }
                    (key("running", "running")) dd { "a container runs" }
                    (key("failed", "failed")) dd { "a container ran, and failed" }
                    (key("redirecting", "in force")) dd { "traffic goes to the proxy, ready or not" }
                    dt { svg.sign.mark.error width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true" { path d="M-4.5-4.5 4.5 4.5M4.5-4.5-4.5 4.5" {} } } dd { "a refused connection, a port not bound" }
                    dt { svg.sign.mark.symptom width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true" { path d="M0-6 6 5H-6Z" {} } } dd { "a reset, a timeout, a name not found" }
                    dt { svg.sign.mark.unready width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true" { path d="M0-5V5" {} } } dd { "a failed probe, or the proxy says it is not ready" }
                    dt { svg.sign.mark.warning width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true" { path d="M0-5.5 5.5 0 0 5.5-5.5 0Z" {} } } dd { "a warning event" }
                }
                p { "An end that fades is not known more closely than the fade is long: the true instant lies in it. Status and events are cut to the second; logs are exact." }
                p.keys hidden { "In a drawing: drag to zoom, double-click to see all; or focus it and use the arrow keys to go from mark to mark, + and − to zoom, Shift with arrows to move, 0 for the first view." }
            }
        }
    }
}

fn key(class: &str, what: &str) -> Markup {
    html! { dt { span.swatch.(class) aria-hidden="true" {} (what) } }
}
