//! The rules' pages: the same text for `sunup rules ID` and for `docs/rules`.
//!
//! A page is a rule's `doc.md` with a head made from its metadata, and its fixtures as examples.

use std::fmt::Write as _;

use anstyle::Style;
use sunup_api::report::Severity;

use crate::judging::meta::{Meta, Need, Stage, Status};
use crate::judging::outcome;
use crate::rules::{RULES, rules};

/// Headings that every page has, in this order.
pub const HEADINGS: [&str; 6] =
    ["What you see", "Why", "Evidence", "Fix and its safety", "Reproduce", "Sources"];

/// The files of a fixture: names and texts. What stands before the first `-- name --` is a remark.
#[must_use]
pub fn files(fixture: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, usize, usize)> = Vec::new();
    let mut at = 0;
    for line in fixture.split_inclusive('\n') {
        let head = line.trim_end().strip_prefix("-- ").and_then(|l| l.strip_suffix(" --"));
        if let Some(name) = head {
            if let Some(last) = found.last_mut() {
                last.2 = at;
            }
            found.push((name, at + line.len(), fixture.len()));
        }
        at += line.len();
    }
    found.into_iter().map(|(name, start, end)| (name, &fixture[start..end])).collect()
}

/// A rule's page as Markdown.
#[must_use]
pub fn markdown(meta: &Meta) -> String {
    let mut page = format!("# {}\n\n{}.\n\n", meta.id, meta.title);
    page.push_str("| | |\n|---|---|\n");
    for (name, value) in head(meta) {
        let _ = writeln!(page, "| {name} | {value} |");
    }
    let _ = write!(page, "\n{}\n", meta.doc.trim());
    page.push_str("\n## Example\n\nThe smallest evidence that shows it:\n");
    for (name, text) in files(meta.fires) {
        let _ = write!(page, "\n`{name}`\n\n```{}\n{}\n```\n", language(name), text.trim_end());
    }
    page
}

/// A table of all rules as Markdown.
#[must_use]
pub fn index() -> String {
    let mut page = String::from(
        "# Rules of `sunup doctor`\n\nMade from the rules themselves by `cargo xtask docs`; \
         `sunup rules ID` prints the same pages.\nA finding is silenced by an annotation with a \
         reason: `sunup.dev/ignore: \"RULE: REASON\"`.\n",
    );
    for (stage, rules) in by_stage() {
        let _ =
            write!(page, "\n## {}\n\n| rule | what | severity |\n|---|---|---|\n", title(stage));
        for m in rules {
            let level = severity(m.severity);
            let _ = writeln!(page, "| [{0}]({0}.md) | {1} | {level} |", m.id, m.title);
        }
    }
    page.push_str(&weights());
    page
}

/// How bad a fault is by what became of its pod, as Markdown.
fn weights() -> String {
    let mut text = String::from(
        "\n## How bad it is\n\nA rule's severity is that of its fault at its worst. Faults of a pod's \
         start weigh by what became of the\npod; SARIF's levels, annotations and `--fail-on error` \
         follow.\n\n| what became of it | severity | the report adds |\n|---|---|---|\n",
    );
    for (case, weight, said) in outcome::table() {
        // At its worst means: as the rule says.
        let weight = if weight == Severity::Error { "the rule's" } else { severity(weight) };
        let _ = writeln!(text, "| {case} | {weight} | {said} |");
    }
    let passing = RULES.iter().filter(|rule| rule.passes());
    let ids: Vec<String> = passing.map(|rule| format!("`{}`", rule.meta().id)).collect();
    let _ = writeln!(text, "\nThis is so for {}.", ids.join(", "));
    text
}

