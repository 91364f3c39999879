//! Writes a changed value into the text it was read from, in one pass and with little text
//! touched: comments, order and quoting of what stays are kept.
//!
//! This is the quick way of `manifest`; it does what injections need (new keys, new items by
//! name, changed scalars) in block YAML without anchors, and answers `None` for everything else,
//! where `sunup_yaml::edit` takes over. Its result is only used after it was read back and found
//! to mean what it should.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use sunup_yaml::{Document, Segment};

use crate::template::to_yaml;

/// How a node is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Block style, or a scalar.
    Block,
    /// `{…}` or `[…]` with something in it.
    Flow,
    /// `{}`, `[]` or nothing.
    Empty,
}

/// One piece of text in the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Splice {
    start: usize,
    end: usize,
    text: String,
}

/// The document's text with `new` in the place of `old`, below `path`.
///
/// `text` is the whole stream; the result is for `document.span` up to the end of its last line.
pub(crate) struct Splicer<'a> {
    text: &'a str,
    document: &'a Document,
    splices: Vec<Splice>,
}

impl<'a> Splicer<'a> {
    /// `None` where the document isn't plain block YAML.
    pub(crate) fn new(text: &'a str, document: &'a Document) -> Option<Self> {
        let own = text.get(document.span.start..document.span.end)?;
        let flow = own.starts_with(['{', '[']);
        (!flow && !own.contains('\r') && !has_anchors(own)).then_some(Splicer {
            text,
            document,
            splices: Vec::new(),
        })
    }

    /// Notes what changes at a path.
    pub(crate) fn set(&mut self, path: &mut Vec<Segment>, old: &Value, new: &Value) -> Option<()> {
        if old == new {
            return Some(());
        }
        let style = self.style(path)?;
        match (old, new) {
            (Value::Object(old), Value::Object(new)) if style == Style::Block => {
                self.map(path, old, new)
            }
            (Value::Object(old), Value::Object(new)) if style == Style::Flow => {
                self.flow_map(path, old, new)
            }
            (Value::Array(old), Value::Array(new)) if style == Style::Block => {
                match (names(old), names(new)) {
                    (Some(a), Some(b)) => self.list(path, (old, &a), (new, &b)),
                    _ => self.replace(path, style, &Value::Array(new.clone())),
                }
            }
            (_, new) => self.replace(path, style, new),
        }
    }

