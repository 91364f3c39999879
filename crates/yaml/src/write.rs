//! New text for values, in the style of the place where it goes. Knows no existing nodes.

use std::fmt::Write as _;

use serde_json::Value;

use crate::scalar::{Place, plain_is_safe};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    Plain,
    Single,
    Double,
}

/// How a document is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) eol: &'static str,
    /// Columns that a nested map is indented by.
    pub(crate) step: usize,
    /// Columns that a list is indented by below its key.
    pub(crate) seq_step: usize,
    /// For strings that need quotes.
    pub(crate) quote: Quote,
    /// Every key and string in double quotes.
    pub(crate) json: bool,
    /// `{"a":1,"b":2}` without spaces.
    pub(crate) compact: bool,
    /// A block literal written here ends at the end of a text that has no final newline.
    pub(crate) open_end: bool,
}

fn printable(c: char) -> bool {
    !matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
        | '\u{fffe}' | '\u{ffff}')
}

pub(crate) fn double(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if !printable(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn quoted(text: &str, quote: Quote) -> String {
    let single = match quote {
        Quote::Single => true,
        Quote::Double => false,
        Quote::Plain => text.contains(['"', '\\']) && !text.contains('\''),
    };
    if single && text.chars().all(printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    double(text)
}

impl Style {
    /// A string on one line. `keep` is the quoting that the place had.
    pub(crate) fn string(&self, text: &str, place: Place, keep: Quote) -> String {
        if self.json {
            return double(text);
        }
        if keep == Quote::Plain && plain_is_safe(text, place) {
            return text.to_owned();
        }
        let quote = if keep == Quote::Plain { self.quote } else { keep };
        // Fewer escapes read better than the file's habit.
        let quote = match quote {
            Quote::Double if keep == Quote::Plain && text.contains(['"', '\\']) => Quote::Plain,
            other => other,
        };
        quoted(text, quote)
    }

    pub(crate) fn key(&self, key: &str, place: Place, keep: Quote) -> String {
        self.string(key, place, keep)
    }

    /// A value on one line, as it may stand inside of `{ }` and in block context alike.
    pub(crate) fn inline(&self, value: &Value, place: Place, keep: Quote) -> String {
        let gap = if self.compact { "" } else { " " };
        match value {
            Value::String(s) => self.string(s, place, keep),
            Value::Array(items) => {
                let parts: Vec<_> =
                    items.iter().map(|v| self.inline(v, Place::Flow, Quote::Plain)).collect();
                format!("[{}]", parts.join(&format!(",{gap}")))
            }
            Value::Object(map) => {
                let part = |(k, v): (&String, &Value)| {
                    let key = self.key(k, Place::Flow, Quote::Plain);
                    let gap = if self.compact && key.starts_with('"') { "" } else { " " };
                    format!("{key}:{gap}{}", self.inline(v, Place::Flow, Quote::Plain))
                };
                let parts: Vec<_> = map.iter().map(part).collect();
                format!("{{{}}}", parts.join(&format!(",{gap}")))
            }
            other => other.to_string(),
        }
    }

    /// A value over several lines inside of a flow collection that is written so; `base` is
    /// the blank text before the line it starts on.
    pub(crate) fn pretty(&self, value: &Value, base: &str, unit: &str) -> String {
        let deeper = format!("{base}{unit}");
        let glue = format!(",{}{deeper}", self.eol);
        let (open, close, parts): (_, _, Vec<String>) = match value {
            Value::Array(items) if !items.is_empty() => {
                let parts = items.iter().map(|v| self.pretty(v, &deeper, unit)).collect();
                ("[", "]", parts)
            }
            Value::Object(map) if !map.is_empty() => {
                let part = |(k, v): (&String, &Value)| {
                    let key = self.key(k, Place::Flow, Quote::Plain);
                    format!("{key}: {}", self.pretty(v, &deeper, unit))
                };
                ("{", "}", map.iter().map(part).collect())
            }
            other => return self.inline(other, Place::Flow, Quote::Plain),
        };
        format!("{open}{0}{deeper}{1}{0}{base}{close}", self.eol, parts.join(&glue))
    }

    /// Whether a string is to be a block literal, and can be one without loss.
    pub(crate) fn literal_fits(&self, text: &str) -> bool {
        let body = text.trim_end_matches('\n');
        let chars = text.chars().all(|c| c == '\n' || c == '\t' || printable(c));
        let indented = body.is_empty() || body.starts_with([' ', '\t', '\n']);
        // Without a final newline in the file only `|-` keeps its meaning.
        let cut = self.open_end && text.ends_with('\n');
        // `|+` would take blank lines that follow in the file for its own.
        let cut = cut || text.ends_with("\n\n");
        !(self.json || indented || cut) && chars
    }

    pub(crate) fn wants_literal(&self, value: &Value) -> bool {
        value.as_str().is_some_and(|s| s.contains('\n') && self.literal_fits(s))
    }

    /// `|` or `|-`; what needs `|+` doesn't get to be a literal.
    pub(crate) fn literal_header(text: &str) -> &'static str {
        if text.ends_with('\n') { "|" } else { "|-" }
    }

    /// The lines of a block literal, without a final line end.
    pub(crate) fn literal_lines(&self, text: &str, indent: usize) -> String {
        let body = text.strip_suffix('\n').unwrap_or(text);
        let line = |l: &str| if l.is_empty() { String::new() } else { pad(indent) + l };
        body.split('\n').map(line).collect::<Vec<_>>().join(self.eol)
    }

    /// `key: value` as the lines of a block map, without a final line end.
    pub(crate) fn entry(&self, key: &str, value: &Value, indent: usize) -> String {
        let head = format!("{}{key}:", pad(indent));
        match value {
            Value::Object(map) if !map.is_empty() => {
                format!("{head}{}{}", self.eol, self.body(value, indent + self.step))
            }
            Value::Array(items) if !items.is_empty() => {
                format!("{head}{}{}", self.eol, self.body(value, indent + self.seq_step))
            }
            Value::String(s) if self.wants_literal(value) => {
                let lines = self.literal_lines(s, indent + self.step);
                format!("{head} {}{}{lines}", Self::literal_header(s), self.eol)
            }
            other => format!("{head} {}", self.inline(other, Place::Block, Quote::Plain)),
        }
    }

    /// `- value` as lines, without a final line end.
    pub(crate) fn item(&self, value: &Value, indent: usize) -> String {
        let head = format!("{}- ", pad(indent));
        match value {
            Value::Object(_) | Value::Array(_) if !is_empty(value) => {
                let body = self.body(value, indent + 2);
                format!("{head}{}", &body[indent + 2..])
            }
            Value::String(s) if self.wants_literal(value) => {
                let lines = self.literal_lines(s, indent + 2);
                format!("{head}{}{}{lines}", Self::literal_header(s), self.eol)
            }
            other => format!("{head}{}", self.inline(other, Place::Block, Quote::Plain)),
        }
    }

    /// The lines of a map or list that is not empty, each with its indentation.
    pub(crate) fn body(&self, value: &Value, indent: usize) -> String {
        let lines: Vec<_> = match value {
            Value::Object(map) => {
                let line = |(k, v): (&String, &Value)| {
                    self.entry(&self.key(k, Place::Block, Quote::Plain), v, indent)
                };
                map.iter().map(line).collect()
            }
            Value::Array(items) => items.iter().map(|v| self.item(v, indent)).collect(),
            other => vec![pad(indent) + &self.inline(other, Place::Block, Quote::Plain)],
        };
        lines.join(self.eol)
    }
}

pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

pub(crate) fn pad(columns: usize) -> String {
    " ".repeat(columns)
}
