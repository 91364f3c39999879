//! What holds of a watch, whatever the server sends.

use bytes::Bytes;
use serde_json::Value;

use super::{Lines, json, told};

/// The lines are the same however they come in pieces, none is lost, and each tells of an object or
/// ends the watch.
pub fn changes(bytes: &[u8]) {
    let whole = lines(bytes, bytes.len().max(1));
    for size in [1, 3, 16] {
        assert_eq!(lines(bytes, size), whole, "in pieces of {size}");
    }
    let kept: usize = whole.0.iter().map(Vec::len).sum();
    assert_eq!(kept + whole.1, bytes.len(), "bytes got lost");
    for line in &whole.0 {
        let Ok(change) = json(line) else { continue };
        let version = version(&change["object"]);
        if let Ok((_, at)) = told(change) {
            assert_eq!(at, version);
        }
    }
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

/// The lines, and how many bytes wait for the end of theirs.
fn lines(bytes: &[u8], size: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut lines, mut all) = (Lines::default(), Vec::new());
    for piece in bytes.chunks(size) {
        lines.push(&Bytes::copy_from_slice(piece));
        while let Some(line) = lines.next() {
            all.push(line);
        }
    }
    (all, lines.held())
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_the_same_in_any_pieces() {
        super::changes(
            b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}\n\n{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n{\"ty",
        );
    }
}
