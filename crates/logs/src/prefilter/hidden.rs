//! Places in JSON bytes where text stands in another form than its own.

use std::sync::LazyLock;

use memchr::memmem;

use super::cached::Cached;
use super::literals::is_plain;

static ESCAPE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\\u"));

/// Finds `\u` escapes of characters that literals are made of, and characters that fold to such
/// or to nothing.
pub(crate) struct Hidden<'b> {
    bytes: &'b [u8],
    ascii: bool,
    escape: Cached,
    special: Cached,
}

impl<'b> Hidden<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, ascii: bytes.is_ascii(), escape: Cached::Unknown, special: Cached::Unknown }
    }

    /// The next place at or behind `from`.
    pub(crate) fn next_at(&mut self, from: usize) -> Option<usize> {
        let bytes = self.bytes;
        let escape = self.escape.next_at(from, |from| escape(bytes, from));
        if self.ascii {
            return escape;
        }
        let special = self.special.next_at(from, |from| special(bytes, from));
        match (escape, special) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

fn escape(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    ESCAPE.find_iter(rest).map(|at| from + at).find(|at| {
        let code = bytes.get(at + 2..at + 6).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match code {
            // Half of a surrogate pair: what the whole is, is left to the parser.
            Some(0xD800..=0xDFFF) => true,
            Some(code) if code < 0x80 => is_plain(code as u8),
            Some(code) => char::from_u32(code).is_some_and(folds_to_ascii),
            None => false,
        }
    })
}

fn special(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        // Whole stretches of ASCII are skipped at once.
        while bytes.get(at..at + 64).is_some_and(<[u8]>::is_ascii) {
            at += 64;
        }
        let found = at + bytes.get(at..)?.iter().position(|byte| !byte.is_ascii())?;
        let (c, len) = decode(&bytes[found..]);
        // Bytes that are no UTF-8 are the parser's to complain about.
        if c.is_none_or(folds_to_ascii) {
            return Some(found);
        }
        at = found + len;
    }
}

fn decode(bytes: &[u8]) -> (Option<char>, usize) {
    let len = match bytes[0] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return (None, 1),
    };
    let text = bytes.get(..len).and_then(|part| std::str::from_utf8(part).ok());
    (text.and_then(|text| text.chars().next()), len)
}

/// Characters beyond ASCII that folding turns into something with ASCII in it, or into nothing.
/// Ranges are generous: what is named here only costs a closer look.
pub(super) fn folds_to_ascii(c: char) -> bool {
    let code = u32::from(c);
    let place = RANGES.partition_point(|(_, last)| *last < code);
    RANGES.get(place).is_some_and(|(first, _)| *first <= code)
}

const RANGES: [(u32, u32); 56] = [
    (0xA0, 0xA0),
    (0xA8, 0xA8),
    (0xAA, 0xAA),
    (0xAD, 0xAD),
    (0xAF, 0xAF),
    (0xB2, 0xB4),
    (0xB8, 0xBA),
    (0xBC, 0xBE),
    (0xDF, 0xDF),
    (0x130, 0x130),
    (0x132, 0x133),
    (0x13F, 0x140),
    (0x149, 0x149),
    (0x17F, 0x17F),
    (0x1C4, 0x1CC),
    (0x1F1, 0x1F3),
    (0x2B0, 0x2E3),
    (0x34F, 0x34F),
    (0x37A, 0x385),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x1D2C, 0x1D65),
    (0x1D9C, 0x1DBB),
    (0x1E9A, 0x1E9E),
    (0x1FBD, 0x20A8),
    (0x2100, 0x2189),
    (0x2460, 0x24EA),
    (0x2A74, 0x2A76),
    (0x2C7C, 0x2C7D),
    (0x3000, 0x3000),
    (0x309B, 0x309C),
    (0x3164, 0x3164),
    (0x3200, 0x325F),
    (0x32B1, 0x32CF),
    (0x3358, 0x33FF),
    (0xA7F0, 0xA7F4),
    (0xFB00, 0xFB06),
    (0xFB29, 0xFB29),
    (0xFC5E, 0xFC63),
    (0xFDFA, 0xFE7E),
    (0xFEFF, 0xFF5E),
    (0xFFA0, 0xFFA0),
    (0xFFE3, 0xFFF8),
    (0x107A5, 0x107A5),
    (0x1BCA0, 0x1BCA3),
    (0x1CCD6, 0x1CCF9),
    (0x1D173, 0x1D17A),
    (0x1D400, 0x1D6A6),
    (0x1D7CE, 0x1D7FF),
    (0x1DF95, 0x1DF95),
    (0x1F100, 0x1F16C),
    (0x1F190, 0x1F190),
    (0x1FBF0, 0x1FBF9),
    (0xE0000, 0xE0FFF),
];
