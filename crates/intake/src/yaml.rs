//! YAML documents: manifests, `kubectl get -o yaml`, and `gcloud logging read` without a format.

use std::ops::Range;

use serde_json::Value;
use sunup_evidence::decode::TypeMeta;
use sunup_evidence::object::Object;
use sunup_yaml::{Limits, is_template, read_values};

use crate::alien::{self, Alien};
use crate::file::File;
use crate::json;
use crate::out::{Item, Out};

/// A text longer than this is cut into the items of its list before it is parsed.
const CUT_ABOVE: usize = 256 << 10;

/// What a text turned out to hold.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Held {
    /// Objects, events or entries.
    pub(crate) found: bool,
    /// A document that could not be read.
    pub(crate) broken: bool,
}

/// One item of a large list, to be parsed by itself.
pub(crate) struct Piece {
    pub(crate) range: Range<usize>,
    pub(crate) line: u64,
}

/// Reads every document.
pub(crate) fn read(file: &mut File<'_>, text: &str, out: &mut Out) -> Held {
    let stream = read_values(text, &file.limits.yaml());
    file.sound = stream.errors.is_empty();
    let mut held = Held::default();
    let before = out.items.len();
    let starts = starts(text);
    for document in &stream.documents {
        let start = starts.get(document.index).copied().unwrap_or_default();
        let line = if start.line == 0 { document.span.line.max(1) } else { start.line };
        value(file, &document.value, (line, document.index), start.rendered, out);
    }
    held.found = out.items.len() > before;
    held.broken = !stream.errors.is_empty();
    let template = is_template(text).filter(|_| held.broken);
    if let Some(line) = template {
        out.items.truncate(before);
        if is_manifest(text) {
            out.items.push(Item::Template(line));
        }
        return held;
    }
    // Another file's syntax (a chart's values, a pipeline) is not ours to judge.
    let told = held.found || is_manifest(text);
    for error in &stream.errors {
        if error.too_many_nodes {
            out.bad(error.line, file.limits.object_told());
        } else if told {
            out.bad(error.line, format!("not valid YAML: {}", error.why));
        }
    }
    held
}

/// Where a document begins.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Start {
    /// Its first line that is no comment; 0 for a document without any.
    line: u64,
    /// Helm's comment that names the template it was rendered from stands in front.
    rendered: bool,
}

/// The documents of a text in order, by their marks: reading values alone gives no places.
fn starts(text: &str) -> Vec<Start> {
    let mut starts = Vec::new();
    let mut here = Start::default();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let rest =
            line.strip_prefix("---").filter(|r| r.is_empty() || r.starts_with([' ', '\t', '\r']));
        if let Some(rest) = rest {
            if open || here.line > 0 {
                starts.push(std::mem::take(&mut here));
            }
            here.rendered = false;
            open = true;
            let content = rest.trim();
            if !content.is_empty() && !content.starts_with(['#', '&', '!', '|', '>']) {
                here.line = number;
            }
        } else if line.trim_end() == "..." {
            if open || here.line > 0 {
                starts.push(std::mem::take(&mut here));
            }
            open = false;
        } else if line.starts_with("# Source: ") {
            here.rendered |= here.line == 0;
        } else if here.line == 0
            && !line.trim().is_empty()
            && !line.trim_start().starts_with(['#', '%'])
        {
            here.line = number;
        }
    }
    if open || here.line > 0 {
        starts.push(here);
    }
    starts
}

fn is_manifest(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.trim_start_matches("- ").starts_with(key));
    has("apiVersion:") && has("kind:")
}

fn value(file: &File<'_>, value: &Value, at: (u64, usize), rendered: bool, out: &mut Out) {
    match value {
        Value::Array(values) => {
            for (index, item) in values.iter().enumerate() {
                one(file, item, None, (at.0, at.1, Some(index)), rendered, out);
            }
        }
        Value::Object(map) if map.get("items").is_some_and(Value::is_array) && is_typed(value) => {
            let of: Option<TypeMeta> = serde::Deserialize::deserialize(value).ok();
            let items = map.get("items").and_then(Value::as_array);
            for (index, item) in items.into_iter().flatten().enumerate() {
                one(file, item, of.as_ref(), (at.0, at.1, Some(index)), rendered, out);
            }
        }
        _ => one(file, value, None, (at.0, at.1, None), rendered, out),
    }
}

fn is_typed(value: &Value) -> bool {
    value.get("kind").is_some_and(Value::is_string)
}

fn one(
    file: &File<'_>,
    value: &Value,
    list: Option<&TypeMeta>,
    at: (u64, usize, Option<usize>),
    rendered: bool,
    out: &mut Out,
) {
    if value.get("items").is_some_and(Value::is_array) && is_typed(value) {
        return self::value(file, value, (at.0, at.1), rendered, out);
    }
    let has = |key: &str| value.get(key).is_some();
    if has("apiVersion") && has("kind") || list.is_some() {
        match Object::from_value_item(value, list) {
            Ok(object) => file.object(object, at.0, at.1, at.2, rendered, out),
            Err(error) => out.bad(at.0, error.to_string()),
        }
    } else if has("textPayload") || has("jsonPayload") || has("insertId") && has("logName") {
        json::entry_value(file, value, at.0, out);
    } else if has("kind") && matches!(alien::of_untyped(value), Alien::Strange(..)) {
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        out.bad(at.0, format!("{kind} without apiVersion"));
    }
}

/// Cuts the only document of a text, if it is a long list as kubectl prints it, into its items:
/// they can be parsed apart, and side by side. `None` where it is anything else.
pub(crate) fn cut(text: &str) -> Option<(TypeMeta, Vec<Piece>)> {
    if text.len() < CUT_ABOVE {
        return None;
    }
    let mut frame = String::new();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut in_items = false;
    let mut at = 0;
    for (index, raw) in text.split_inclusive('\n').enumerate() {
        let line = raw.trim_end();
        let start = at;
        at += raw.len();
        if line.starts_with("---") && !pieces.is_empty() || line.starts_with("...") {
            return None;
        }
        if in_items && (raw.starts_with("- ") || line == "-") {
            pieces.push(Piece { range: start..at, line: index as u64 + 1 });
            continue;
        }
        if line == "items:" {
            in_items = true;
            continue;
        }
        let inside = raw.starts_with([' ', '\t']) || line.is_empty();
        match pieces.last_mut() {
            Some(last) if in_items && inside => last.range.end = at,
            None if in_items && !line.is_empty() => return None,
            _ => {
                in_items &= line.is_empty();
                frame.push_str(raw);
            }
        }
    }
    if pieces.len() < 2 {
        return None;
    }
    let stream = read_values(&frame, &Limits::default());
    let [document] = stream.documents.as_slice() else { return None };
    let of: TypeMeta = serde::Deserialize::deserialize(&document.value).ok()?;
    (of.kind.ends_with("List")).then_some((of, pieces))
}

/// Reads one item that [`cut`] found. `false` where it cannot be read by itself, as with an alias
/// of another item's anchor.
pub(crate) fn piece(
    file: &File<'_>,
    text: &str,
    piece: &Piece,
    index: usize,
    of: &TypeMeta,
    out: &mut Out,
) -> bool {
    let Some(raw) = text.get(piece.range.clone()) else { return false };
    let stream = read_values(raw, &file.limits.yaml());
    let ([document], []) = (stream.documents.as_slice(), stream.errors.as_slice()) else {
        return false;
    };
    let Some([item]) = document.value.as_array().map(Vec::as_slice) else { return false };
    one(file, item, Some(of), (piece.line, 0, Some(index)), false, out);
    true
}
