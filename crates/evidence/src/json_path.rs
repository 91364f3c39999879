//! The path of the value at a place in JSON text: `spec.containers[0].ports`.
//!
//! serde_json says where a mistake is by line and column only. Following the path while reading
//! would cost every reading, and the compiler another copy of every type's decoder; mistakes are
//! rare, so the text is gone through once more. Knows no types.

use std::fmt::Write as _;

/// Where in its list or object the text is.
enum Frame {
    List(usize),
    /// The key whose value is being read, as it stands in the text, quotes included.
    Object(Option<std::ops::Range<usize>>),
}

/// The path of the innermost value that holds what stands before this place (lines from 1, columns
/// in bytes, as serde_json counts them); empty for the whole text.
pub(crate) fn path_at(text: &[u8], line: usize, column: usize) -> String {
    let text = &text[..offset(text, line, column)];
    let mut frames: Vec<Frame> = Vec::new();
    let mut last_string = 0..0;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                let end = end_of_string(text, at);
                last_string = at..end;
                at = end;
                continue;
            }
            b'{' => frames.push(Frame::Object(None)),
            b'[' => frames.push(Frame::List(0)),
            b'}' | b']' => drop(frames.pop()),
            b':' => {
                if let Some(Frame::Object(key)) = frames.last_mut() {
                    *key = Some(last_string.clone());
                }
            }
            b',' => match frames.last_mut() {
                Some(Frame::Object(key)) => *key = None,
                Some(Frame::List(index)) => *index += 1,
                None => {}
            },
            _ => {}
        }
        at += 1;
    }
    written(text, &frames)
}

fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let mut starts = text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    let start = if line < 2 { 0 } else { starts.nth(line - 2).unwrap_or(text.len()) };
    (start + column).min(text.len())
}

/// Behind the closing quote, or the text's end where there is none.
fn end_of_string(text: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn written(text: &[u8], frames: &[Frame]) -> String {
    let mut path = String::new();
    for frame in frames {
        match frame {
            Frame::List(index) => {
                let _ = write!(path, "[{index}]");
            }
            Frame::Object(Some(key)) => {
                let raw = &text[key.clone()];
                let key = serde_json::from_slice(raw)
                    .unwrap_or_else(|_| String::from_utf8_lossy(raw).into_owned());
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&key);
            }
            Frame::Object(None) => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::Value;

    use super::path_at;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Node {
        name: String,
        number: Option<u8>,
        parts: Vec<Node>,
        more: BTreeMap<String, Node>,
        flag: bool,
        below: Option<Box<Node>>,
    }

    /// The path by another way: kept while the text is read.
    fn tracked(text: &str) -> Option<String> {
        let mut parser = serde_json::Deserializer::from_str(text);
        let error = serde_path_to_error::deserialize::<_, Node>(&mut parser).err()?;
        let path = error.path().to_string();
        Some(if path == "." { String::new() } else { path })
    }

    fn found(text: &str) -> Option<String> {
        let error = serde_json::from_str::<Node>(text).err()?;
        Some(path_at(text.as_bytes(), error.line(), error.column()))
    }

    /// Fields of the right names and, more often than not, of the right types.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-300i64..300).prop_map(Value::from),
            "[a-z\"\\\\{}\\[\\],:ü\n]{0,6}".prop_map(Value::from),
        ];
        let key = prop_oneof![
            Just("name".to_owned()),
            Just("number".to_owned()),
            Just("flag".to_owned()),
            "[a-z\"\\\\{},:. ü]{1,3}"
        ];
        leaf.prop_recursive(5, 40, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                (prop::collection::vec(inner.clone(), 0..4), inner.clone())
                    .prop_map(|(parts, below)| serde_json::json!({"parts": parts, "below": below})),
                prop::collection::btree_map(key.clone(), inner.clone(), 0..3)
                    .prop_map(|more| serde_json::json!({"more": more})),
                prop::collection::btree_map(key.clone(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_path_is_the_one_that_following_it_would_give(value in value(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            prop_assert_eq!(found(&text), tracked(&text), "{}", text);
        }

        #[test]
        fn no_place_in_any_text_is_too_much(text: Vec<u8>, line in 0usize..9, column in 0usize..99) {
            path_at(&text, line, column);
        }
    }

    #[test]
    fn mistakes_in_lists_maps_and_behind_escapes_are_placed() {
        for (text, want) in [
            (r#"{"parts": [{}, {"number": "x"}]}"#, "parts[1].number"),
            (r#"{"more": {"a\"}b": {"flag": 3}}}"#, "more.a\"}b.flag"),
            ("{\"below\":\n {\"below\": {\n\"name\": {}}}}", "below.below.name"),
            (r#"{"parts": 3}"#, "parts"),
            (r#""whole""#, ""),
        ] {
            assert_eq!(found(text).as_deref(), Some(want), "{text}");
            assert_eq!(tracked(text).as_deref(), Some(want), "{text}");
        }
    }
}
