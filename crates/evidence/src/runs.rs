//! Events that say the same over and over, and the run that one more of them belongs to, found
//! without looking at every run there is. Knows how events are told apart, not what they say.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use jiff::Timestamp;

use crate::record::{Event, Place};

/// The same event, over and over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRun {
    /// What it says.
    pub event: Event,
    /// When it was said, in time order.
    pub occurrences: Vec<Occurrence>,
}

/// One record of an event; the API counts repetitions in one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    /// First.
    pub first: Option<Timestamp>,
    /// Last.
    pub last: Option<Timestamp>,
    /// Where.
    pub place: Option<Place>,
    /// How often.
    pub count: u32,
}

/// Records of one event that are kept.
const OCCURRENCES_MAX: usize = 64;

impl EventRun {
    pub(crate) fn new(event: Event) -> Self {
        // Most events come once.
        let mut run = EventRun { occurrences: Vec::with_capacity(1), event };
        let first = run.event.clone();
        run.add(&first);
        run
    }

    pub(crate) fn is_of(&self, other: &Event) -> bool {
        let e = &self.event;
        e.container == other.container
            && e.reason == other.reason
            && e.message == other.message
            && e.kind == other.kind
            && e.name == other.name
            && e.namespace == other.namespace
    }

    pub(crate) fn add(&mut self, event: &Event) {
        let occurrence = Occurrence {
            first: event.first.or(event.last),
            last: event.last.or(event.first),
            place: event.place.clone(),
            count: event.count.max(1),
        };
        let i = self.occurrences.partition_point(|o| o <= &occurrence);
        self.occurrences.insert(i, occurrence);
        self.leave_out_the_middle();
    }

    /// Puts what another input has of the same event beside it.
    pub(crate) fn absorb(&mut self, other: Vec<Occurrence>) {
        self.occurrences.extend(other);
        self.occurrences.sort();
        self.leave_out_the_middle();
    }

    /// The first and the last records tell most.
    fn leave_out_the_middle(&mut self) {
        let beyond = self.occurrences.len().saturating_sub(OCCURRENCES_MAX);
        if beyond > 0 {
            let middle = OCCURRENCES_MAX / 2;
            self.occurrences.drain(middle..middle + beyond);
        }
    }

    pub(crate) fn settle(&mut self) {
        self.occurrences.dedup();
        if let Some(first) = self.occurrences.first() {
            self.event.first = first.first;
            self.event.place.clone_from(&first.place);
        }
        self.event.last = self.occurrences.iter().filter_map(|o| o.last).max();
    }

    pub(crate) fn order(&self) -> impl Ord + use<'_> {
        (self.event.first, &self.event.place, &self.event.container, &self.event.message)
    }

    /// Every instant at which it is known to have happened, with its record's place.
    pub fn instants(&self) -> impl Iterator<Item = (Timestamp, Option<&Place>)> {
        self.occurrences.iter().flat_map(|o| {
            let last = if o.last == o.first { None } else { o.last };
            [o.first, last].into_iter().flatten().map(|t| (t, o.place.as_ref()))
        })
    }
}

/// Places of runs in a list, by what tells events apart. One of these serves one list, which only
/// grows, and one of the two ways of telling events apart.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    places: HashMap<u64, Vec<usize>>,
    /// Runs that are in it.
    known: usize,
}

impl Runs {
    /// Adds an event to the run it repeats, or begins one.
    pub(crate) fn add(&mut self, runs: &mut Vec<EventRun>, event: Event) {
        let key = |e: &Event| hash((&e.message, &e.name, &e.namespace));
        match self.find(runs, &event, key, |run| run.is_of(&event)) {
            Some(at) => runs[at].add(&event),
            None => runs.push(EventRun::new(event)),
        }
    }

    /// Puts other runs of one pod beside those that are known: there the message and the container
    /// tell events apart.
    pub(crate) fn merge(&mut self, runs: &mut Vec<EventRun>, more: Vec<EventRun>) {
        for run in more {
            let same = |known: &EventRun| {
                known.event.message == run.event.message
                    && known.event.container == run.event.container
            };
            let key = |e: &Event| hash((&e.message, &e.container));
            match self.find(runs, &run.event, key, same) {
                Some(at) => runs[at].absorb(run.occurrences),
                None => runs.push(run),
            }
        }
    }

    fn find(
        &mut self,
        runs: &[EventRun],
        event: &Event,
        key: impl Fn(&Event) -> u64,
        same: impl Fn(&EventRun) -> bool,
    ) -> Option<usize> {
        for (at, run) in runs.iter().enumerate().skip(self.known) {
            self.places.entry(key(&run.event)).or_default().push(at);
        }
        self.known = runs.len();
        let places = self.places.get(&key(event))?;
        places.iter().copied().find(|at| runs.get(*at).is_some_and(&same))
    }
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(count: u32) -> Occurrence {
        Occurrence { first: None, last: None, place: None, count }
    }

    #[test]
    fn what_another_input_has_of_an_event_stands_beside_it_up_to_the_limit() {
        for (own, others) in [(1, 1), (2, 40), (OCCURRENCES_MAX, OCCURRENCES_MAX)] {
            let mut run = EventRun::new(Event::default());
            run.occurrences = (1..).take(own).map(at).collect();
            run.absorb((1_000..).take(others).map(at).collect());
            assert_eq!(run.occurrences.len(), (own + others).min(OCCURRENCES_MAX));
            assert_eq!(run.occurrences.first(), Some(&at(1)));
            assert_eq!(run.occurrences.last().map(|o| o.count), Some(999 + others as u32));
        }
    }
}
