//! What is kept of one container's log: bounded, whatever its length, and in time order.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::line::{Noticed, Sign, cut};
use crate::record::Place;
use crate::refused::{Destination, FalseFriend, Joined, Refused, Strength};
use crate::time::Known;

/// A line that was kept, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When, where known.
    pub at: Option<Timestamp>,
    /// Where.
    pub place: Place,
    /// The text.
    pub text: Box<str>,
    /// `at` is an upper bound: the last words of a container, known by when it ended.
    pub last_words: bool,
}

impl Sample {
    pub(crate) fn of(file: &Arc<str>, noticed: &Noticed) -> Self {
        Sample {
            at: noticed.at,
            place: Place { entry: noticed.entry.clone(), ..Place::new(file, noticed.line) },
            text: noticed.text.clone(),
            last_words: false,
        }
    }

    /// When, as well as it is known.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        let at = self.at?;
        Some(if self.last_words {
            Known::not_after(at, &self.place)
        } else {
            Known::exact(at, &self.place)
        })
    }
}

/// Refusals of one destination, close to each other in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst {
    /// The destinations that the lines name; empty where they name none.
    pub destinations: Vec<Destination>,
    /// The strongest form among them.
    pub strength: Strength,
    /// Id of the form of the first one.
    pub form: &'static str,
    /// How many.
    pub count: u64,
    /// The earliest ones, then the latest ones, in time order: the middle of a long row is dropped.
    pub samples: Vec<Sample>,
}

/// Samples of a burst that are kept: this many of its beginning and of its end.
const ENDS: usize = 4;
/// Refusals of one destination that are further apart belong to different bursts. Shorter than any
/// back-off's ceiling, longer than a client's usual retry period.
const GAP: SignedDuration = SignedDuration::from_secs(15);
/// Bursts kept per container.
const BURSTS_MAX: usize = 256;
/// Marks kept per container and kind.
const MARKS_MAX: usize = 128;
/// Lines kept per container and phrase.
const PHRASES_MAX: usize = 24;
/// How much of such a line is kept: an access log's telling fields stand at its end.
const PHRASE_BYTES: usize = 900;

impl Burst {
    /// The first one.
    #[must_use]
    pub fn first(&self) -> &Sample {
        &self.samples[0]
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> &Sample {
        &self.samples[self.samples.len() - 1]
    }

    /// Whether every destination it names is the pod itself.
    #[must_use]
    pub fn loopback(&self) -> bool {
        self.as_refused().loopback()
    }

    fn as_refused(&self) -> Refused {
        Refused {
            strength: self.strength,
            destinations: self.destinations.clone(),
            form: self.form,
            span: 0..0,
        }
    }

    fn takes(&self, refused: &Refused, at: Option<Timestamp>) -> bool {
        if self.destinations != refused.destinations {
            return false;
        }
        match (at, self.first().at, self.last().at) {
            (Some(at), Some(first), Some(last)) => at >= first - GAP && at <= last + GAP,
            (None, None, _) => true,
            _ => false,
        }
    }

    fn add(&mut self, sample: Sample, refused: &Refused) {
        self.count += 1;
        if refused.strength == Strength::Strong {
            self.strength = Strength::Strong;
        }
        let i = self.samples.partition_point(|s| s.at <= sample.at);
        self.samples.insert(i, sample);
        if self.samples.len() > 2 * ENDS {
            self.samples.remove(ENDS);
        }
    }
}

/// Instants of one kind, thinned out where there are many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(Vec<Sample>);

impl Marks {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.keep(sample, 300, MARKS_MAX);
    }

    /// Lines whose text is read again are kept longer; of lines that traffic writes, a few will do.
    pub(crate) fn add_of(&mut self, sign: Sign, sample: Sample) {
        match sign {
            Sign::Reset | Sign::Timeout | Sign::NameFailure => self.add(sample),
            _ => self.keep(sample, PHRASE_BYTES, PHRASES_MAX),
        }
    }

    fn keep(&mut self, mut sample: Sample, bytes: usize, max: usize) {
        sample.text = cut(&sample.text, bytes).into();
        let i = self.0.partition_point(|s| s.at <= sample.at);
        self.0.insert(i, sample);
        if self.0.len() > max {
            // Both ends stay; every other one between goes. What is lost is only tightness.
            let last = self.0.len() - 1;
            let mut i = 0;
            self.0.retain(|_| {
                i += 1;
                i - 1 == 0 || i - 1 == last || (i - 1) % 2 == 0
            });
        }
    }

