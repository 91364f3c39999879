//! JSON rewritten in place: each value by its keys, blanks and order as they were. One line after
//! the other, so that a list of any length costs no memory.

use std::borrow::Cow;

use super::at::{At, Says, Values};
use super::class::Class;

/// Deeper than any object: beyond it nothing is told apart any more.
const DEPTH_MAX: usize = 200;

/// How far JSON has been read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    stack: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    /// The key under which this map or list stands, or the last key of this map.
    key: String,
    map: bool,
    /// What a map calls itself.
    name: Option<String>,
    key_next: bool,
}

/// What is no JSON any more.
#[derive(Debug)]
pub(super) struct Broken;

/// A text that is one object in JSON, rewritten; `None` where it is none.
pub(super) fn within(redactor: &mut dyn Values, text: &str, says: Says) -> Option<String> {
    let trimmed = text.trim();
    let object = trimmed.starts_with('{') && trimmed.ends_with('}') && trimmed.len() > 2;
    if !object || serde_json::from_str::<serde::de::IgnoredAny>(trimmed).is_err() {
        return None;
    }
    let mut reading = Reading::default();
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        out.push_str(&reading.line(redactor, line, says).ok()?);
    }
    Some(out)
}

impl Reading {
    /// Whether nothing is open.
    pub(super) fn is_outside(&self) -> bool {
        self.stack.is_empty()
    }

    /// One line with its values rewritten.
    pub(super) fn line(
        &mut self,
        redactor: &mut dyn Values,
        line: &str,
        says: Says,
    ) -> Result<String, Broken> {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let taken = match c {
                '"' => {
                    let end = end_of_string(rest).ok_or(Broken)?;
                    self.string(redactor, &rest[..end], says, &mut out);
                    end
                }
                '{' | '[' => {
                    self.open(c == '{')?;
                    out.push(c);
                    1
                }
                '}' | ']' => {
                    let closed = self.stack.pop().ok_or(Broken)?;
                    if closed.map != (c == '}') {
                        return Err(Broken);
                    }
                    out.push(c);
                    1
                }
                ',' => {
                    if let Some(frame) = self.stack.last_mut() {
                        frame.key_next = frame.map;
                    }
                    out.push(c);
                    1
                }
                ':' => {
                    out.push(c);
                    1
                }
                c if c.is_whitespace() || c == '\u{feff}' => {
                    out.push(c);
                    c.len_utf8()
                }
                c if c.is_ascii_alphanumeric() || c == '-' || c == '+' => {
                    let end = rest
                        .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
                        .unwrap_or(rest.len());
                    let word = &rest[..end];
                    if word.parse::<f64>().is_err() && !matches!(word, "true" | "false" | "null") {
                        return Err(Broken);
                    }
                    out.push_str(&self.number(redactor, word, says));
                    end
                }
                _ => return Err(Broken),
            };
            rest = &rest[taken..];
        }
        Ok(out)
    }

    fn open(&mut self, map: bool) -> Result<(), Broken> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(Broken);
        }
        // An item of a list stands under the list's key, and what names it is its own.
        let list = self.stack.last().filter(|frame| !frame.map).map(|frame| frame.key.clone());
        let key = if map { String::new() } else { list.unwrap_or_default() };
        self.stack.push(Frame { key, map, name: None, key_next: map });
        Ok(())
    }

    fn string(&mut self, redactor: &mut dyn Values, raw: &str, says: Says, out: &mut String) {
        let decoded = decoded(raw);
        if let Some(frame) = self.stack.last_mut().filter(|frame| frame.key_next) {
            frame.key_next = false;
            let key = decoded.unwrap_or_default();
            frame.key.clear();
            frame.key.push_str(&key);
            let told = redactor.key(&key);
            out.push_str(&if told == key { raw.to_owned() } else { written(&told) });
            return;
        }
        let Some(value) = decoded else {
            out.push_str(&written(&redactor.removed(Class::Value, raw)));
            return;
        };
        let told = self.with(|at| redactor.value(&value, At { says, ..at }), says);
        if let Some(frame) = self.stack.last_mut()
            && frame.map
            && frame.key == "name"
        {
            frame.name = Some(value.clone().into_owned());
        }
        out.push_str(&if told == value { raw.to_owned() } else { written(&told) });
    }

    fn number(&mut self, redactor: &mut dyn Values, word: &str, says: Says) -> String {
        self.with(
            |at| if redactor.keeps_number(word, at) { word.to_owned() } else { "0".to_owned() },
            says,
        )
    }

    fn with<T>(&self, told: impl FnOnce(At<'_>) -> T, says: Says) -> T {
        let path: Vec<&str> = self
            .stack
            .iter()
            .map(|frame| frame.key.as_str())
            .filter(|key| !key.is_empty())
            .collect();
        let name = self.stack.last().and_then(|frame| frame.name.as_deref());
        told(At { path: &path, name, says })
    }
}

/// What a string in quotes says.
fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    let plain = raw.bytes().all(|byte| byte != b'\\' && byte >= b' ');
    match raw.get(1..raw.len() - 1).filter(|_| plain) {
        Some(inner) => Some(Cow::Borrowed(inner)),
        None => serde_json::from_str(raw).or_else(|_| serde_json::from_str(&mended(raw))).ok(),
    }
}

/// A string in which no half of a surrogate pair is left: the rest of it can be read then.
fn mended(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find("\\u") {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let digits = escape.get(2..4).map(str::to_ascii_lowercase);
        let half = digits.is_some_and(|digits| ("d8".."dg").contains(&digits.as_str()));
        let end = escape.char_indices().nth(6).map_or(escape.len(), |(end, _)| end);
        out.push_str(if half { "\\ufffd" } else { &escape[..end] });
        rest = &escape[end..];
    }
    out + rest
}

fn written(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Where a string that begins a text ends, its quotes included.
fn end_of_string(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            b'\n' => return None,
            _ => at += 1,
        }
    }
}
