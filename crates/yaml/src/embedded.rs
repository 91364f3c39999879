//! YAML or JSON inside of a string, and comma lists. Knows no outer document.

use serde_json::Value;

use crate::edit::edit;
use crate::error::EditError;
use crate::model::{DocEdit, Op, Segment};
use crate::parse::Limits;

/// Sets a key in YAML or JSON that is the text of a string, such as the annotation
/// `proxy.istio.io/config`: block YAML stays block YAML, JSON stays JSON, comments stay. An empty
/// string becomes block YAML.
///
/// # Errors
/// As [`edit`], with lines counted inside of the string.
pub fn set_embedded(existing: &str, path: &[&str], value: Value) -> Result<String, EditError> {
    let path = path.iter().map(|key| Segment::from(*key)).collect();
    let edits = [DocEdit { document: 0, op: Op::Set { path, value } }];
    let text = if existing.trim().is_empty() { "" } else { existing };
    edit(text, &edits, &Limits::default())
}

/// Appends to a list such as `10.0.0.0/8, 1.2.3.4/32`, with the list's own spacing; the list
/// is given back as it was where the item is in it.
#[must_use]
pub fn append_comma_list(existing: &str, item: &str) -> String {
    if existing.split(',').any(|have| have.trim() == item.trim()) {
        return existing.to_owned();
    }
    if existing.trim().is_empty() {
        return item.to_owned();
    }
    let kept = existing.trim_end();
    let tail = &existing[kept.len()..];
    if let Some(open) = kept.strip_suffix(',') {
        let gap = if open.contains(", ") { " " } else { "" };
        return format!("{kept}{gap}{item}{tail}");
    }
    let gap = match kept.split_once(',') {
        Some((_, after)) => &after[..after.len() - after.trim_start().len()],
        None => "",
    };
    format!("{kept},{gap}{item}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comma_lists_keep_their_spacing() {
        for (list, item, after) in [
            ("", "1.2.3.4/32", "1.2.3.4/32"),
            ("  ", "1.2.3.4/32", "1.2.3.4/32"),
            ("10.0.0.0/8", "1.2.3.4/32", "10.0.0.0/8,1.2.3.4/32"),
            ("10.0.0.0/8,1.2.3.4/32", "1.2.3.4/32", "10.0.0.0/8,1.2.3.4/32"),
            ("10.0.0.0/8 , 1.2.3.4/32", "1.2.3.4/32", "10.0.0.0/8 , 1.2.3.4/32"),
            ("a, b", "c", "a, b, c"),
            ("a,b,", "c", "a,b,c"),
            ("a, b,\n", "c", "a, b, c\n"),
            ("a,\n b\n", "c", "a,\n b,\n c\n"),
        ] {
            assert_eq!(append_comma_list(list, item), after, "{list:?}");
        }
    }
}
