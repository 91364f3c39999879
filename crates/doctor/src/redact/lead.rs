//! What stands before a line's own text: the pod that `kubectl logs --prefix` names, a time, a stream, a
//! level. How far a text is indented is told from behind it.

use std::sync::LazyLock;

use regex::Regex;

static LEAD: LazyLock<Regex> = LazyLock::new(|| {
    let text = concat!(
        r"^(?-u)(?:\[pod/[!-Z^-~]+\] |[\w.-]{1,60} +\| )?",
        r"(?:\[?[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}(?:[T ][0-9:.,]{5,18})?(?:Z|[+-][0-9:]{4,6})?\]?(?:[ \t]|$))?",
        r"(?:(?:stdout|stderr) [FP] )?",
        r"(?:\[?(?i:trace|debug|info|notice|warn|warning|error|fatal)\]?[ \t])?",
    );
    Regex::new(text).expect("a pattern that tests run")
});

/// How long it is; nothing stands before most lines of a text that several lines make.
pub(super) fn of(line: &str) -> usize {
    LEAD.find(line).map_or(0, |lead| lead.end())
}

/// Whether a word is a time as Kubernetes writes it.
pub(super) fn is_time(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 20
        && bytes.len() <= 40
        && bytes[4] == b'-'
        && bytes[10] == b'T'
        && bytes[0].is_ascii_digit()
}