    /// The document's text when all is written: from the document's start to the end of its last
    /// line, which is the second part.
    pub(crate) fn finish(mut self) -> Option<(String, usize)> {
        let start = self.document.span.start;
        let end = self.line_end(self.document.span.end);
        self.splices.sort_by_key(|s| s.start);
        let mut out = String::with_capacity(end - start + 8192);
        let mut at = start;
        for splice in &self.splices {
            // Two changes of one place: not for this way.
            out.push_str(self.text.get(at..splice.start)?);
            // The last line of a file may have no end of its own.
            if splice.start == self.text.len() && !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&splice.text);
            at = splice.end;
        }
        out.push_str(self.text.get(at..end)?);
        Some((out, end))
    }

    fn style(&self, path: &[Segment]) -> Option<Style> {
        let span = self.document.span_of(path)?;
        let text = self.text.get(span.start..span.end)?;
        Some(match text.as_bytes().first() {
            None => Style::Empty,
            Some(b'{' | b'[') => {
                let inner = text[1..].trim_start();
                if inner.starts_with(['}', ']']) { Style::Empty } else { Style::Flow }
            }
            _ => Style::Block,
        })
    }

    /// A map in braces: changed entries in place, new ones before the closing brace.
    fn flow_map(
        &mut self,
        path: &mut Vec<Segment>,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Option<()> {
        if old.keys().any(|k| !new.contains_key(k)) {
            return None;
        }
        let mut added = String::new();
        for (key, value) in new {
            path.push(Segment::from(key.as_str()));
            match old.get(key) {
                Some(before) if before == value => {}
                Some(_) => {
                    let span = self.document.span_of(path)?;
                    let (start, end) = (span.start, span.end);
                    self.splices.push(Splice { start, end, text: value.to_string() });
                }
                None => {
                    let key = Value::from(key.as_str());
                    added.push_str(&format!(", {key}: {value}"));
                }
            }
            path.pop();
        }
        let span = self.document.span_of(path)?;
        let body = self.text.get(span.start..span.end)?.strip_suffix('}')?.trim_end();
        if body.ends_with(',') {
            return None;
        }
        self.insert(span.start + body.len(), added);
        Some(())
    }

    fn map(
        &mut self,
        path: &mut Vec<Segment>,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Option<()> {
        for key in old.keys().filter(|k| !new.contains_key(*k)) {
            path.push(Segment::from(key.as_str()));
            self.remove_entry(path)?;
            path.pop();
        }
        let mut added = String::new();
        let indent = self.key_column(path, old)?;
        for (key, value) in new {
            path.push(Segment::from(key.as_str()));
            match old.get(key) {
                Some(before) => self.set(path, before, value)?,
                None => {
                    let entry = Map::from_iter([(key.clone(), value.clone())]);
                    block(&Value::Object(entry), indent, &mut added);
                }
            }
            path.pop();
        }
        if !added.is_empty() {
            let end = self.document.span_of(path)?.end;
            let at = self.line_end(end);
            self.insert(at, added);
        }
        Some(())
    }

    /// The column of a map's keys, from 0.
    fn key_column(&self, path: &[Segment], map: &Map<String, Value>) -> Option<usize> {
        let key = map.keys().next()?;
        let below: Vec<Segment> =
            path.iter().cloned().chain([Segment::from(key.as_str())]).collect();
        let span = self.document.key_span_of(&below)?;
        usize::try_from(span.column).ok()?.checked_sub(1)
    }

    /// Removes an entry and its lines.
    fn remove_entry(&mut self, path: &[Segment]) -> Option<()> {
        let key = self.document.key_span_of(path)?;
        let value = self.document.span_of(path);
        let start = self.line_start(key.start);
        // `- key: value`: the line is the item's too.
        if !self.text[start..key.start].trim().is_empty() {
            return None;
        }
        let end = self.line_end(value.map_or(key.end, |v| v.end.max(key.end)));
        self.splices.push(Splice { start, end, text: String::new() });
        Some(())
    }

    fn list<'n>(
        &mut self,
        path: &mut Vec<Segment>,
        (old, old_names): (&[Value], &[&'n str]),
        (new, new_names): (&[Value], &[&'n str]),
    ) -> Option<()> {
        let places = |names: &[&'n str]| -> HashMap<&'n str, usize> {
            names.iter().copied().zip(0..).collect()
        };
        let (of_old, of_new) = (places(old_names), places(new_names));
        // Items that stay, in their order; another order is for the other way.
        let kept: Vec<usize> = old_names.iter().filter_map(|n| of_new.get(n).copied()).collect();
        if !kept.is_sorted() {
            return None;
        }
        let place = self.document.span_of(path)?;
        let dash = self.dash(place.start)? - self.line_start(place.start);
        for (i, item) in old.iter().enumerate() {
            path.push(Segment::from(i));
            match of_new.get(old_names[i]) {
                Some(j) => self.set(path, item, &new[*j])?,
                None => self.remove_item(path)?,
            }
            path.pop();
        }
        let mut added = String::new();
        let mut before: Option<usize> = None;
        for (j, item) in new.iter().enumerate() {
            let own = of_old.get(new_names[j]).copied();
            if own.is_some() || j + 1 == new.len() {
                if own.is_none() {
                    block(&Value::Array(vec![item.clone()]), dash, &mut added);
                }
                if !added.is_empty() {
                    self.insert_items(path, before, place.start, std::mem::take(&mut added))?;
                }
                before = own.or(before);
            } else {
                block(&Value::Array(vec![item.clone()]), dash, &mut added);
            }
        }
        Some(())
    }

    /// Inserts items behind one of the old items, or before them all: then right behind the
    /// list's key, so that comments above the first item stay with it.
    fn insert_items(
        &mut self,
        path: &mut Vec<Segment>,
        behind: Option<usize>,
        list_start: usize,
        text: String,
    ) -> Option<()> {
        let at = match behind {
            Some(i) => {
                path.push(Segment::from(i));
                let end = self.document.span_of(path)?.end;
                path.pop();
                self.line_end(end)
            }
            None => {
                let key = self.document.key_span_of(path)?;
                let at = self.line_end(key.end);
                // `key: - item` can't be, but a list on its key's line could only be flow.
                if at > self.line_start(list_start) {
                    return None;
                }
                at
            }
        };
        self.insert(at, text);
        Some(())
    }

    fn remove_item(&mut self, path: &[Segment]) -> Option<()> {
        let span = self.document.span_of(path)?;
        let start = self.line_start(span.start);
        let lead = self.text[start..span.start].trim();
        if lead != "-" {
            return None;
        }
        let end = self.line_end(span.end);
        self.splices.push(Splice { start, end, text: String::new() });
        Some(())
    }

    /// Replaces a node as a whole.
    fn replace(&mut self, path: &[Segment], style: Style, new: &Value) -> Option<()> {
        let span = self.document.span_of(path)?;
        let (mut start, end) = (span.start, span.end);
        let was = self.text.get(start..end)?;
        let collection = match new {
            Value::Object(map) => !map.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => false,
        };
        if was.is_empty() && collection {
            return self.fill(path, new);
        }
        if was.is_empty() || was.starts_with(['|', '>']) {
            return None;
        }
        let column = |column: u64| usize::try_from(column).ok()?.checked_sub(1);
        let rest = self.text.get(end..self.line_end(end))?;
        let text = match style {
            Style::Block if new.is_array() && collection && self.dash(start).is_some() => {
                start = self.dash(start)?;
                let mut text = String::new();
                block(new, start - self.line_start(start), &mut text);
                text.trim_matches([' ', '\n']).to_owned()
            }
            // `{}`, `[]` or null, opened up below its key; no space before the line's end.
            _ if collection && style != Style::Flow && rest.trim().is_empty() => {
                if was.contains('\n') {
                    return None;
                }
                let key = column(self.document.key_span_of(path)?.column)?;
                let mut text = "\n".to_owned();
                block(new, key + if new.is_array() { 0 } else { 2 }, &mut text);
                start -= usize::from(self.text[..start].ends_with(' '));
                text.trim_end_matches('\n').to_owned()
            }
            // JSON is flow; within braces nothing else will do.
            Style::Flow | Style::Empty => new.to_string(),
            Style::Block if collection => return None,
            Style::Block => to_yaml(new).trim_end_matches('\n').to_owned(),
        };
        self.splices.push(Splice { start, end, text });
        Some(())
    }

    /// Gives a bare `key:` what belongs below it.
    fn fill(&mut self, path: &[Segment], new: &Value) -> Option<()> {
        let key = self.document.key_span_of(path)?;
        let at = self.line_end(key.end);
        let behind = self.text.get(key.end..at)?.trim_start().strip_prefix(':')?.trim();
        if !behind.is_empty() && !behind.starts_with('#') {
            return None;
        }
        let column = usize::try_from(key.column).ok()?.checked_sub(1)?;
        let mut text = String::new();
        block(new, column + if new.is_array() { 0 } else { 2 }, &mut text);
        self.insert(at, text);
        Some(())
    }

    /// Where the dash of a block list's first item stands; the list's span may begin behind it.
    fn dash(&self, first: usize) -> Option<usize> {
        if self.text[first..].starts_with("- ") || self.text[first..].starts_with("-\n") {
            return Some(first);
        }
        let start = self.line_start(first);
        let lead = self.text[start..first].trim_end_matches(' ');
        let dash = lead.strip_suffix('-')?;
        dash.bytes().all(|b| b == b' ').then_some(start + dash.len())
    }

    fn insert(&mut self, at: usize, text: String) {
        self.splices.push(Splice { start: at, end: at, text });
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |n| n + 1)
    }

    /// Behind the end of the line that holds the byte before `at`.
    fn line_end(&self, at: usize) -> usize {
        if at > 0 && self.text[..at].ends_with('\n') {
            return at;
        }
        self.text[at..].find('\n').map_or(self.text.len(), |n| at + n + 1)
    }
}

/// The names of items, where all have one and no two are alike.
fn names(list: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<&str> =
        list.iter().map(|item| item.get("name")?.as_str()).collect::<Option<_>>()?;
    let mut known = HashSet::with_capacity(names.len());
    names.iter().all(|name| known.insert(*name)).then_some(names)
}

/// Whether a text may hold anchors, aliases, tags or merge keys.
fn has_anchors(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(i, b)| {
        let opens = i == 0 || matches!(bytes[i - 1], b' ' | b'[' | b'{' | b',' | b'\n' | b':');
        let goes_on = bytes.get(i + 1).is_some_and(|n| n.is_ascii_alphanumeric() || *n == b'_');
        match b {
            b'&' | b'*' => opens && goes_on,
            b'!' => opens && (goes_on || bytes.get(i + 1) == Some(&b'!')),
            b'<' => text[i..].starts_with("<<:") || text[i..].starts_with("<< :"),
            _ => false,
        }
    })
}

/// Appends a value's block YAML, every line indented.
fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    for line in to_yaml(value).lines() {
        out.push_str(&pad);
        out.push_str(line);
        out.push('\n');
    }
}
