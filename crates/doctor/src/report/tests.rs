//! Goldens of the text report.

use sunup_api::report::Report;

use super::sample::{golden, report, seen};
use super::{Look, Seen, headlines, text};

fn plain(styled: &str) -> String {
    anstream::adapter::strip_str(styled).to_string()
}

#[test]
fn a_person_sees_what_is_wrong_why_and_what_to_type() {
    golden("full.txt", &plain(&text(&report(), &seen(), &Look::default())));
}

#[test]
fn a_terminal_that_knows_only_ascii_gets_only_ascii() {
    let look = Look { ascii: true, ..Look::default() };
    let got = plain(&text(&report(), &seen(), &look));
    assert!(got.is_ascii(), "{got}");
    golden("ascii.txt", &got);
}

#[test]
fn a_proxy_that_became_ready_closes_its_window() {
    let mut report = report();
    let finding = &mut report.findings[0];
    finding.timeline[3].at = Some("2020-03-31T10:41:22Z".into());
    finding.timeline[3].until = Some("2020-03-31T10:41:24Z".into());
    finding.timeline[3].precision = sunup_api::report::Precision::Between;
    finding.timeline[3].what = "istio-proxy ready".into();
    finding.consequences.clear();
    report.cleared.clear();
    report.unknown.clear();
    report.unreadable.clear();
    golden("ready.txt", &plain(&text(&report, &seen(), &Look::default())));
}

#[test]
fn nothing_found_says_what_was_looked_at_and_what_was_missing() {
    golden("nothing.txt", &plain(&text(&Report::default(), &seen(), &Look::default())));
}

#[test]
fn a_finding_whose_fix_is_in_place_is_told_in_short() {
    let seen = Seen { settled: [0].into(), ..seen() };
    golden("settled.txt", &plain(&text(&report(), &seen, &Look::default())));
}

#[test]
fn of_many_findings_the_first_are_told_in_full_and_all_are_named() {
    let mut report = report();
    let finding = report.findings[0].clone();
    report.findings = (0..200)
        .map(|i| {
            let mut finding = finding.clone();
            finding.subject.name = format!("workload-{i}");
            finding
        })
        .collect();
    let got = plain(&text(&report, &seen(), &Look::default()));
    assert!((0..200).all(|i| got.contains(&format!("shop/workload-{i} "))), "{got}");
    assert_eq!(got.matches("why: ").count(), 10);
    let look = Look { verbose: true, ..Look::default() };
    assert_eq!(plain(&text(&report, &seen(), &look)).matches("why: ").count(), 200);
}

#[test]
fn each_finding_has_a_headline() {
    golden("headlines.txt", &plain(&headlines(&report())));
}

/// Commands, diffs and paths are copied, so they may be longer; nothing else may.
#[test]
fn no_line_but_what_is_copied_is_wider_than_the_page() {
    for width in 60..=120 {
        for verbose in [false, true] {
            let look = Look { width, ascii: false, verbose };
            for line in plain(&text(&report(), &seen(), &look)).lines() {
                let copied = line.starts_with("      ") || line.starts_with("error[");
                assert!(copied || super::paint::width(line) <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn what_cannot_be_edited_is_not_offered_to_be() {
    let seen = Seen { editable: Default::default(), ..seen() };
    let got = plain(&text(&report(), &seen, &Look::default()));
    assert!(!got.contains("sunup doctor --fix"), "{got}");
}

#[test]
fn a_report_of_garbage_is_drawn_without_harm() {
    let mut report = report();
    let finding = &mut report.findings[0];
    finding.subject.name = "a\u{1b}[2Jb\nc".into();
    finding.summary = String::new();
    for (i, entry) in finding.timeline.iter_mut().enumerate() {
        entry.at =
            [None, Some("not a time".into()), Some("9999-12-30T00:00:00Z".into())][i % 3].clone();
        entry.what = "\u{1b}[31mx".repeat(i * 50);
    }
    finding.evidence[0].text = "\u{1b}]0;owned\u{7}\n\n\t\u{202e}refused".into();
    finding.evidence[1].text = String::new();
    let got = text(&report, &Seen::default(), &Look { width: 0, ..Look::default() });
    let got = plain(&got);
    assert!(!got.contains('\u{1b}') && !got.contains("owned"), "{got}");
}
