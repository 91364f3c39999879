//! Which forms a text may have, told by one look at its bytes: most lines have none, and then no
//! pattern is asked. A gate that is open says nothing; one that is shut is sure.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::needs;

/// What a form needs that no literal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A literal of its pattern, or nothing.
    Literal,
    /// So many signs of keys in a row.
    Row,
    /// Four digits, a blank or `-`, four digits.
    Groups,
    /// Two capitals and two digits.
    Account,
    /// Pairs between signs, three signs in a row.
    Pairs,
    /// Digits around three points.
    V4,
    /// Two colons together, or six of them.
    V6,
    /// Digits around three dashes.
    Dashes,
    /// A point before a label that ends many hosts.
    Domain,
    /// A point before a label with a port behind it.
    Port,
}

/// One bit a form.
type Bits = u128;

/// The gates of all forms, in their order.
pub(super) struct Gates {
    literals: AhoCorasick,
    /// Which forms a literal opens.
    opens: Vec<Bits>,
    /// Which forms a sign opens that is a literal by itself.
    signs: [Bits; 256],
    /// Forms that are always asked.
    always: Bits,
    shapes: Vec<(Shape, Bits)>,
    domains: BTreeSet<&'static str>,
    all: Bits,
}

/// Signs of keys in a row from which on something may be one.
const ROW_MIN: usize = 20;

impl Gates {
    /// Gates of patterns; `domains` are labels that hosts end with.
    pub(super) fn new<'p>(
        forms: impl Iterator<Item = (&'p str, Shape)>,
        domains: BTreeSet<&'static str>,
    ) -> Self {
        let mut words: BTreeMap<String, Bits> = BTreeMap::new();
        let mut shapes: Vec<(Shape, Bits)> = Vec::new();
        let (mut signs, mut always, mut all) = ([0; 256], 0, 0);
        for (number, (pattern, shape)) in forms.enumerate() {
            let bit: Bits = 1 << number;
            all |= bit;
            if shape != Shape::Literal {
                match shapes.iter_mut().find(|(known, _)| *known == shape) {
                    Some((_, bits)) => *bits |= bit,
                    None => shapes.push((shape, bit)),
                }
                continue;
            }
            let Some(literals) = needs::of(pattern) else {
                always |= bit;
                continue;
            };
            for literal in literals {
                match *literal.as_bytes() {
                    // Small letters stand for capitals, too.
                    [sign] => {
                        signs[usize::from(sign)] |= bit;
                        signs[usize::from(sign.to_ascii_uppercase())] |= bit;
                    }
                    _ => *words.entry(literal).or_default() |= bit,
                }
            }
        }
        let (literals, opens): (Vec<_>, Vec<_>) = words.into_iter().unzip();
        let literals = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(literals)
            .expect("some hundred short literals always build");
        Gates { literals, opens, signs, always, shapes, domains, all }
    }

    /// The forms that a text may have: one bit each.
    pub(super) fn open(&self, text: &str) -> Bits {
        // Letters that patterns take for `s` and `k`, which literals don't.
        if !text.is_ascii() && text.contains(['\u{17f}', '\u{212a}']) {
            return self.all;
        }
        let mut open = self.always;
        for hit in self.literals.find_overlapping_iter(text) {
            open |= self.opens[hit.pattern().as_usize()];
        }
        let seen = Seen::of(text.as_bytes(), &self.signs);
        open |= seen.signs;
        for &(shape, bits) in &self.shapes {
            if seen.has(shape, text, &self.domains) {
                open |= bits;
            }
        }
        open
    }
}

/// What one look at the bytes of a text says.
#[derive(Default)]
struct Seen {
    signs: Bits,
    row: usize,
    groups: bool,
    account: bool,
    pairs: bool,
    points: usize,
    dashes: usize,
    colons: usize,
    two_colons: bool,
    dot: bool,
}

impl Seen {
    fn of(bytes: &[u8], signs: &[Bits; 256]) -> Self {
        let mut seen = Seen::default();
        let mut row = 0;
        let at = |at: usize| bytes.get(at).copied().unwrap_or_default();
        let digit = |i: usize| at(i).is_ascii_digit();
        for (i, &byte) in bytes.iter().enumerate() {
            seen.signs |= signs[usize::from(byte)];
            match byte {
                b'A'..=b'Z' => {
                    row += 1;
                    seen.account |= at(i + 1).is_ascii_uppercase() && digit(i + 2) && digit(i + 3);
                }
                b'a'..=b'z' | b'0'..=b'9' | b'_' | b'+' | b'/' | b'=' => row += 1,
                b'-' => {
                    row += 1;
                    seen.dashes += usize::from(i > 0 && digit(i - 1) && digit(i + 1));
                    seen.between(bytes, i);
                }
                b' ' => {
                    row = 0;
                    seen.between(bytes, i);
                }
                b'.' => {
                    row = 0;
                    seen.dot = true;
                    seen.points += usize::from(i > 0 && digit(i - 1) && digit(i + 1));
                }
                b':' => {
                    row = 0;
                    seen.colons += 1;
                    seen.two_colons |= at(i + 1) == b':';
                    seen.pairs |=
                        matches!(at(i + 3), b':' | b'-') && matches!(at(i + 6), b':' | b'-');
                }
                _ => row = 0,
            }
            seen.row = seen.row.max(row);
        }
        seen
    }

    /// A sign that stands between groups of four digits, or between pairs.
    fn between(&mut self, bytes: &[u8], i: usize) {
        let digits = |range: std::ops::Range<usize>| {
            bytes.get(range).is_some_and(|four| four.iter().all(u8::is_ascii_digit))
        };
        self.groups |= i >= 4 && digits(i - 4..i) && digits(i + 1..i + 5);
        let sign = |at: usize| bytes.get(at).is_some_and(|b| matches!(b, b':' | b'-'));
        self.pairs |= bytes[i] == b'-' && sign(i + 3) && sign(i + 6);
    }

    fn has(&self, shape: Shape, text: &str, domains: &BTreeSet<&'static str>) -> bool {
        match shape {
            Shape::Literal => true,
            Shape::Row => self.row >= ROW_MIN,
            Shape::Groups => self.groups,
            Shape::Account => self.account,
            Shape::Pairs => self.pairs,
            Shape::V4 => self.points >= 3,
            Shape::V6 => self.two_colons || self.colons >= 6,
            Shape::Dashes => self.dashes >= 3,
            Shape::Domain => {
                self.dot
                    && labels(text).any(|(label, _)| {
                        // Some patterns end where a dash begins.
                        let label = label.split('-').next().unwrap_or(label);
                        label.len() <= 16 && domains.contains(label.to_ascii_lowercase().as_str())
                    })
            }
            Shape::Port => {
                self.dot
                    && labels(text).any(|(_, rest)| {
                        let mut rest = rest.bytes();
                        rest.next() == Some(b':') && rest.next().is_some_and(|b| b.is_ascii_digit())
                    })
            }
        }
    }
}

/// The labels that stand behind points, with what is behind them.
fn labels(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices('.').filter_map(|(at, _)| {
        let rest = text.get(at + 1..)?;
        let sign = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let end = rest.bytes().position(|b| !sign(b)).unwrap_or(rest.len());
        (end > 0).then(|| rest.split_at(end))
    })
}
