//! Texts that are known, found wherever they stand. There may be millions of them, each of which costs
//! little more than its own bytes.
//!
//! A long one is found by its first eight bytes: a set of bits says whether any begins so, and the list,
//! which is in order, which one. A short one is looked for only where a word begins and ends.

use std::collections::HashMap;

use super::known::Known;
use super::span::{Span, stands_alone};

/// Bytes by which a long text is found.
const LEAD: usize = 8;
/// No text that begins another.
const NONE: u32 = u32::MAX;

/// Texts, and how they are found.
#[derive(Clone, Default)]
pub(super) struct Words {
    /// In the order of their bytes.
    known: Vec<Known>,
    /// For each the longest other that it begins with.
    begins: Vec<u32>,
    /// Bits of the first eight bytes of long ones.
    leads: Vec<u64>,
    /// Those shorter than that.
    short: HashMap<u64, u32>,
    /// Bits of the first two bytes of short ones.
    pairs: Vec<u64>,
}

impl Words {
    /// `known` in the order of their texts, each once.
    pub(super) fn new(known: Vec<Known>) -> Self {
        let bits = (known.len() * 16).next_power_of_two().clamp(1 << 12, 1 << 30);
        let mut words = Words {
            begins: Vec::with_capacity(known.len()),
            leads: vec![0; bits / 64],
            short: HashMap::new(),
            pairs: vec![0; (1 << 16) / 64],
            known: Vec::new(),
        };
        let mut open: Vec<u32> = Vec::new();
        for (number, one) in known.iter().enumerate() {
            let bytes = one.text.as_bytes();
            while let Some(&last) = open.last()
                && !one.text.starts_with(&known[last as usize].text)
            {
                open.pop();
            }
            words.begins.push(open.last().copied().unwrap_or(NONE));
            open.push(number as u32);
            match bytes.first_chunk::<LEAD>() {
                Some(lead) => {
                    let bit = words.bit(u64::from_le_bytes(*lead));
                    words.leads[bit / 64] |= 1 << (bit % 64);
                }
                None => {
                    words.short.insert(packed(bytes), number as u32);
                    let pair = pair(bytes);
                    words.pairs[pair / 64] |= 1 << (pair % 64);
                }
            }
        }
        words.known = known;
        words
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn into_known(self) -> Vec<Known> {
        self.known
    }

    fn bit(&self, lead: u64) -> usize {
        let bits = self.leads.len() * 64;
        // Fibonacci's hashing: the upper bits of a product are as good as any.
        (lead.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits.trailing_zeros())) as usize
    }

    /// Where known texts stand in a text.
    pub(super) fn find(&self, text: &str, found: &mut Vec<Span>) {
        if self.known.is_empty() {
            return;
        }
        let bytes = text.as_bytes();
        let mut before = ' ';
        for at in 0..bytes.len() {
            if !text.is_char_boundary(at) {
                continue;
            }
            let rest = &bytes[at..];
            if let Some(lead) = rest.first_chunk::<LEAD>() {
                let bit = self.bit(u64::from_le_bytes(*lead));
                if self.leads[bit / 64] >> (bit % 64) & 1 == 1 {
                    self.long(text, at, found);
                }
            }
            if !before.is_alphanumeric() && !self.short.is_empty() {
                self.short(text, at, found);
            }
            before = match bytes[at] {
                byte if byte.is_ascii() => char::from(byte),
                _ => text[at..].chars().next().unwrap_or(' '),
            };
        }
    }

    /// Known texts of eight bytes and more that begin at a place.
    fn long(&self, text: &str, at: usize, found: &mut Vec<Span>) {
        let rest = &text[at..];
        // Whatever begins `rest` begins the greatest known text that is not greater than `rest`.
        let behind = self.known.partition_point(|one| one.text.as_str() <= rest);
        let mut number = behind.checked_sub(1).map_or(NONE, |last| last as u32);
        while number != NONE {
            let one = &self.known[number as usize];
            number = self.begins[number as usize];
            if one.text.len() < LEAD || !rest.starts_with(&one.text) {
                continue;
            }
            let span = Span { range: at..at + one.text.len(), class: one.class };
            if stands_alone(text, &span.range, span.class) {
                let sure = span.class.is_secret();
                found.push(span);
                if sure {
                    return;
                }
            }
        }
    }

    /// Those shorter than that, which are words.
    fn short(&self, text: &str, at: usize, found: &mut Vec<Span>) {
        let bytes = &text.as_bytes()[at..];
        let pair = pair(bytes);
        if self.pairs[pair / 64] >> (pair % 64) & 1 == 0 {
            return;
        }
        for len in 1..LEAD.min(bytes.len() + 1) {
            let range = at..at + len;
            if let Some(&number) = self.short.get(&packed(&bytes[..len]))
                && let class = self.known[number as usize].class
                && stands_alone(text, &range, class)
            {
                found.push(Span { range, class });
            }
        }
    }
}

fn pair(bytes: &[u8]) -> usize {
    let byte = |at: usize| usize::from(bytes.get(at).copied().unwrap_or_default());
    byte(0) << 8 | byte(1)
}

/// Up to seven bytes and how many they are.
fn packed(bytes: &[u8]) -> u64 {
    let head = bytes.iter().take(LEAD - 1).fold(0, |all, byte| all << 8 | u64::from(*byte));
    head << 8 | bytes.len() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::redact::class::Class;

    proptest! {
        /// Wherever a known text stands alone, a span begins that is as long or longer.
        #[test]
        fn every_place_is_found(
            known in proptest::collection::btree_set("[ab ./é-]{3,12}", 0..40),
            text in "[ab ./é-]{0,60}",
            class in prop_oneof![Just(Class::Token), Just(Class::Object)],
        ) {
            let texts: BTreeSet<String> = known;
            let all = texts.iter().map(|text| Known { text: text.clone(), class }).collect();
            let mut found = Vec::new();
            Words::new(all).find(&text, &mut found);
            for span in &found {
                prop_assert!(texts.contains(&text[span.range.clone()]));
                prop_assert!(stands_alone(&text, &span.range, class));
            }
            for one in &texts {
                for (at, _) in text.char_indices().filter(|(at, _)| text[*at..].starts_with(one.as_str())) {
                    let range = at..at + one.len();
                    let covered = |span: &Span| span.range.start == at && span.range.end >= range.end;
                    prop_assert!(
                        !stands_alone(&text, &range, class) || found.iter().any(covered),
                        "{one:?} at {at} of {text:?}: {found:?}"
                    );
                }
            }
        }
    }
}
