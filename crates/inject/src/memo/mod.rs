//! Injections remembered by the pod's shape. Pods of one shape differ in words that the injector
//! passes on; their patches differ in the same words and in nothing else, so that one of them,
//! with holes, serves all.
//!
//! A patch with holes comes from a real injection of a pod with stand-ins ([`taint`]). It is used
//! only if nothing looked at a stand-in, if no text shows that mustn't, and if, filled in, it is
//! byte for byte the patch of the pod it was made for. What fails any of this is injected anew
//! each time, as without a memory.

mod recall;
mod shape;
pub(crate) mod taint;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use serde_json::{Map, Value, json};

use crate::decide::Decision;
use crate::owner::Owner;
use crate::request::Answer;
use shape::{Kind, MARKS, Shape};

/// Bytes of one generation of memories; there are two.
const BYTES_MAX: usize = 6 << 20;

/// Patches by shape.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    generations: RwLock<Generations>,
}

/// The younger is written; when it is full it becomes the older, and what was only in the older
/// is forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Box<[u8]>, Arc<Entry>>,
    old: HashMap<Box<[u8]>, Arc<Entry>>,
    bytes: usize,
}

#[derive(Debug)]
enum Entry {
    /// Every pod of this shape is injected anew.
    Never,
    /// What becomes of every pod of this shape.
    Always(Box<Outcome>),
}

#[derive(Debug)]
struct Outcome {
    decision: Decision,
    warnings: Vec<String>,
    /// The patch; none where nothing changes.
    pieces: Option<Vec<Piece>>,
    /// Words that a pod of this shape must not have, by hole.
    not_equal: Vec<(usize, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<[u8]>),
    Hole(usize),
}

/// A pod ready to be looked up.
struct Known<'a> {
    key: Vec<u8>,
    shape: Shape<'a>,
    owner: Owner,
    /// The hole that the owner's name fills, where it isn't part of the key.
    owner_hole: Option<usize>,
}

impl Known<'_> {
    fn word(&self, hole: usize) -> &str {
        match self.shape.holes.get(hole) {
            Some(hole) => hole.text,
            None => &self.owner.name,
        }
    }

    /// The pod with stand-ins in its holes; `None` where it says something that looks like one.
    fn symbolic(&self) -> Option<String> {
        let whole = std::str::from_utf8(&self.shape.text).ok()?;
        if self.shape.holes.len() >= 10_usize.pow(4)
            || [taint::WORD, taint::OPAQUE, "40000"].iter().any(|s| whole.contains(s))
        {
            return None;
        }
        let mut out = String::with_capacity(whole.len() * 2);
        let mut place = 0;
        for c in whole.chars() {
            let kind = MARKS.iter().find(|(mark, _)| u32::from(*mark) == u32::from(c));
            let Some((_, kind)) = kind else {
                out.push(c);
                continue;
            };
            let text = stand_in(*kind, place);
            place += 1;
            match kind {
                Kind::Number => out.push_str(&text),
                _ => out.extend(["\"", &text, "\""]),
            }
        }
        Some(out)
    }
}

fn stand_in(kind: Kind, place: usize) -> String {
    let number = taint::NUMBER + place as u64;
    match kind {
        Kind::Word => format!("{}{place:04}{}", taint::WORD, taint::END),
        Kind::Opaque => format!("{}{place:04}{}", taint::OPAQUE, taint::END),
        Kind::Number | Kind::Digits => number.to_string(),
    }
}

/// The owner, from what the scan has kept.
fn owner(facts: &shape::Facts<'_>) -> Option<Owner> {
    let mut metadata = Map::new();
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            metadata.insert(key.to_owned(), value.into());
        }
    };
    put("name", facts.name);
    put("generateName", facts.generate_name);
    put("namespace", facts.namespace);
    if !facts.owners.is_empty() {
        let owners = serde_json::from_str(facts.owners).ok()?;
        metadata.insert("ownerReferences".to_owned(), owners);
    }
    let labels: Map<String, Value> =
        facts.owner_labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
    metadata.insert("labels".to_owned(), labels.into());
    Some(Owner::of_pod(&json!({ "metadata": metadata })))
}

