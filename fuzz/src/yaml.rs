//! YAML: places lie in the text, both ways to read it agree, and an edit changes what it names and
//! nothing else, once.

use serde_json::{Value, json};
use sunup_yaml::{
    DocEdit, EditError, Limits, Op, Segment, edit, edit_sound, is_template, read, read_values,
};

#[path = "../../crates/yaml/tests/yaml/model.rs"]
mod model;

/// Small, so that what lies behind a limit is met.
const LIMITS: Limits = Limits { nodes_max: 20_000, depth_max: 128, alias_expansion_max: 20_000 };

/// A text as people hand it over.
pub fn text(text: &str) {
    let stream = read(text, &LIMITS);
    let values = read_values(text, &LIMITS);
    let json = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with(['{', '[']);
    let of = |s: &sunup_yaml::Stream| {
        s.documents.iter().map(|d| d.value.clone()).collect::<Vec<Value>>()
    };
    // JSON takes a way of its own, which knows fewer refusals.
    if !json {
        assert_eq!(of(&stream), of(&values));
        assert_eq!(stream.errors.len(), values.errors.len());
    } else if stream.errors.is_empty() && stream.documents.len() == 1 && values.errors.is_empty() {
        assert_eq!(of(&stream), of(&values));
    }
    for document in &stream.documents {
        let span = document.span;
        assert!(text.get(span.start..span.end).is_some(), "{span:?} cuts a character");
        for path in &model::paths(&document.value, PATHS) {
            for span in [document.span_of(path), document.key_span_of(path)].into_iter().flatten() {
                assert!(text.get(span.start..span.end).is_some(), "{span:?} cuts a character");
                assert!(span.line >= 1 && span.column >= 1);
            }
        }
    }
    let _ = is_template(text);
}

/// Paths of a value that are looked at.
const PATHS: usize = 200;

fn value(byte: u8) -> Value {
    match byte % 10 {
        0 => json!("plain"),
        1 => json!("two\nlines\n"),
        2 => json!(null),
        3 => json!({"x": ["y", {"z": 1}]}),
        4 => json!([]),
        5 => json!("yes"),
        6 => json!(" # no: comment"),
        7 => json!([{"name": "A", "value": "1"}]),
        8 => json!({}),
        _ => json!(1800),
    }
}

/// Four bytes that choose an edit, and the text that is edited.
pub fn edits(bytes: &[u8]) {
    let [kind, place, new, document, rest @ ..] = bytes else { return };
    let text = String::from_utf8_lossy(rest);
    let stream = read(&text, &LIMITS);
    let documents = stream.documents.len().max(1);
    let index = usize::from(*document) % documents;
    let (document, root) = match stream.documents.get(index) {
        Some(document) => (document.index, document.value.clone()),
        None => (0, Value::Null),
    };
    let mut all = model::paths(&root, PATHS);
    let mut path = all.swap_remove(usize::from(*place) % all.len());
    let new = value(*new);
    let op = match kind % 8 {
        0 => Op::Set { path, value: new },
        1 => Op::Append { path, value: new },
        2 => Op::Remove { path },
        3 => Op::Prune { path },
        4 => Op::Rename { path, key: "another name".to_owned() },
        5 => Op::Move { path, to: vec!["somewhere".into(), "else".into()] },
        6 => {
            path.push("annotations".into());
            Op::Set { path, value: new }
        }
        _ => {
            path.extend([Segment::from("deep"), Segment::from("er")]);
            Op::Set { path, value: new }
        }
    };
    edited(&text, &stream, &root, DocEdit { document, op });
}

fn edited(text: &str, stream: &sunup_yaml::Stream, root: &Value, wanted: DocEdit) {
    let edits = [wanted];
    let [DocEdit { document, op }] = &edits;
    let after = edit(text, &edits, &LIMITS);
    if stream.errors.is_empty() {
        let alone = edit_sound(text, &edits, &LIMITS);
        assert_eq!(after.is_ok(), alone.is_ok(), "{after:?} and alone {alone:?}");
        // An empty block scalar ends elsewhere where nothing follows it.
        if after.is_ok() && !text.contains(['|', '>']) {
            assert_eq!(after, alone);
        }
    }
    let after = match after {
        Ok(after) => after,
        Err(EditError::Verification(_)) => return,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let again = read(&after, &LIMITS);
    assert!(again.errors.len() <= stream.errors.len(), "{op:?} breaks it: {after:?}");
    let value = again.documents.iter().find(|d| d.index == *document).map(|d| &d.value);
    let null = Value::Null;
    let value = value.unwrap_or(&null);
    model::holds(op, root, value);
    if model::is_done_once(op) {
        assert_eq!(edit(&after, &edits, &LIMITS).as_ref(), Ok(&after), "the second time");
    }
}
