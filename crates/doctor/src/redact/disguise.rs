//! What escapes hide: percent signs (RFC 3986), escapes of JSON and C, entities of HTML. A text is read
//! as it would be once they are undone, and what is found there is removed where it stands.

use std::ops::Range;

/// Escapes within escapes that are undone: `%253A`.
const ROUNDS: usize = 3;

/// A text without escapes, and where its bytes were.
pub(super) struct Plain {
    text: String,
    /// For each byte of `text`, and for its end, the byte at which it began.
    from: Vec<usize>,
}

impl Plain {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where a range of the plain text stands in the text.
    pub(super) fn place(&self, range: &Range<usize>) -> Range<usize> {
        self.from[range.start]..self.from[range.end]
    }
}

/// A text without its escapes; `None` where it has none.
pub(super) fn plain(text: &str) -> Option<Plain> {
    let mut plain = undone(text)?;
    for _ in 1..ROUNDS {
        let Some(next) = undone(&plain.text) else { break };
        let from = next.from.iter().map(|&at| plain.from[at]).collect();
        plain = Plain { text: next.text, from };
    }
    Some(plain)
}

fn undone(text: &str) -> Option<Plain> {
    // Most signs that escapes begin with begin none: `\"` in entries, `100 %`.
    let mut signs = text.match_indices(['%', '\\', '&']).map(|(at, _)| at);
    let first = signs.find(|at| escape(&text[*at..]).is_some())?;
    let mut plain = Plain { text: String::with_capacity(text.len()), from: Vec::new() };
    plain.text.push_str(&text[..first]);
    plain.from.extend(0..first);
    let mut at = first;
    while let Some(c) = text[at..].chars().next() {
        let (c, len) = escape(&text[at..]).unwrap_or((c, c.len_utf8()));
        plain.text.push(c);
        plain.from.extend(std::iter::repeat_n(at, c.len_utf8()));
        at += len;
    }
    plain.from.push(text.len());
    Some(plain)
}

/// The sign that an escape at the beginning of a text stands for, and how long the escape is. Signs
/// that can't be printed stay escaped.
fn escape(text: &str) -> Option<(char, usize)> {
    let bytes = text.as_bytes();
    let hex = |range: Range<usize>| {
        let digits = text.get(range).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (code, len) = match (bytes.first()?, bytes.get(1)?) {
        (b'%', _) => (hex(1..3)?, 3),
        (b'\\', b'u') => (hex(2..6)?, 6),
        (b'\\', b'x') => (hex(2..4)?, 4),
        (b'\\', b'/') => (u32::from('/'), 2),
        (b'&', b'#') => {
            let end = bytes.iter().take(10).position(|b| *b == b';')?;
            let code = match bytes.get(2)? {
                b'x' | b'X' => hex(3..end)?,
                _ => text.get(2..end)?.parse().ok()?,
            };
            (code, end + 1)
        }
        (b'&', _) => {
            let names =
                [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&apos;", '\'')];
            let (name, sign) = names.into_iter().find(|(name, _)| text.starts_with(name))?;
            (u32::from(sign), name.len())
        }
        _ => return None,
    };
    char::from_u32(code).filter(|c| !c.is_control()).map(|c| (c, len))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn escapes_are_undone_and_places_are_kept() {
        for (text, want) in [
            ("p%3Dx", "p=x"),
            ("p%253Dx", "p=x"),
            ("\\u0070ass \\x41 a\\/b", "pass A a/b"),
            ("a&#61;b &#x3d; &amp;quot;", "a=b = \""),
            ("é%41é", "éAé"),
        ] {
            let told = plain(text).expect("it has escapes");
            assert_eq!(told.text(), want, "{text}");
            assert_eq!(told.place(&(0..want.len())), 0..text.len());
        }
        let told = plain("xx%41yy").expect("it has one");
        assert_eq!(told.place(&(2..3)), 2..5);
        for text in ["", "100 %", "%zz", "a\\nb", "%0a", "&", "&nbsp;", "&#;", "\\u12", "%é", "%00"]
        {
            assert!(plain(text).is_none(), "{text}");
        }
    }
}
