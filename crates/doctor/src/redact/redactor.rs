//! Replaces what is known and what has a form, and remembers what by what.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::RandomState;
use std::net::IpAddr;

use sunup_evidence::snapshot::Snapshot;

use super::address;
use super::class::{Addresses, Class};
use super::find;
use super::known;
use super::span::Span;
use super::words::Words;

/// Values that are learnt of one input, bytes: beyond it nothing is redacted, but refused.
const LEARNT_BYTES_MAX: usize = 256 << 20;

/// Bytes of words whose stand-ins are remembered.
const REMEMBERED_MAX: usize = 16 << 20;

/// Why nothing is redacted: half of it would be worse than none.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// Too many values.
    #[error("it holds more than {} MiB of values to look for", LEARNT_BYTES_MAX >> 20)]
    TooMuch,
}

/// Replaces, and remembers what by what.
#[derive(Clone)]
pub struct Redactor {
    addresses: Addresses,
    words: Words,
    namespaces: HashSet<String>,
    /// The number of each stand-in that was given.
    given: HashMap<Box<str>, (Class, u32)>,
    /// Words of fields, and what they became: most fields of a log say the same in every entry.
    told: HashMap<String, String>,
    told_bytes: usize,
    numbers: BTreeMap<Class, u32>,
    /// Differs from run to run: from a mapped address one can't reckon back.
    key: RandomState,
    /// Values that were removed where they stand, to be found elsewhere.
    learnt: BTreeSet<(Box<str>, Class)>,
    learnt_bytes: usize,
    learning: bool,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it knows is what must not be shown.
        f.debug_struct("Redactor").field("known", &self.words.len()).finish_non_exhaustive()
    }
}

impl Redactor {
    /// Knows the names and values of a snapshot.
    #[must_use]
    pub fn new(snapshot: &Snapshot, addresses: Addresses) -> Self {
        let known = known::of(snapshot, addresses);
        let namespaces = known.iter().filter(|one| one.class == Class::Namespace);
        Redactor {
            addresses,
            namespaces: namespaces.map(|one| one.text.clone()).collect(),
            words: Words::new(known),
            given: HashMap::new(),
            told: HashMap::new(),
            told_bytes: 0,
            numbers: BTreeMap::new(),
            key: RandomState::new(),
            learnt: BTreeSet::new(),
            learnt_bytes: 0,
            learning: false,
        }
    }

    /// Reads evidence a first time: until [`Redactor::learnt`] what fields hold is noted, and texts
    /// stay as they are.
    #[must_use]
    pub fn learning(mut self) -> Self {
        self.learning = true;
        self
    }

    /// Ends learning: what was removed from fields so far is removed wherever it stands.
    ///
    /// # Errors
    /// Where there is too much of it.
    pub fn learnt(&mut self) -> Result<(), RedactError> {
        self.learning = false;
        if self.learnt_bytes > LEARNT_BYTES_MAX {
            return Err(RedactError::TooMuch);
        }
        // What was given while learning was given to texts that are not shown.
        self.given = HashMap::new();
        self.forget();
        self.numbers.clear();
        let learnt = std::mem::take(&mut self.learnt);
        let known = std::mem::take(&mut self.words).into_known();
        self.words = Words::new(known::with(known, learnt));
        Ok(())
    }

    /// What a word of a field became before.
    pub(super) fn before(&self, word: &str) -> Option<&String> {
        self.told.get(word)
    }

    /// Remembers what a word of a field became.
    pub(super) fn remember(&mut self, word: &str, told: &str) {
        self.told_bytes += word.len() + told.len();
        if self.told_bytes > REMEMBERED_MAX {
            self.forget();
        }
        self.told.insert(word.to_owned(), told.to_owned());
    }

    fn forget(&mut self) {
        self.told.clear();
        self.told_bytes = 0;
    }

    /// Notes a value that was removed.
    pub(super) fn learn(&mut self, class: Class, value: &str) {
        let room = self.learning && self.learnt_bytes <= LEARNT_BYTES_MAX;
        if room && self.learnt.insert((value.into(), class)) {
            self.learnt_bytes += value.len();
        }
    }

    /// A text that is only to be written: while values are learnt, none is.
    pub(super) fn shown(&mut self, text: &str) -> String {
        if self.learning { text.to_owned() } else { self.text(text) }
    }

    /// A text with everything replaced that is known or has the form of a secret.
    pub fn text(&mut self, text: &str) -> String {
        let spans = find::spans(text, &self.words);
        if spans.is_empty() {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for span in spans {
            out.push_str(&text[at..span.range.start]);
            out.push_str(&self.replaced(&text[span.range.clone()], &span));
            at = span.range.end;
        }
        out.push_str(&text[at..]);
        out
    }

    fn replaced(&mut self, text: &str, span: &Span) -> String {
        match span.class {
            Class::Ip => self.ip(text),
            Class::Host => self.host(text),
            class => self.stand_in(class, text),
        }
    }

    /// A name where it stands alone, such as a subject's: replaced even where it is a common word
    /// that is left alone in sentences.
    pub(crate) fn name(&mut self, class: Class, name: &str) -> String {
        if known::is_public(name) {
            return name.to_owned();
        }
        let through_text = self.text(name);
        if through_text == name { self.stand_in(class, name) } else { through_text }
    }

    pub(super) fn stand_in(&mut self, class: Class, text: &str) -> String {
        let (class, number) = match self.given.get(text) {
            Some(&given) => given,
            None => {
                let number = self.numbers.entry(class).or_default();
                *number += 1;
                self.given.insert(text.into(), (class, *number));
                (class, *number)
            }
        };
        format!("{}-{number}", class.stem())
    }

    fn ip(&mut self, text: &str) -> String {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, bits.parse::<u8>().ok()),
            None => (text, None),
        };
        let Ok(ip) = address.parse::<IpAddr>() else { return text.to_owned() };
        if address::is_public(ip, bits) {
            return text.to_owned();
        }
        let suffix = bits.map(|bits| format!("/{bits}")).unwrap_or_default();
        match self.addresses {
            Addresses::Named => format!("{}{suffix}", self.stand_in(Class::Ip, &ip.to_string())),
            Addresses::Mapped => format!("{}{suffix}", address::mapped(ip, bits, &self.key)),
        }
    }

    /// A name below a namespace is taken apart, so that it stays one; any other is one thing.
    fn host(&mut self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        if known::is_public(&lower) {
            return text.to_owned();
        }
        let labels: Vec<&str> = lower.trim_end_matches('.').split('.').collect();
        let in_cluster = labels.get(2) == Some(&"svc");
        let namespace = labels.get(1).is_some_and(|label| self.namespaces.contains(*label));
        if let [service, ns, rest @ ..] = labels.as_slice()
            && (in_cluster || (namespace && rest.is_empty()))
        {
            let service = self.name(Class::Service, service);
            let ns = self.name(Class::Namespace, ns);
            return [&[service.as_str(), ns.as_str()], rest].concat().join(".");
        }
        self.stand_in(Class::Host, &lower)
    }
}
