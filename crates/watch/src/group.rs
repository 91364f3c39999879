//! The pods of one owner, and what is wrong with them: each trouble once, whichever of them has it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pod::Owner;
use crate::rate::Rate;
use crate::trouble::Trouble;

/// Pods of a trouble that are remembered: where one has gone before it was looked into, another
/// shows the same.
const REMEMBERED: usize = 3;

/// Pods of one owner.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) owner: Owner,
    /// Pods that there are.
    pub(crate) pods: usize,
    /// How long the slowest of its pods took that came up in time.
    pub(crate) slowest: Option<Duration>,
    pub(crate) cases: BTreeMap<Trouble, Case>,
    /// Looks that it may still have.
    pub(crate) looks: Rate,
    /// When something was last heard to be wrong.
    pub(crate) heard: Duration,
    /// Whether a fault was proved in it.
    pub(crate) proved: bool,
}

/// One trouble of one owner's pods.
#[derive(Debug)]
pub(crate) struct Case {
    /// uids of pods that have it, the newest last; none where it is the owner's own.
    pub(crate) pods: Vec<String>,
    /// When it was heard of, for the first time since it last rested.
    pub(crate) first: Duration,
    /// Looks that were had since.
    pub(crate) looked: usize,
    /// Whether any of them has found anything.
    pub(crate) found: bool,
    /// Looks that failed since the last one that did not.
    pub(crate) failed: u32,
    pub(crate) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is on the agenda for then.
    Due(Duration),
    Looking,
    /// All looks were had, the last one then.
    Rests(Duration),
}

impl Group {
    pub(crate) fn new(owner: Owner, looks: Rate) -> Group {
        Group {
            owner,
            pods: 0,
            slowest: None,
            cases: BTreeMap::new(),
            looks,
            heard: Duration::ZERO,
            proved: false,
        }
    }

    /// Whether nothing of it has to be remembered.
    pub(crate) fn is_over(&self, now: Duration, remember: Duration) -> bool {
        let rests = |case: &Case| matches!(case.state, State::Rests(_));
        self.pods == 0
            && self.cases.values().all(rests)
            && now.saturating_sub(self.heard) > remember
    }
}

impl Case {
    pub(crate) fn new(now: Duration, due: Duration) -> Case {
        Case {
            pods: Vec::new(),
            first: now,
            looked: 0,
            found: false,
            failed: 0,
            state: State::Due(due),
        }
    }

    pub(crate) fn of(&mut self, pod: Option<&str>) {
        let Some(pod) = pod else { return };
        self.pods.retain(|known| known != pod);
        if self.pods.len() == REMEMBERED {
            self.pods.remove(0);
        }
        self.pods.push(pod.to_owned());
    }
}
