//! Searching bytes for any of a few ASCII literals in any letter case, fast.
//!
//! Of each literal only its rarest few bytes are searched for, in all their letter cases, with a
//! vectorised search; what is found is then compared in full.

use aho_corasick::packed;
use memchr::memmem;

/// Longest piece that is searched for: the vectorised search looks at no more.
const WINDOW: usize = 4;
/// Most letter-case variants of one piece, and most pieces in all.
const VARIANTS_MAX: usize = 8;
const PATTERNS_MAX: usize = 48;

#[derive(Debug, Clone)]
pub(super) struct Finder {
    literals: Vec<Literal>,
    search: Search,
}

#[derive(Debug, Clone)]
struct Literal {
    lower: Vec<u8>,
    /// Where its piece begins.
    offset: usize,
}

#[derive(Debug, Clone)]
enum Search {
    One(memmem::Finder<'static>),
    /// The literal that each pattern was made of.
    Packed(packed::Searcher, Vec<usize>),
    /// Too many pieces, or no vector unit: one literal after the other.
    Plain,
}

impl Finder {
    /// `None` where a literal is too short to tell anything.
    pub(super) fn new(literals: &[String]) -> Option<Self> {
        let mut own = Vec::new();
        let mut patterns: Vec<Vec<u8>> = Vec::new();
        let mut owners = Vec::new();
        for (n, literal) in literals.iter().enumerate() {
            let lower = literal.as_bytes().to_ascii_lowercase();
            if lower.len() < 2 {
                return None;
            }
            let (offset, len) = window(&lower);
            for variant in variants(&lower[offset..offset + len]) {
                if !patterns.contains(&variant) {
                    patterns.push(variant);
                    owners.push(n);
                }
            }
            own.push(Literal { lower, offset });
        }
        // Two literals may share a piece: then what was found is compared with all of them.
        let search = match patterns.as_slice() {
            [] => return None,
            [one] if own.len() == 1 => Search::One(memmem::Finder::new(one).into_owned()),
            many if many.len() > PATTERNS_MAX => Search::Plain,
            many => match packed::Config::new().builder().extend(many).build() {
                Some(searcher) => Search::Packed(searcher, owners),
                None => Search::Plain,
            },
        };
        Some(Self { literals: own, search })
    }

    /// Where the first literal at or behind `from` begins.
    pub(super) fn find(&self, haystack: &[u8], from: usize) -> Option<usize> {
        match &self.search {
            Search::One(finder) => {
                let literal = &self.literals[0];
                let mut at = (from + literal.offset).min(haystack.len());
                loop {
                    let found = at + finder.find(&haystack[at..])?;
                    if let Some(start) = literal.verify(haystack, found, from) {
                        return Some(start);
                    }
                    at = found + 1;
                }
            }
            Search::Packed(searcher, owners) => {
                let mut at = from.min(haystack.len());
                loop {
                    let span = aho_corasick::Span { start: at, end: haystack.len() };
                    let found = searcher.find_in(haystack, span)?;
                    let owner = &self.literals[owners[found.pattern().as_usize()]];
                    let start = owner.verify(haystack, found.start(), from).or_else(|| {
                        let others = self.literals.iter();
                        others.filter_map(|l| l.verify(haystack, found.start(), from)).min()
                    });
                    if start.is_some() {
                        return start;
                    }
                    at = found.start() + 1;
                }
            }
            Search::Plain => {
                let found = self.literals.iter().filter_map(|literal| {
                    let (first, upper) = (literal.lower[0], literal.lower[0].to_ascii_uppercase());
                    memchr::memchr2_iter(first, upper, haystack.get(from..)?)
                        .map(|at| from + at)
                        .find(|at| literal.is_at(haystack, *at))
                });
                found.min()
            }
        }
    }

    /// A guess how often this is found; only for comparing with others.
    pub(super) fn commonness(&self) -> u64 {
        let each = self.literals.iter().map(|literal| {
            let lengthy = 8u64.saturating_sub(literal.lower.len() as u64) * 40;
            let (offset, len) = window(&literal.lower);
            lengthy + score(&literal.lower[offset..offset + len])
        });
        each.max().unwrap_or_default() + 60 * self.literals.len() as u64
    }
}

impl Literal {
    fn is_at(&self, haystack: &[u8], start: usize) -> bool {
        let there = haystack.get(start..start + self.lower.len());
        there.is_some_and(|there| there.eq_ignore_ascii_case(&self.lower))
    }

    /// The start of the whole literal whose piece was found at `piece`.
    fn verify(&self, haystack: &[u8], piece: usize, from: usize) -> Option<usize> {
        let start = piece.checked_sub(self.offset)?;
        (start >= from && self.is_at(haystack, start)).then_some(start)
    }
}

/// The piece of `lower` that is likely to be rarest in JSON logs.
fn window(lower: &[u8]) -> (usize, usize) {
    let len = lower.len().min(WINDOW);
    let few = |part: &&[u8]| {
        1usize << part.iter().filter(|byte| byte.is_ascii_lowercase()).count() <= VARIANTS_MAX
    };
    let pieces = |len: usize| {
        lower
            .windows(len)
            .enumerate()
            .filter(|(_, part)| few(part))
            .map(move |(offset, part)| (score(part), offset, part.len()))
            .min()
    };
    // Four letters have sixteen variants: then three of them are searched for.
    let best = pieces(len).or_else(|| pieces(len.min(3))).or_else(|| pieces(len.min(2)));
    best.map_or((0, len.min(3)), |(_, offset, len)| (offset, len))
}

fn variants(piece: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::with_capacity(piece.len())];
    for byte in piece {
        let upper = byte.to_ascii_uppercase();
        if upper == *byte {
            all.iter_mut().for_each(|variant| variant.push(*byte));
            continue;
        }
        let mut raised = all.clone();
        all.iter_mut().for_each(|variant| variant.push(*byte));
        raised.iter_mut().for_each(|variant| variant.push(upper));
        all.append(&mut raised);
    }
    all
}

fn score(piece: &[u8]) -> u64 {
    let sum: u64 = piece.iter().map(|byte| u64::from(common(*byte))).sum();
    // A shorter piece is found more often.
    sum + 255 * (WINDOW as u64).saturating_sub(piece.len() as u64)
}

/// How common a byte is in exported logs, 0 to 255; by count over generated ones and by eye.
fn common(byte: u8) -> u8 {
    match byte {
        b'e' => 255,
        b'a' | b't' | b'o' => 245,
        b's' | b'n' | b'i' | b'r' => 240,
        b' ' | b'c' | b'l' => 230,
        b'd' | b'p' | b'm' => 220,
        b':' | b',' => 215,
        b'.' | b'-' | b'_' | b'0'..=b'2' => 210,
        b'u' | b'g' | b'h' | b'3'..=b'9' => 195,
        b'b' | b'f' | b'y' | b'{' | b'}' => 170,
        b'v' | b'w' | b'k' => 140,
        b'x' => 110,
        b'j' | b'z' | b'q' => 80,
        _ => 120,
    }
}