    /// In time order; those without a time first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Sample> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A listener that could not be bound for want of permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindDenied {
    /// `0.0.0.0`, `[::]` …
    pub address: String,
    /// Port.
    pub port: u16,
    /// The first line that says so.
    pub sample: Sample,
    /// How many lines say so.
    pub count: u64,
}

/// What is kept of one container's log, dead instances included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerLog {
    /// Refused connections.
    pub refusals: Vec<Burst>,
    /// Refusals that are nobody's start-up fault, first of each kind.
    pub friends: BTreeMap<FalseFriend, (Sample, Option<Refused>)>,
    /// The proxy said that it is ready.
    pub ready: Marks,
    /// The proxy said that it is not.
    pub not_ready: Marks,
    /// The proxy's agent began.
    pub starts: Marks,
    /// Listeners that could not be bound for want of permission.
    pub bind_denied: Vec<BindDenied>,
    /// What else lines said: resets, timeouts, and what only one rule asks for.
    pub symptoms: BTreeMap<Sign, Marks>,
    /// Files that hold a log of it.
    pub files: Vec<Arc<str>>,
    /// Whether a log of a dead instance is among them.
    pub previous: bool,
}

impl ContainerLog {
    /// All lines that are kept of it, in no order; one may come several times.
    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        let refused = self.refusals.iter().flat_map(|burst| &burst.samples);
        let friends = self.friends.values().map(|(sample, _)| sample);
        let marks = [&self.ready, &self.not_ready, &self.starts].into_iter();
        let marks = marks.chain(self.symptoms.values()).flat_map(Marks::iter);
        let bound = self.bind_denied.iter().map(|denied| &denied.sample);
        refused.chain(friends).chain(marks).chain(bound)
    }

    /// Notes that a file holds a log of it.
    pub(crate) fn of_file(&mut self, file: &Arc<str>) {
        // Kept in order; nearly always it is the file of the line before.
        if self.files.last().is_some_and(|last| Arc::ptr_eq(last, file)) {
            return;
        }
        if let Err(at) = self.files.binary_search(file) {
            self.files.insert(at, Arc::clone(file));
        }
    }

    /// A refusal, complete; one that is nobody's start-up fault is kept apart, the first of its kind.
    pub(crate) fn joined(&mut self, sample: Sample, joined: Joined) {
        let Some(kind) = joined.false_friend else {
            return self.refused(sample, &joined.refused);
        };
        match self.friends.get(&kind) {
            Some((known, _)) if known.at <= sample.at => {}
            _ => drop(self.friends.insert(kind, (sample, Some(joined.refused)))),
        }
    }

    pub(crate) fn refused(&mut self, sample: Sample, refused: &Refused) {
        if let Some(burst) = self.refusals.iter_mut().find(|b| b.takes(refused, sample.at)) {
            burst.add(sample, refused);
            return;
        }
        if self.refusals.len() == BURSTS_MAX {
            // Hundreds of destinations: what came first tells of the start, the rest is counted.
            if let Some(last) = self.refusals.last_mut() {
                last.count += 1;
            }
            return;
        }
        self.refusals.push(Burst {
            destinations: refused.destinations.clone(),
            strength: refused.strength,
            form: refused.form,
            count: 1,
            samples: vec![sample],
        });
    }

    pub(crate) fn sign(&mut self, sample: &Sample, noticed: &Noticed) {
        let signs = noticed.signs;
        if signs.has(Sign::ProxyNotReady) {
            self.not_ready.add(sample.clone());
        } else if signs.has(Sign::ProxyReady) {
            self.ready.add(sample.clone());
        }
        if signs.has(Sign::ProxyStart) {
            self.starts.add(sample.clone());
        }
        for sign in signs.iter().filter(|s| s.is_symptom()) {
            self.symptoms.entry(sign).or_default().add_of(sign, sample.clone());
        }
        if signs.has(Sign::BindDenied) {
            for (address, port) in bind_denied(&sample.text) {
                let full = self.bind_denied.len() >= MARKS_MAX;
                match self.bind_denied.iter_mut().find(|b| b.port == port && b.address == address) {
                    Some(known) => {
                        known.count += 1;
                        if sample.at < known.sample.at {
                            known.sample = sample.clone();
                        }
                    }
                    None if full => {}
                    None => {
                        let sample = sample.clone();
                        self.bind_denied.push(BindDenied { address, port, sample, count: 1 });
                    }
                }
            }
        }
    }

    /// Puts what another input said of the same container beside it.
    pub(crate) fn absorb(&mut self, other: ContainerLog) {
        for burst in other.refusals {
            let refused = burst.as_refused();
            let beyond = burst.count - burst.samples.len() as u64;
            for sample in burst.samples {
                self.refused(sample, &refused);
            }
            if let Some(b) =
                self.refusals.iter_mut().rfind(|b| b.destinations == refused.destinations)
            {
                b.count += beyond;
            }
        }
        for (kind, sample) in other.friends {
            self.friends.entry(kind).or_insert(sample);
        }
        for (into, from) in [
            (&mut self.ready, other.ready),
            (&mut self.not_ready, other.not_ready),
            (&mut self.starts, other.starts),
        ] {
            from.0.into_iter().for_each(|s| into.add(s));
        }
        for (sign, marks) in other.symptoms {
            let into = self.symptoms.entry(sign).or_default();
            marks.0.into_iter().for_each(|s| into.add_of(sign, s));
        }
        for denied in other.bind_denied {
            match self.bind_denied.iter_mut().find(|b| b.port == denied.port) {
                Some(known) => known.count += denied.count,
                None => self.bind_denied.push(denied),
            }
        }
        for file in &other.files {
            self.of_file(file);
        }
        self.previous |= other.previous;
    }

    /// Sorted by time, so that the order of the input does not matter.
    pub(crate) fn settle(&mut self) {
        self.refusals.sort_by(|a, b| {
            (a.first().at, &a.first().place).cmp(&(b.first().at, &b.first().place))
        });
        // Out-of-order input may have begun two bursts that turned out to touch.
        let mut settled: Vec<Burst> = Vec::with_capacity(self.refusals.len());
        for burst in std::mem::take(&mut self.refusals) {
            let touching = settled.iter_mut().rfind(|b| {
                b.destinations == burst.destinations
                    && matches!((b.last().at, burst.first().at), (Some(end), Some(start)) if start <= end + GAP)
            });
            match touching {
                Some(b) => {
                    b.count += burst.count;
                    if burst.strength == Strength::Strong {
                        b.strength = Strength::Strong;
                    }
                    b.samples.extend(burst.samples);
                    b.samples.sort_by(|x, y| (x.at, &x.place).cmp(&(y.at, &y.place)));
                    while b.samples.len() > 2 * ENDS {
                        b.samples.remove(ENDS);
                    }
                }
                None => settled.push(burst),
            }
        }
        self.refusals = settled;
        self.bind_denied.sort_by(|a, b| (a.port, &a.address).cmp(&(b.port, &b.address)));
    }
}