/// All rules, for a terminal of so many columns.
#[must_use]
pub fn list(width: usize) -> String {
    let bold = Style::new().bold();
    let longest = rules().map(|m| m.id.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (stage, rules) in by_stage() {
        let _ = writeln!(text, "{bold}{}{bold:#}", title(stage).to_uppercase());
        for m in rules {
            let indent = longest + 4;
            let mut lines = wrap(m.title, width.saturating_sub(indent)).into_iter();
            let first = lines.next().unwrap_or_default();
            let _ = writeln!(text, "  {bold}{:<longest$}{bold:#}  {first}", m.id);
            for l in lines {
                let _ = writeln!(text, "{:indent$}{l}", "");
            }
        }
        text.push('\n');
    }
    text.push_str("sunup rules RULE explains one of them.\n");
    text
}

/// A rule's page, as a manual page looks on a terminal of so many columns.
#[must_use]
pub fn manual(meta: &Meta, width: usize) -> String {
    let mut text = String::new();
    section(&mut text, "Name");
    paragraph(&mut text, &format!("{} - {}", meta.id, meta.title), width);
    section(&mut text, "Rule");
    for (name, value) in head(meta) {
        paragraph(&mut text, &format!("{name}: {value}"), width);
    }
    let mut pending = String::new();
    for line in meta.doc.lines().chain([""]) {
        if line.is_empty() || line.starts_with("- ") || line.starts_with("## ") {
            flush(&mut text, &mut pending, width);
        }
        match line.strip_prefix("## ") {
            Some(heading) => section(&mut text, heading),
            // Paragraphs are apart; a heading has its first one right below.
            None if line.is_empty() => pending.push('\n'),
            None => {
                pending.push_str(line);
                pending.push(' ');
            }
        }
    }
    section(&mut text, "Example");
    for (name, body) in files(meta.fires) {
        let bold = Style::new().bold();
        let _ = writeln!(text, "       {bold}{name}{bold:#}");
        for l in body.trim_end().lines() {
            let _ = writeln!(text, "         {l}");
        }
    }
    text
}

fn flush(text: &mut String, pending: &mut String, width: usize) {
    if !pending.trim().is_empty() {
        let below_heading = text.lines().next_back().is_some_and(|l| !l.starts_with(' '));
        if pending.starts_with('\n') && !below_heading {
            text.push('\n');
        }
        paragraph(text, pending.trim(), width);
        pending.clear();
    }
}

fn section(text: &mut String, name: &str) {
    let bold = Style::new().bold();
    let gap = if text.is_empty() { "" } else { "\n" };
    let _ = writeln!(text, "{gap}{bold}{}{bold:#}", name.to_uppercase());
}

/// Indented as manual pages are; an item's further lines stand under its first.
fn paragraph(text: &mut String, words: &str, width: usize) {
    let hang = if words.starts_with("- ") { "  " } else { "" };
    let plain = words.replace('`', "");
    for (i, line) in wrap(&plain, width.saturating_sub(9)).into_iter().enumerate() {
        let indent = if i == 0 { "" } else { hang };
        let _ = writeln!(text, "       {indent}{line}");
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width.max(20) {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn head(meta: &Meta) -> Vec<(&'static str, String)> {
    let (status, since) = match meta.status {
        Status::Preview { since } => ("preview", since),
        Status::Stable { since } => ("stable", since),
    };
    let group = |g: &&[Need]| join(g, " or ");
    let needs: Vec<String> = meta.needs.iter().map(group).collect();
    let mut rows = vec![
        ("Stage", meta.stage.to_string()),
        ("Severity", severity(meta.severity).to_owned()),
        ("Status", format!("{status} since {since}")),
        ("Needs", needs.join("; and ")),
    ];
    if !meta.helps.is_empty() {
        rows.push(("Helped by", join(meta.helps, ", ")));
    }
    if !meta.explains.is_empty() {
        rows.push(("Explains", meta.explains.join(", ")));
    }
    rows
}

fn join(needs: &[Need], between: &str) -> String {
    needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

fn by_stage() -> Vec<(Stage, Vec<&'static Meta>)> {
    let mut all: Vec<&Meta> = rules().collect();
    all.sort_by_key(|m| (m.stage, m.id));
    let chunks = all.chunk_by(|a, b| a.stage == b.stage);
    chunks.map(|chunk| (chunk[0].stage, chunk.to_vec())).collect()
}

fn title(stage: Stage) -> String {
    let name = stage.to_string();
    name[..1].to_uppercase() + &name[1..]
}

fn language(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ext)| ext) {
        Some("yaml") => "yaml",
        Some("json") => "json",
        _ => "text",
    }
}
