//! The page as text: what it holds, what it must not. How it behaves in a browser is tested with
//! the command.

use jiff::{SignedDuration, Timestamp};
use sunup_api::report::Report;
use sunup_evidence::time::Known;

use super::html;
use super::view::View;
use crate::report::lanes::{End, Lane, Role, Span, State, Story, Tick, TickKind};
use crate::report::look::Seen;
use crate::report::sample::{report, seen};

fn at(second: i64) -> Timestamp {
    let zero: Timestamp = "2020-03-31T10:41:15Z".parse().expect("a time");
    zero + SignedDuration::from_secs(second)
}

/// The proxy of the sample report's pod: not ready at least until second 43; an error at second 1.
fn story(text: &str) -> Story {
    let report = report();
    let tick = |second, kind| Tick {
        kind,
        at: Known::exact(at(second), "export.jsonl:17"),
        until: None,
        count: 1,
        text: text.to_owned(),
    };
    let proxy = Span {
        state: State::NotReady,
        from: Some(Known::second(at(0), "events.json:41")),
        to: End::At(Known::not_before(at(43), "events.json:97")),
        note: String::new(),
    };
    let lane = |name: &str, role, spans, ticks| Lane { name: name.into(), role, spans, ticks };
    let subject = report.findings[0].subject.clone();
    Story {
        subject,
        lanes: vec![
            lane("istio-proxy", Role::Proxy, vec![proxy], Vec::new()),
            lane("app", Role::Application, Vec::new(), vec![tick(1, TickKind::Error)]),
        ],
        points: report.findings[0].timeline.clone(),
    }
}

#[test]
fn a_person_reads_everything_without_scripts() {
    let report = report();
    let page = html(&report, &[story("connection refused")], &seen());
    let body = page.split("<script>").next().expect("there is a page");
    let finding = &report.findings[0];
    for text in [
        finding.summary.as_str(),
        "confirmed",
        "readiness probe at 10:41:58",
        "export.jsonl:17",
        "+      annotations:",
        "exclude-outbound-port",
        "loopback-refused",
        "kubectl -n shop get pods,events -o json",
        "x.json:3",
        "proxy-not-ready",
    ] {
        assert!(body.contains(text), "{text} is missing");
    }
    // The mark's place and its words are in the drawing itself.
    assert!(body.contains("<title>connection refused\n+1.00s (10:41:16)\nexport.jsonl:17</title>"));
}

#[test]
fn nothing_is_fetched_and_nothing_of_the_evidence_is_markup() {
    let evil = "<script>alert(1)</script>\" onload=\"x' &amp; </svg>\u{1b}[31m\u{202e}";
    let mut report = report();
    let finding = &mut report.findings[0];
    finding.summary = evil.into();
    finding.explanation = evil.into();
    finding.subject.name = evil.into();
    finding.evidence[0].text = evil.into();
    finding.fixes[0].diff = Some(format!("--- a\n+++ b\n+{evil}\n"));
    finding.fixes[0].command = Some(evil.into());
    report.cleared[0].why = evil.into();
    let page = html(&report, &[story(evil)], &seen());
    assert_eq!(page.matches("<script").count(), 1, "only the page's own");
    assert!(!page.contains("onload=\"x"), "an attribute was closed");
    assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
    for attribute in ["src=\"http", "href=\"http", "url(http", "@import", "<link rel=\"stylesheet"]
    {
        assert!(!page.contains(attribute), "{attribute}");
    }
}

#[test]
fn what_is_not_known_fades_instead_of_ending() {
    let page = html(&report(), &[story("x")], &seen());
    let bar = page.split("class=\"bar not-ready\"").nth(1).expect("the proxy's bar");
    let bar = bar.split("</g>").next().expect("it ends");
    assert!(bar.contains("piece in"), "a status is cut to the second");
    assert!(bar.contains("piece out"), "not ready at least until 43 s");
    assert!(bar.contains("until not before +43s"), "{bar}");
}

#[test]
fn the_first_view_is_that_of_the_errors_and_the_rest_can_be_reached() {
    let mut story = story("x");
    let mut later = story.lanes[1].ticks[0].clone();
    later.at = Known::exact(at(86_400), "export.jsonl:99");
    later.kind = TickKind::Warning;
    story.lanes[1].ticks.push(later);
    let view = View::of(&story).expect("there is something to see");
    assert_eq!(view.zero, at(0));
    assert!(view.lo < 0.0 && view.hi > 43.0 && view.hi < 60.0, "{view:?}");
    let page = html(&report(), &[story], &seen());
    assert!(page.contains("1 mark outside of this view"));
}

#[test]
fn nothing_found_is_said_in_the_headline() {
    let page = html(&Report::default(), &[story("x")], &Seen::default());
    assert!(page.contains("<h1>No start-up fault found</h1>"));
    assert!(page.contains("<h2>Pods</h2>"), "pods are drawn all the same");
}