/// Addresses in `cannot bind '0.0.0.0:80': Permission denied`. A refusal for another reason
/// (`Address already in use`, `Cannot assign requested address`) is another fault.
///
/// # Sources
/// Envoy `source/common/network/tcp_listener_impl.cc` and `listen_socket_impl.cc`:
/// `cannot bind '{}': {}` with the text of `strerror`.
#[must_use]
pub fn bind_denied(text: &str) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(i) = find_ignoring_case(rest, "cannot bind") {
        rest = &rest[i + "cannot bind".len()..];
        // Quotes differ by version and by what a page's editor made of them.
        let quote = |c: char| matches!(c, '\'' | '"' | '‘' | '’' | '“' | '”' | '`' | '\\');
        let body = rest.trim_start_matches(|c: char| c.is_whitespace() || quote(c));
        let end = body.find(|c: char| c.is_whitespace() || quote(c)).unwrap_or(body.len());
        let (address, after) = body.split_at(end);
        let reason = after.trim_start_matches(|c: char| c.is_whitespace() || quote(c) || c == ':');
        let denied = find_ignoring_case(cut(reason, 40), "permission denied") == Some(0);
        let address = address.trim_end_matches(':');
        if let (true, Some((host, port))) = (denied, address.rsplit_once(':'))
            && let Ok(port) = port.parse()
        {
            found.push((host.to_owned(), port));
        }
    }
    found
}

/// Where `needle` (lower-case ASCII) first stands in `text`, in any case.
pub(crate) fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    text.windows(needle.len()).position(|w| w.eq_ignore_ascii_case(needle))
}

/// The beginning of a text, up to the first character that ends it.
pub(crate) fn cut_at(text: &str, ends: impl Fn(char) -> bool) -> &str {
    &text[..text.find(ends).unwrap_or(text.len())]
}
