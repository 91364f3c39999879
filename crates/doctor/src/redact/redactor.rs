//! Replaces what is known and what has a form, and remembers what by what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::RandomState;
use std::net::IpAddr;

use aho_corasick::AhoCorasick;
use sunup_evidence::snapshot::Snapshot;

use super::address;
use super::class::{Addresses, Class};
use super::find::{self, Span};
use super::known::{self, Known};

/// Values that are learnt of one input, bytes: beyond it nothing is redacted, but refused.
const LEARNT_BYTES_MAX: usize = 256 << 20;

/// Why nothing is redacted: half of it would be worse than none.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The automaton that finds known words.
    #[error("what is known can't be looked for: {0}")]
    Words(#[from] aho_corasick::BuildError),
    /// Too many values.
    #[error("it holds more than {} MiB of values to look for", LEARNT_BYTES_MAX >> 20)]
    TooMuch,
}

/// Replaces, and remembers what by what.
#[derive(Clone)]
pub struct Redactor {
    addresses: Addresses,
    known: Vec<Known>,
    words: AhoCorasick,
    given: HashMap<String, String>,
    numbers: BTreeMap<Class, u32>,
    /// Differs from run to run: from a mapped address one can't reckon back.
    key: RandomState,
    /// Values that were removed where they stand, to be found elsewhere.
    learnt: BTreeSet<(String, Class)>,
    learnt_bytes: usize,
    learning: bool,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it knows is what must not be shown.
        f.debug_struct("Redactor").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl Redactor {
    /// Knows the names and values of a snapshot.
    ///
    /// # Errors
    /// Where what it knows can't be looked for.
    pub fn new(snapshot: &Snapshot, addresses: Addresses) -> Result<Self, RedactError> {
        let known = known::of(snapshot, addresses);
        Ok(Redactor {
            addresses,
            words: AhoCorasick::new(known.iter().map(|k| k.text.as_str()))?,
            known,
            given: HashMap::new(),
            numbers: BTreeMap::new(),
            key: RandomState::new(),
            learnt: BTreeSet::new(),
            learnt_bytes: 0,
            learning: true,
        })
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
        let learnt = std::mem::take(&mut self.learnt);
        self.known = known::with(std::mem::take(&mut self.known), learnt);
        self.words = AhoCorasick::new(self.known.iter().map(|k| k.text.as_str()))?;
        // What was given while learning was given to texts that are not shown.
        self.given.clear();
        self.numbers.clear();
        Ok(())
    }

    /// Notes a value that was removed.
    pub(super) fn learn(&mut self, class: Class, value: &str) {
        if self.learning && self.learnt_bytes <= LEARNT_BYTES_MAX {
            self.learnt_bytes += value.len();
            self.learnt.insert((value.to_owned(), class));
        }
    }

    /// A text with everything replaced that is known or has the form of a secret.
    pub fn text(&mut self, text: &str) -> String {
        let spans = find::spans(text, &self.known, &self.words);
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
        if let Some(given) = self.given.get(text) {
            return given.clone();
        }
        let number = self.numbers.entry(class).or_default();
        *number += 1;
        let given = format!("{}-{number}", class.stem());
        self.given.insert(text.to_owned(), given.clone());
        given
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
        let namespace = labels.get(1).is_some_and(|label| {
            self.known.iter().any(|k| k.class == Class::Namespace && k.text == *label)
        });
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
