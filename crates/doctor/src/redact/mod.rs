//! Takes out of reports and evidence what is nobody else's business: tokens, environment values,
//! addresses, names of objects and hosts, mail addresses. The same text becomes the same stand-in
//! everywhere, so that what belongs together still does.
//!
//! A report is redacted as data, before any format draws it: no format can leak. Pure; what is
//! known of an input comes from its [`Snapshot`], what is not is recognised by its form.

mod address;
mod class;
mod find;
mod known;
mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::hash::RandomState;
use std::net::IpAddr;

use aho_corasick::AhoCorasick;
use sunup_evidence::snapshot::Snapshot;

use class::Class;
use find::Span;
use known::Known;

pub use class::Addresses;
pub use known::secret_values;

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
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it knows is what must not be shown.
        f.debug_struct("Redactor").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl Redactor {
    /// Knows the names and values of a snapshot; `more` are values that only the caller has seen,
    /// such as those of Secrets.
    #[must_use]
    pub fn new(snapshot: &Snapshot, more: &[String], addresses: Addresses) -> Self {
        let known = known::of(snapshot, more, addresses);
        let words = AhoCorasick::new(known.iter().map(|k| k.text.as_str()))
            .unwrap_or_else(|_| AhoCorasick::new([""; 0]).expect("no words make an automaton"));
        Redactor {
            addresses,
            known,
            words,
            given: HashMap::new(),
            numbers: BTreeMap::new(),
            key: RandomState::new(),
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

    fn stand_in(&mut self, class: Class, text: &str) -> String {
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
