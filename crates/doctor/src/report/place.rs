//! Where in the user's files a finding stands, and its fixes as replacements of lines: what CI
//! systems and editors ask of a report. Read off the report alone.

use sunup_api::report::{Finding, Fix};

use super::terms::first_fix;

/// A line of a file, both counted from 1; a file alone has line 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) column: u64,
}

/// Lines that a change takes out, and the text it puts there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replacement {
    /// The first line that goes, or before which the text goes.
    pub(super) line: u64,
    /// How many lines go.
    pub(super) lines: u64,
    /// Whole lines, each with its line break.
    pub(super) text: String,
}

/// `export.jsonl:17` as a place; what names no file (an object, standard input) is none.
pub(super) fn of_source(source: &str) -> Option<Place> {
    let source = source.split(" (").next().unwrap_or(source).trim();
    let (file, line) = match source.rsplit_once(':') {
        Some((file, line)) if !line.is_empty() => match line.parse() {
            Ok(line) => (file, line),
            Err(_) => (source, 1),
        },
        _ => (source, 1),
    };
    let is_file = !file.is_empty() && file != "-" && !file.contains([' ', ',']);
    is_file.then(|| Place { file: file.to_owned(), line, column: 1 })
}

/// Where to show a finding: in the manifest that its fix changes, else where its evidence is.
pub(super) fn of_finding(finding: &Finding) -> Option<Place> {
    let fixes = first_fix(finding).map(|best| &finding.fixes[best]);
    let changed = fixes.into_iter().chain(&finding.fixes).find_map(|fix| {
        let (file, changes) = replacements(fix)?;
        let first = changes.first()?;
        let indent = first.text.len() - first.text.trim_start_matches(' ').len();
        Some(Place { file, line: first.line, column: indent as u64 + 1 })
    });
    changed.or_else(|| finding.evidence.iter().find_map(|item| of_source(&item.source)))
}

/// A fix's diff as replacements, from the top of the file to its end; `None` without a diff.
pub(super) fn replacements(fix: &Fix) -> Option<(String, Vec<Replacement>)> {
    let diff = fix.diff.as_deref()?;
    let mut file = fix.target.clone();
    let mut all: Vec<Replacement> = Vec::new();
    let mut line = 0;
    // A change is open as long as its lines follow each other.
    let mut open = false;
    // Before the first hunk stand the names; in a hunk such lines are lines of the file.
    let mut hunks = false;
    for text in diff.split_inclusive('\n') {
        if let Some(name) = text.strip_prefix("--- ").filter(|_| !hunks) {
            let name = name.trim_end();
            file = Some(name.strip_prefix("a/").unwrap_or(name).to_owned());
        } else if let Some(numbers) = text.strip_prefix("@@ -") {
            let (start, count) = span(numbers)?;
            // Of no lines, the number is that of the line before.
            line = if count == 0 { start + 1 } else { start };
            (open, hunks) = (false, true);
        } else if !hunks {
            // `+++`, and whatever else a tool writes there.
        } else if let Some(text) = text.strip_prefix('+') {
            let change = current(&mut all, &mut open, line);
            change.text.push_str(text);
        } else if text.starts_with('-') {
            let change = current(&mut all, &mut open, line);
            change.lines += 1;
            line += 1;
        } else if !text.starts_with('\\') {
            open = false;
            line += 1;
        }
    }
    Some((file?, all)).filter(|(_, all)| !all.is_empty())
}

fn current<'a>(all: &'a mut Vec<Replacement>, open: &mut bool, line: u64) -> &'a mut Replacement {
    if !*open {
        all.push(Replacement { line, lines: 0, text: String::new() });
        *open = true;
    }
    all.last_mut().expect("one was pushed, now or before")
}

/// `15,6 +15,7 @@`: first line and count of the old side.
fn span(numbers: &str) -> Option<(u64, u64)> {
    let old = numbers.split(' ').next()?;
    match old.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((old.parse().ok()?, 1)),
    }
}

/// What tells a finding from all others from one run to the next: neither lines, nor pods, nor
/// words, which change without the fault having changed.
pub(super) fn identity(finding: &Finding) -> [&str; 6] {
    let of = &finding.subject;
    [
        finding.rule.as_str(),
        finding.cause.as_deref().unwrap_or(""),
        of.namespace.as_deref().unwrap_or(""),
        of.kind.as_str(),
        of.name.as_str(),
        of.container.as_deref().unwrap_or(""),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::unified;

    fn fix(before: &str, after: &str) -> Fix {
        Fix {
            id: "x".into(),
            title: String::new(),
            safety: sunup_api::report::Safety::Safe,
            target: None,
            diff: Some(unified(before, after, "a b.yaml")),
            patch_type: None,
            patch: None,
            command: None,
        }
    }

    fn apply(before: &str, changes: &[Replacement]) -> String {
        let lines: Vec<&str> = before.split_inclusive('\n').collect();
        let mut out = String::new();
        let mut at = 0;
        for change in changes {
            let start = change.line as usize - 1;
            out.push_str(&lines[at..start].concat());
            out.push_str(&change.text);
            at = start + change.lines as usize;
        }
        out + &lines[at..].concat()
    }

    #[test]
    fn replacements_make_of_the_old_text_the_new_one() {
        let numbered: String = (1..40).map(|i| format!("line {i}\n")).collect();
        for (before, after) in [
            ("a: 1\nb: 2\n".to_owned(), "a: 1\nx: 9\nb: 2\n".to_owned()),
            ("a: 1\n".to_owned(), "z: 0\na: 1\n".to_owned()),
            ("a: 1\nb: 2\nc: 3\n".to_owned(), "a: 1\n".to_owned()),
            (
                numbered.clone(),
                numbered.replace("line 3\n", "new\nnewer\n").replace("line 30\n", ""),
            ),
            ("-- a\n++ b\n".to_owned(), "-- c\n++ d\n".to_owned()),
        ] {
            let (file, changes) = replacements(&fix(&before, &after)).expect("there is a change");
            assert_eq!(file, "a b.yaml");
            assert_eq!(apply(&before, &changes), after, "{changes:?}");
        }
    }

    #[test]
    fn only_files_are_places() {
        let place = |file: &str, line| Some(Place { file: file.into(), line, column: 1 });
        assert_eq!(of_source("export.jsonl:17"), place("export.jsonl", 17));
        assert_eq!(of_source("pod.json:1 (status of istio-proxy)"), place("pod.json", 1));
        assert_eq!(of_source("bug-report.tar.gz/a/b.log"), place("bug-report.tar.gz/a/b.log", 1));
        assert_eq!(of_source("-:4"), None);
        assert_eq!(of_source("pod status"), None);
    }
}
