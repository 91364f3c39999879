//! Finds any of many short texts in raw bytes, whatever the case of their letters.
//!
//! Wu and Manber's way ("A fast algorithm for multi-pattern searching", 1994) with one window per
//! text, chosen where the text is rarest: most positions are skipped unseen. An automaton for so
//! many texts looks at every byte, and vector searches lose their speed to the many spellings.

use std::collections::HashMap;

/// Length of a window: the shortest text that is searched for.
const WINDOW: usize = 5;
/// Bytes that decide how far to skip.
const BLOCK: usize = 3;
const TABLE: usize = 1 << 15;

/// Texts that share a window, and where in each of them it is.
type Texts = Vec<(Box<[u8]>, usize)>;

pub(crate) struct Search {
    /// How far the window can move when it ends on a block of this hash; 0: a text may be here.
    shifts: Box<[u8]>,
    /// Windows (folded), the texts they belong to and where in these they are.
    windows: HashMap<[u8; WINDOW], Texts>,
}

impl Search {
    /// `None` where a text is shorter than a window.
    pub(crate) fn new<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> Option<Self> {
        let furthest = u8::try_from(WINDOW - BLOCK + 1).ok()?;
        let mut search = Search { shifts: vec![furthest; TABLE].into(), windows: HashMap::new() };
        for text in texts {
            let at = rarest(text)?;
            let window = folded(&text[at..])?;
            for start in 0..=WINDOW - BLOCK {
                let block = [0, window[start], window[start + 1], window[start + 2]];
                let shift = u8::try_from(WINDOW - BLOCK - start).ok()?;
                let slot = &mut search.shifts[hash(u32::from_le_bytes(block))];
                *slot = shift.min(*slot);
            }
            search.windows.entry(window).or_default().push((text.into(), at));
        }
        Some(search)
    }

    /// Where the next text is whose window lies at or behind `from`, and which one it is.
    pub(crate) fn next(&self, bytes: &[u8], from: usize) -> Option<(usize, &[u8])> {
        let mut at = from;
        while let Some(end) = bytes.get(at + WINDOW - 4..at + WINDOW) {
            let end: [u8; 4] = end.try_into().ok()?;
            match self.shifts[hash(u32::from_le_bytes(end))] {
                0 => {
                    if let Some(found) = self.text_at(bytes, at) {
                        return Some(found);
                    }
                    at += 1;
                }
                shift => at += usize::from(shift),
            }
        }
        None
    }

    fn text_at(&self, bytes: &[u8], at: usize) -> Option<(usize, &[u8])> {
        let texts = self.windows.get(&folded(&bytes[at..])?)?;
        texts.iter().find_map(|(text, before)| {
            let start = at.checked_sub(*before)?;
            let here = bytes.get(start..start + text.len())?;
            here.eq_ignore_ascii_case(text).then_some((start, &**text))
        })
    }
}

/// Three bytes behind the first of four, letters in one case, as an index of the table. Other
/// bytes fall together too: this only has to tell the same for text and pattern.
fn hash(block: u32) -> usize {
    let folded = (block | 0x2020_2020) >> 8;
    (folded.wrapping_mul(0x9e37_79b1) >> 17) as usize
}

fn folded(bytes: &[u8]) -> Option<[u8; WINDOW]> {
    let mut window: [u8; WINDOW] = bytes.get(..WINDOW)?.try_into().ok()?;
    window.iter_mut().for_each(|b| *b |= 0x20);
    Some(window)
}

/// Where in a text the window begins that is least likely in other texts.
fn rarest(text: &[u8]) -> Option<usize> {
    // By how often a byte occurs in logs, roughly.
    let weight = |b: &u8| match b.to_ascii_lowercase() {
        b'e' | b't' | b' ' => 6,
        b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b'"' => 5,
        b'c' | b'd' | b'l' | b'p' | b'0'..=b'9' => 4,
        b'm' | b'u' | b'h' | b':' => 3,
        b'f' | b'g' | b'b' | b'v' | b'w' | b'y' | b'k' | b'-' => 2,
        _ => 1,
    };
    (0..text.len().checked_sub(WINDOW - 1)?)
        .min_by_key(|at| text[*at..*at + WINDOW].iter().map(weight).sum::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_plain_search_finds() {
        let texts: [&[u8]; 6] =
            [b"refus", b"(111)", b"connection to node", b"econnreset", b"timed out", b"\\u006"];
        let search = Search::new(texts).expect("long enough");
        let mut seed = 1u64;
        for _ in 0..2000 {
            let mut bytes = Vec::new();
            while bytes.len() < 120 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let r = (seed >> 33) as usize;
                let text = texts[r % texts.len()];
                let cut = r / 7 % (text.len() + 1);
                let part = if r.is_multiple_of(3) { text } else { &text[..cut] };
                let upper = r.is_multiple_of(2);
                bytes.extend(part.iter().map(|b| if upper { b.to_ascii_uppercase() } else { *b }));
                bytes.push(b'x');
            }
            let mut found = Vec::new();
            let mut at = 0;
            while let Some((start, text)) = search.next(&bytes, at) {
                found.push(start);
                at = start + rarest(text).unwrap_or(0) + 1;
            }
            let mut plain: Vec<usize> = (0..bytes.len())
                .filter(|i| {
                    texts.iter().any(|t| {
                        bytes.get(*i..i + t.len()).is_some_and(|b| b.eq_ignore_ascii_case(t))
                    })
                })
                .collect();
            found.sort_unstable();
            plain.sort_unstable();
            assert_eq!(found, plain, "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn too_short_a_text_is_refused() {
        assert!(Search::new([b"abcd".as_slice()]).is_none());
    }
}
