//! Keeping the earliest or the latest of many entries. Knows times and bytes only.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// The place of an entry in time: those without one come last, ties keep the input's order.
type Key = (bool, Option<Timestamp>, u64);

/// A line number and the entry's bytes.
type Entry = (u64, Vec<u8>);

type Entries = BTreeMap<Key, Entry>;

/// The first and the last so many of all entries offered.
#[derive(Debug)]
pub(super) struct Selection {
    first: Option<Kept>,
    last: Option<Kept>,
    offered: u64,
}

#[derive(Debug)]
struct Kept {
    room: usize,
    entries: Entries,
}

impl Selection {
    pub(super) fn new(first: Option<usize>, last: Option<usize>) -> Self {
        let kept = |room| Kept { room, entries: BTreeMap::new() };
        Self { first: first.map(kept), last: last.map(kept), offered: 0 }
    }

    pub(super) fn offer(&mut self, time: Option<Timestamp>, line: u64, bytes: &[u8]) {
        let order = self.offered;
        self.offered += 1;
        if let Some(first) = &mut self.first {
            first.offer((time.is_none(), time, order), line, bytes, BTreeMap::pop_last);
        }
        if let Some(last) = &mut self.last {
            // Seen from the other end, an entry without a time is still the last to be taken.
            last.offer((time.is_some(), time, order), line, bytes, BTreeMap::pop_first);
        }
    }

    /// Oldest first; with both ends asked for, the first ones and then the last ones, each once.
    pub(super) fn into_sorted(self) -> Vec<Entry> {
        let mut all = BTreeMap::new();
        for kept in [self.first, self.last].into_iter().flatten() {
            for ((_, time, order), entry) in kept.entries {
                all.insert((time.is_none(), time, order), entry);
            }
        }
        all.into_values().collect()
    }
}

impl Kept {
    fn offer(
        &mut self,
        key: Key,
        line: u64,
        bytes: &[u8],
        drop: fn(&mut Entries) -> Option<(Key, Entry)>,
    ) {
        self.entries.insert(key, (line, bytes.to_vec()));
        if self.entries.len() > self.room {
            drop(&mut self.entries);
        }
    }
}
