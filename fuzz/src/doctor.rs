//! A folder of evidence, diagnosed and drawn: nothing panics, nothing steers a terminal or forges a
//! line of ours, and the report as data is the report.

use sunup_doctor::report::{self, Look, Seen};
use sunup_doctor::{Diagnosis, diagnose, stories};
use sunup_intake::Input;

use crate::{intake, seeds};

/// Files, each behind a line `-- NAME --`.
pub fn folder(text: &str) {
    let pieces = seeds::files(text);
    let names: Vec<(String, Vec<u8>)> =
        pieces.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
    let (_, snapshot) = intake::collect(Input::Pieces(Box::new(names.into_iter())));
    let Diagnosis { report, edits } = diagnose(&snapshot);
    let again = diagnose(&snapshot);
    assert_eq!(again.report, report, "another judgement the second time");
    let _ = edits;
    let all = stories(&snapshot);
    let (seen, look) = (Seen::default(), Look { verbose: true, ..Look::default() });
    for (format, drawn) in [
        ("headlines", report::headlines(&report)),
        ("json", report::json(&report)),
        ("html", report::html(&report, &all, &seen)),
        ("markdown", report::markdown(&report)),
        ("sarif", report::sarif(&report)),
        ("github", report::github(&report)),
        ("text", report::text(&report, &seen, &look)),
    ] {
        let drawn = if matches!(format, "text" | "headlines") { unstyled(&drawn) } else { drawn };
        let bad = drawn.chars().find(|&c| c.is_control() && c != '\n' || is_hidden(c));
        assert_eq!(bad, None, "{format}: {drawn}");
    }
    let back: sunup_api::report::Report =
        serde_json::from_str(&report::json(&report)).expect("a report");
    assert_eq!(back, report, "as data it is what it was");
}

/// What turns the direction of what follows, or isn't seen at all.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}'
        | '\u{2028}' | '\u{2029}')
}

/// Text without the styles that we set ourselves.
fn unstyled(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(part.len());
        match part[end..].strip_prefix('m') {
            Some(rest) => out.push_str(rest),
            None => out.push_str(&format!("\u{1b}[{part}")),
        }
    }
    out
}
