//! What is to be looked into, and when: the earliest first.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::trouble::Trouble;

/// A trouble of an owner that has this uid.
pub(crate) type Item = (String, Trouble);

#[derive(Debug, Default)]
pub(crate) struct Agenda {
    items: BTreeSet<(Duration, Item)>,
}

impl Agenda {
    pub(crate) fn put(&mut self, at: Duration, item: Item) {
        self.items.insert((at, item));
    }

    /// When the first one is due.
    pub(crate) fn first(&self) -> Option<Duration> {
        self.items.first().map(|(at, _)| *at)
    }

    /// The first one that is due, taken off.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Item> {
        if self.first()? > now {
            return None;
        }
        self.items.pop_first().map(|(_, item)| item)
    }
}
