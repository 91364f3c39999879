//! What one line says, whatever it is.

use sunup_evidence::line::{literals, signs};
use sunup_evidence::refused::{Joiner, Reading, find_literal, may_matter, read, recognise};

/// A line is read or not; what is read has one of the literals by which lines are picked, so that
/// picking loses none; and lines one after the other are joined to errors of their own lines.
pub fn lines(text: &str) {
    for line in text.lines().take(64) {
        one(line);
    }
    one(text);
    let mut joiner = Joiner::new();
    let mut joined = 0;
    for (at, line) in text.lines().enumerate() {
        let at = i64::try_from(at).unwrap_or_default();
        joined += usize::from(joiner.push(1, Some(at * 1_000_000), line).is_some());
    }
    while joiner.flush().is_some() {
        joined += 1;
        assert!(joined <= text.len() + 1, "more errors than there are bytes");
    }
}

fn one(text: &str) {
    let found = find_literal(text.as_bytes(), 0);
    assert_eq!(found.is_some(), may_matter(text.as_bytes()));
    let reading = read(text);
    if reading != Reading::Nothing {
        assert!(found.is_some(), "read, and would have been passed over: {text:?}");
    }
    let refused = recognise(text);
    assert_eq!(refused.is_some(), matches!(reading, Reading::Refused(_)));
    if let Some(refused) = refused {
        let _ = refused.loopback();
        assert!(refused.destinations.len() <= text.len());
    }
    if !signs(text).is_empty() {
        let lower = text.to_ascii_lowercase();
        let picked = literals().iter().any(|word| lower.contains(&word.to_ascii_lowercase()));
        assert!(picked, "it means something, and would have been passed over: {text:?}");
    }
}
