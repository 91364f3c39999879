//! What one block of a file gave, in its order, until the collector takes it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use sunup_evidence::line::{ContainerKey, Noticed};
use sunup_evidence::listed::Listed;
use sunup_evidence::node_gate::{GateCount, NodeGate};
use sunup_evidence::object::{Manifest, Object};
use sunup_evidence::record::{ContainerRef, Entry, Event, Place};
use sunup_logs::scan::Broken;

/// One thing found.
pub(crate) enum Item {
    Line(Noticed),
    Seen(Arc<ContainerKey>),
    Event(Box<Event>),
    Object(Box<(Object, Manifest)>),
    /// A row of a table.
    Listed(Box<Listed>),
    /// What a node's agent says of a pod.
    NodeGate(Box<NodeGate>),
    /// What it counts.
    GateCount(Box<GateCount>),
    /// A template that is no YAML before it is rendered: the line of its first action.
    Template(u64),
    /// A broken line and why.
    Bad(Option<u64>, String),
    /// So many lines that could not be placed.
    Unplaced(u64),
}

impl Item {
    /// Moves an item to where its text stands within a longer one.
    pub(crate) fn shift(&mut self, to: impl Fn(u64) -> u64) {
        let moved = |place: &mut Place| {
            if let Some(line) = &mut place.line {
                *line = to(*line);
            }
        };
        match self {
            Item::Line(noticed) => noticed.line = to(noticed.line),
            Item::Event(event) => {
                if let Some(place) = &mut event.place {
                    moved(place);
                }
            }
            Item::Object(both) => moved(&mut both.1.place),
            Item::Listed(row) => moved(&mut row.place),
            Item::NodeGate(gate) => moved(&mut gate.place),
            Item::GateCount(count) => moved(&mut count.place),
            Item::Template(line) | Item::Bad(Some(line), _) => *line = to(*line),
            Item::Seen(_) | Item::Bad(None, _) | Item::Unplaced(_) => {}
        }
    }
}

impl Item {
    /// Says which entry of a log service it is.
    pub(crate) fn is_of(&mut self, entry: &Arc<Entry>) {
        match self {
            Item::Line(noticed) => noticed.entry = Some(Arc::clone(entry)),
            Item::Event(event) => {
                if let Some(place) = &mut event.place {
                    place.entry = Some(Arc::clone(entry));
                }
            }
            _ => {}
        }
    }
}

/// Everything found in one block.
#[derive(Default)]
pub(crate) struct Out {
    pub(crate) items: Vec<Item>,
    /// Marks of proxies whose log has been noted (see [`crate::proxies`]).
    pub(crate) proxies: HashSet<u64>,
    /// Whether a log has been noted since this was last set to `false`.
    pub(crate) noted: bool,
    /// Whether the zone of a time had to be assumed.
    pub(crate) assumed: bool,
    /// Whose logs have been noted.
    pub(crate) seen: HashSet<Arc<ContainerKey>>,
    /// The one that was noted last: the lines of a log follow each other.
    last: Option<Arc<ContainerKey>>,
}

impl Out {
    pub(crate) fn bad(&mut self, line: u64, why: impl Into<String>) {
        self.items.push(Item::Bad(Some(line), why.into()));
    }

    /// Notes lines that this form does not explain, so that they are not passed over in silence.
    pub(crate) fn unplaced(&mut self, lines: u64) {
        self.items.push(Item::Unplaced(lines));
    }

    /// Notes that an entry was understood, and that no pod wrote it.
    pub(crate) fn of_no_pod(&mut self) {
        self.items.push(Item::Unplaced(0));
    }

    /// Whether nothing was found but a template, which shows nothing before it is rendered.
    pub(crate) fn is_template(&self) -> bool {
        let template = |item: &Item| matches!(item, Item::Template(_));
        !self.items.is_empty() && self.items.iter().all(template)
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.items.push(Item::Event(Box::new(event)));
    }

    pub(crate) fn listed(&mut self, row: Listed) {
        self.items.push(Item::Listed(Box::new(row)));
    }

    /// Puts the pieces that the block could not be cut into in front.
    pub(crate) fn broken_first(&mut self, broken: &[Broken]) {
        let bad = |broken: &Broken| Item::Bad(Some(broken.line), broken.reason.to_string());
        self.items.splice(0..0, broken.iter().map(bad));
    }

    /// Notes whose log this is, once per file and block; the same key for all its lines.
    pub(crate) fn seen(
        &mut self,
        container: &ContainerRef<'_>,
        before: &HashSet<Arc<ContainerKey>>,
    ) -> Arc<ContainerKey> {
        self.noted = true;
        if let Some(last) = self.last.as_ref().filter(|last| borrowed(last) == *container) {
            return Arc::clone(last);
        }
        let key = ContainerKey::from(container);
        let key = match before.get(&key).or_else(|| self.seen.get(&key)) {
            Some(known) => Arc::clone(known),
            None => {
                let key = Arc::new(key);
                self.seen.insert(Arc::clone(&key));
                if container.pod.is_some() || container.container.is_some() {
                    self.items.push(Item::Seen(Arc::clone(&key)));
                }
                key
            }
        };
        self.last = Some(Arc::clone(&key));
        key
    }
}

/// Whose log it is, borrowed.
pub(crate) fn borrowed(key: &ContainerKey) -> ContainerRef<'_> {
    ContainerRef {
        namespace: key.namespace.as_deref().map(Cow::Borrowed),
        pod: key.pod.as_deref().map(Cow::Borrowed),
        container: key.container.as_deref().map(Cow::Borrowed),
        previous: key.previous,
        controller: key
            .controller
            .as_ref()
            .map(|(kind, name)| (Cow::Borrowed(kind.as_str()), Cow::Borrowed(name.as_str()))),
        template_hash: key.template_hash.as_deref().map(Cow::Borrowed),
    }
}
