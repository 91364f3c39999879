//! Finds any of many short texts in raw bytes, whatever the case of their letters.
//!
//! Each text has one window of five bytes, chosen where it is rarest. Of five bytes one of every
//! third position begins a block of three that lies within them, so only every third block is
//! looked up in a table, without a branch in between. An automaton for so many texts goes byte by
//! byte, each step waiting for the one before, and vector searches lose their speed to the many
//! spellings.

use std::collections::HashMap;

/// Length of a window: the shortest text that is searched for.
const WINDOW: usize = 5;
/// Bytes that are looked up at once.
const BLOCK: usize = 3;
/// How far apart the blocks are that are looked up: a window holds at least one of them.
const STRIDE: usize = WINDOW - BLOCK + 1;
const TABLE: usize = 1 << 15;
/// Blocks that are looked up before it is asked whether one of them was there.
const AT_ONCE: usize = 16;

/// Texts that share a window, and where in each of them it is.
type Texts = Vec<(Box<[u8]>, usize)>;

/// A text that was found.
#[derive(Clone, Copy)]
pub(crate) struct Hit<'s> {
    pub(crate) start: usize,
    pub(crate) text: &'s [u8],
    /// From where the search goes on to find every other one.
    pub(crate) behind: usize,
}

pub(crate) struct Search {
    /// 1 where a block of this hash is in some window.
    blocks: Box<[u8; TABLE]>,
    /// 1 where a window of this hash is one.
    marks: Box<[u8; TABLE]>,
    /// Windows (folded), the texts they belong to and where in these they are.
    windows: HashMap<[u8; WINDOW], Texts>,
}

impl Search {
    /// `None` where a text is shorter than a window.
    pub(crate) fn new<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> Option<Self> {
        let mut search = Search {
            blocks: Box::new([0; TABLE]),
            marks: Box::new([0; TABLE]),
            windows: HashMap::new(),
        };
        for text in texts {
            let at = rarest(text)?;
            let window = folded(&text[at..])?;
            for start in 0..STRIDE {
                let block = [window[start], window[start + 1], window[start + 2], 0];
                search.blocks[hash(u32::from_le_bytes(block))] = 1;
            }
            search.marks[mark(window)] = 1;
            search.windows.entry(window).or_default().push((text.into(), at));
        }
        Some(search)
    }

    /// The next text whose window lies at or behind `from`.
    pub(crate) fn next(&self, bytes: &[u8], from: usize) -> Option<Hit<'_>> {
        const STEP: usize = STRIDE * AT_ONCE;
        let mut at = from;
        while let Some(part) = bytes.get(at..at + STEP + BLOCK) {
            let mut any = 0;
            for i in 0..AT_ONCE {
                any |= self.block(part, i * STRIDE);
            }
            if any != 0 {
                let found = (0..AT_ONCE).find_map(|i| self.around(bytes, from, at + i * STRIDE));
                if found.is_some() {
                    return found;
                }
            }
            at += STEP;
        }
        (at..bytes.len()).step_by(STRIDE).find_map(|at| self.around(bytes, from, at))
    }

    #[inline]
    fn block(&self, bytes: &[u8], at: usize) -> u8 {
        let block = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], 0]);
        self.blocks[hash(block)]
    }

    /// A text whose window holds the block at `at`.
    fn around(&self, bytes: &[u8], from: usize, at: usize) -> Option<Hit<'_>> {
        if at + BLOCK > bytes.len() || self.block(bytes, at) == 0 {
            return None;
        }
        let first = at.saturating_sub(STRIDE - 1).max(from);
        (first..=at).find_map(|start| self.text_at(bytes, start))
    }

    fn text_at(&self, bytes: &[u8], at: usize) -> Option<Hit<'_>> {
        let window = folded(&bytes[at..])?;
        if self.marks[mark(window)] == 0 {
            return None;
        }
        let texts = self.windows.get(&window)?;
        texts.iter().find_map(|(text, before)| {
            let start = at.checked_sub(*before)?;
            let here = bytes.get(start..start + text.len())?;
            let hit = Hit { start, text, behind: at + 1 };
            here.eq_ignore_ascii_case(text).then_some(hit)
        })
    }
}

/// Three bytes, letters in one case, as an index of the table. Other bytes fall together too:
/// this only has to tell the same for text and pattern.
#[inline]
fn hash(block: u32) -> usize {
    let folded = block | 0x0020_2020;
    (folded.wrapping_mul(0x9e37_79b1) >> 17) as usize
}

/// A whole window as an index of its table: most blocks that are in a window stand elsewhere too.
#[inline]
fn mark([a, b, c, d, e]: [u8; WINDOW]) -> usize {
    let front = u32::from_le_bytes([a, b, c, d]).wrapping_mul(0x85eb_ca6b);
    ((front ^ u32::from(e)).wrapping_mul(0x9e37_79b1) >> 17) as usize
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
            while let Some(hit) = search.next(&bytes, at) {
                found.push(hit.start);
                at = hit.behind;
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
