//! YAML rewritten in place: values by their keys, remarks left out, lines as many as before.

use std::ops::Range;

use sunup_yaml::{Limits, Style, read};

use super::at::{At, Says, Values};
use super::settings::Settings;

/// A text of YAML documents, rewritten; line by line where it can't be read.
pub(super) fn rewritten(redactor: &mut dyn Values, text: &str, says: Says) -> String {
    let stream = read(text, &Limits::default());
    if !stream.errors.is_empty() || stream.documents.is_empty() || text.contains("{{") {
        let mut settings = Settings::default();
        return text.split_inclusive('\n').map(|line| settings.line(redactor, line)).collect();
    }
    let mut leaves: Vec<(Range<usize>, String)> = Vec::new();
    for document in &stream.documents {
        document.leaves(text, &mut |leaf| {
            let Some(raw) = text.get(leaf.span.clone()) else { return };
            let value = value_of(raw, leaf.style);
            let told = match leaf.style {
                Style::Key => redactor.key(&value),
                Style::Plain if kept(&value, leaf.path, &*redactor, leaf.name, says) => {
                    value.clone()
                }
                _ => redactor.value(&value, At { path: leaf.path, name: leaf.name, says }),
            };
            if told != value {
                leaves.push((leaf.span.clone(), replaced(raw, &told, leaf.style)));
            } else {
                leaves.push((leaf.span.clone(), raw.to_owned()));
            }
        });
    }
    leaves.sort_by_key(|(span, _)| (span.start, span.end));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, told) in leaves {
        // An alias's place is where it is written: once.
        if span.start < at {
            continue;
        }
        out.push_str(&between(redactor, &text[at..span.start]));
        out.push_str(&told);
        at = span.end;
    }
    out + &between(redactor, &text[at..])
}

/// A number or a word of YAML's own that tells nothing where it stands.
fn kept(value: &str, path: &[&str], redactor: &dyn Values, name: Option<&str>, says: Says) -> bool {
    let number = value.parse::<f64>().is_ok();
    number && redactor.keeps_number(value, At { path, name, says })
}

/// What stands between values: signs, blanks, anchors; and remarks, of which none is needed but
/// where Helm says which template it was.
fn between(redactor: &mut dyn Values, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.find('#') {
            Some(at) if !line[at..].starts_with("# Source:") => {
                out.push_str(&line[..=at]);
                out.push_str(if line.ends_with("\r\n") { "\r\n" } else { "" });
                out.push_str(if line.ends_with('\n') && !line.ends_with("\r\n") {
                    "\n"
                } else {
                    ""
                });
            }
            Some(_) => out.push_str(&redactor.text(line)),
            None => out.push_str(line),
        }
    }
    out
}

fn value_of(raw: &str, style: Style) -> String {
    match style {
        Style::Plain | Style::Key if !raw.starts_with(['"', '\'']) => raw.to_owned(),
        Style::Block => {
            let head = raw.starts_with(['|', '>']);
            let lines: Vec<&str> = raw.lines().skip(usize::from(head)).collect();
            let indent = lines
                .iter()
                .filter(|line| !line.trim().is_empty())
                .map(|line| line.len() - line.trim_start_matches(' ').len())
                .min()
                .unwrap_or(0);
            let lines: Vec<&str> =
                lines.iter().map(|line| line.get(indent..).unwrap_or("")).collect();
            lines.join("\n")
        }
        _ if raw.starts_with('"') => {
            serde_json::from_str(raw).unwrap_or_else(|_| raw.trim_matches('"').to_owned())
        }
        _ => raw.trim_matches('\'').replace("''", "'"),
    }
}

/// Written so that as many lines come of it as before.
fn replaced(raw: &str, told: &str, style: Style) -> String {
    let lines = raw.matches('\n').count();
    if style == Style::Block {
        // The place of a block begins at its sign or at its first line, indented or not.
        let head = raw.starts_with(['|', '>']);
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let pad = raw.lines().skip(1).filter(|line| !line.trim().is_empty()).map(indent).min();
        let pad = " ".repeat(pad.unwrap_or(indent(raw)));
        let mut out = String::new();
        if head {
            out.push_str(raw.lines().next().unwrap_or("|"));
        }
        for (number, line) in told.split('\n').take(lines.max(1)).enumerate() {
            if head || number > 0 {
                out.push('\n');
            }
            if !line.is_empty() {
                out.push_str(if head || number > 0 { &pad } else { &raw[..indent(raw)] });
                out.push_str(line);
            }
        }
        let short = lines.saturating_sub(out.matches('\n').count());
        return out + &"\n".repeat(short);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let word = !told.is_empty() && told.chars().all(plain) && !told.starts_with(['-', '.']);
    let written = match word && style != Style::Quoted {
        true => told.to_owned(),
        false => serde_json::Value::from(told).to_string(),
    };
    written + &"\n".repeat(lines)
}