/// A patch cut at its stand-ins; `None` where one shows that mustn't.
fn pieces(patch: &[u8]) -> Option<Vec<Piece>> {
    let all = pieces_of(patch)?;
    let hidden = all.iter().any(|piece| match piece {
        Piece::Text(text) => contains(text, taint::OPAQUE) || contains(text, taint::WORD),
        Piece::Hole(_) => false,
    });
    (!hidden).then_some(all)
}

fn contains(text: &[u8], what: &str) -> bool {
    text.windows(what.len()).any(|w| w == what.as_bytes())
}

fn pieces_of(text: &[u8]) -> Option<Vec<Piece>> {
    let (mut out, mut from, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let found = if rest.starts_with(taint::WORD.as_bytes()) {
            let digits = taint::WORD.len()..taint::WORD.len() + taint::PLACE;
            let end = digits.end + taint::END.len();
            let place = number(rest.get(digits)?)?;
            (rest.get(end - taint::END.len()..end)? == taint::END.as_bytes())
                .then_some((place, end))
        } else if rest.starts_with(b"40000") {
            // Ten digits, and no eleventh.
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let place =
                number(&rest[..digits])?.checked_sub(usize::try_from(taint::NUMBER).ok()?)?;
            (digits == 10).then_some((place, 10))
        } else {
            at += 1;
            continue;
        };
        let (place, length) = found?;
        out.push(Piece::Text(text[from..at].into()));
        out.push(Piece::Hole(place));
        at += length;
        from = at;
    }
    out.push(Piece::Text(text[from..].into()));
    Some(out)
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Outcome {
    fn fits(&self, known: &Known<'_>) -> bool {
        self.not_equal.iter().all(|(hole, text)| known.word(*hole) != text)
    }

    fn filled(&self, known: &Known<'_>) -> Answer {
        let patch = self.pieces.as_ref().map(|pieces| {
            let mut out = Vec::with_capacity(4096);
            for piece in pieces {
                match piece {
                    Piece::Text(text) => out.extend_from_slice(text),
                    Piece::Hole(hole) => out.extend_from_slice(known.word(*hole).as_bytes()),
                }
            }
            out
        });
        Answer {
            decision: self.decision.clone(),
            patch,
            warnings: self.warnings.clone(),
            mended: None,
        }
    }

    fn size(&self) -> usize {
        let pieces = self.pieces.iter().flatten();
        pieces
            .map(|piece| match piece {
                Piece::Text(text) => text.len() + 32,
                Piece::Hole(_) => 32,
            })
            .sum()
    }
}

impl Memo {
    fn get(&self, key: &[u8]) -> Option<Arc<Entry>> {
        {
            let all = self.generations.read().unwrap_or_else(|e| e.into_inner());
            if let Some(entry) = all.young.get(key) {
                return Some(Arc::clone(entry));
            }
            all.old.get(key)?;
        }
        // Still in use: it moves on to the younger.
        let mut all = self.generations.write().unwrap_or_else(|e| e.into_inner());
        let (key, entry) = all.old.remove_entry(key)?;
        all.insert(key, Arc::clone(&entry));
        Some(entry)
    }

    fn put(&self, key: Vec<u8>, entry: Entry) {
        let mut all = self.generations.write().unwrap_or_else(|e| e.into_inner());
        all.insert(key.into_boxed_slice(), Arc::new(entry));
    }
}

impl Generations {
    fn insert(&mut self, key: Box<[u8]>, entry: Arc<Entry>) {
        let size = match &*entry {
            Entry::Never => 0,
            Entry::Always(outcome) => outcome.size(),
        };
        self.bytes += key.len() + size + 128;
        if self.bytes > BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.bytes = key.len() + size + 128;
        }
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
impl Memo {
    /// Shapes that are shared, and shapes that are injected anew.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let all = self.generations.read().unwrap();
        let shared = |e: &&Arc<Entry>| matches!(***e, Entry::Always(_));
        let every = || all.young.values().chain(all.old.values());
        (every().filter(shared).count(), every().filter(|e| !shared(e)).count())
    }
}

#[cfg(test)]
mod tests;
