//! A folder of evidence, diagnosed and drawn: nothing panics, nothing steers a terminal or forges a
//! line of ours, and the report as data is the report.

use sunup_doctor::report::{self, Look, Seen};
use sunup_doctor::{Diagnosis, diagnose, stories};
use sunup_intake::Input;
use sunup_testkit::drawn::{steers, unstyled};

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
        assert_eq!(steers(&drawn), None, "{format}: {drawn}");
    }
    let back: sunup_api::report::Report =
        serde_json::from_str(&report::json(&report)).expect("a report");
    assert_eq!(back, report, "as data it is what it was");
}
