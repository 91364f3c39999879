//! What holds of a page of a list, whatever the server sends.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::wanted;
use crate::need::PODS;

/// What is handed on of a page is a list of objects that stand in it, each once, one a line.
pub fn page(bytes: &[u8]) {
    let (mut seen, mut given) = (HashSet::new(), Vec::new());
    let mut each = |item: &RawValue| {
        given.push(item.get().to_owned());
        true
    };
    let read = wanted(&Bytes::copy_from_slice(bytes), &PODS, &mut seen, &mut each);
    let Ok((text, next)) = read else { return };
    assert!(next.is_none_or(|next| !next.is_empty()));
    let Some(text) = text else { return assert!(given.is_empty(), "wanted, and not handed on") };
    let list: Value = serde_json::from_slice(&text).expect("a list in JSON");
    let items = list["items"].as_array().expect("items");
    assert_eq!(items.len(), given.len());
    for (item, given) in items.iter().zip(&given) {
        assert_eq!(Some(item), serde_json::from_str(given).ok().as_ref());
    }
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, items.len() + 2, "an object a line");
    // The same page again brings nothing new of what has an identity.
    let before = seen.len();
    let again = wanted(&Bytes::copy_from_slice(bytes), &PODS, &mut seen, &mut |_| true);
    assert!(again.is_ok() && seen.len() == before);
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_page_is_handed_on_object_by_object() {
        super::page(
            b"{\"kind\":\"PodList\",\"metadata\":{\"continue\":\"x\"},\"items\":[{\"metadata\":{\"uid\":\"1\"},\n\"a\":1},{\"metadata\":{\"uid\":\"1\"}},{}]}",
        );
        super::page(b"{\"items\":[]}");
        super::page(b"{\"items\":[1]}");
    }
}
