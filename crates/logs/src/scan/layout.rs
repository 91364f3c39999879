//! Which layout a stream has, from its first bytes.

/// How many bytes [`Layout::of`] wants to see: enough for one whole entry.
pub const HEAD_BYTES: usize = 256 << 10;

pub(crate) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// How the entries of a stream follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One entry, or anything else, on each line.
    Lines,
    /// A JSON array of objects, as `gcloud logging read --format=json` writes it.
    Array,
    /// Objects that span lines, one after another.
    Objects,
    /// `{"entries": […]}`, the pages of the REST API's `entries.list`.
    Pages,
}

impl Layout {
    /// Recognises the layout of a stream that begins with `head`, a byte order mark or not.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let head = head.strip_prefix(BOM).unwrap_or(head).trim_ascii_start();
        match head.first() {
            // A log line may begin with a bracket too ("[2020-03-31] …", "[info] …").
            Some(b'[') => match head[1..].trim_ascii_start().first() {
                Some(b'{' | b']' | b'[') | None => Self::Array,
                Some(_) => Self::Lines,
            },
            Some(b'{') if is_page(head) => Self::Pages,
            Some(b'{') if !closes_on_its_line(head) => Self::Objects,
            _ => Self::Lines,
        }
    }
}

/// A byte order mark of UTF-16 or UTF-32, or the zero bytes ASCII gets in those.
pub(super) fn is_utf16(head: &[u8]) -> bool {
    head.starts_with(b"\xFF\xFE")
        || head.starts_with(b"\xFE\xFF")
        || matches!(head, [0, b'{' | b'[', ..] | [b'{' | b'[', 0, ..])
}

/// The object at the start is complete before the first line break. An object whose line is
/// longer than the head counts as a line: pretty-printed text breaks early.
fn closes_on_its_line(head: &[u8]) -> bool {
    let line = memchr::memchr(b'\n', head).map_or(head, |end| &head[..end]);
    if line.len() == head.len() {
        return true;
    }
    let mut at = 0;
    let mut depth = 0usize;
    while let Some(found) = line.get(at..).and_then(|rest| memchr::memchr3(b'"', b'{', b'}', rest))
    {
        at += found;
        match line[at] {
            b'"' => match string_end(line, at) {
                Some(end) => at = end,
                // A broken line among lines: let whoever parses it say so.
                None => return true,
            },
            b'{' => {
                depth += 1;
                at += 1;
            }
            _ => {
                depth = depth.saturating_sub(1);
                at += 1;
                if depth == 0 {
                    return true;
                }
            }
        }
    }
    false
}

/// Whether the first object has a key `entries` whose value is an array of objects, as far as
/// the head shows it.
fn is_page(head: &[u8]) -> bool {
    let mut at = 1;
    loop {
        at = skip_space(head, at);
        if head.get(at) != Some(&b'"') {
            return false;
        }
        let Some(end) = string_end(head, at) else { return false };
        let key = &head[at..end];
        let colon = skip_space(head, end);
        if head.get(colon) != Some(&b':') {
            return false;
        }
        let value = skip_space(head, colon + 1);
        if key == b"\"entries\"" {
            let first = skip_space(head, value + 1);
            return head.get(value) == Some(&b'[')
                && matches!(head.get(first), Some(b'{' | b']') | None);
        }
        // Only short texts stand before the entries (`nextPageToken`).
        let Some(b'"') = head.get(value) else { return false };
        let Some(end) = string_end(head, value) else { return false };
        at = skip_space(head, end);
        if head.get(at) != Some(&b',') {
            return false;
        }
        at += 1;
    }
}

/// The index of the first byte at or behind `at` that is no JSON white space.
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The index behind the closing quote of the string that opens at `at`; `None` where it is not
/// closed on its line.
pub(super) fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr3(b'"', b'\\', b'\n', bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            // Not even a backslash takes a line break into a string.
            b'\\' if bytes.get(at + 1) != Some(&b'\n') => at += 2,
            _ => return None,
        }
    }
}
