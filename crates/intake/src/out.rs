//! What one block of a file gave, in its order, until the collector takes it.

use std::borrow::Cow;
use std::collections::HashSet;

use sunup_evidence::line::{ContainerKey, Noticed};
use sunup_evidence::object::{Manifest, Object};
use sunup_evidence::record::{ContainerRef, Event};

/// One thing found.
pub(crate) enum Item {
    Line(Noticed),
    Seen(ContainerKey),
    Event(Event),
    Object(Box<(Object, Manifest)>),
    /// A template that is no YAML before it is rendered: the line of its first action.
    Template(u64),
    /// A broken line and why.
    Bad(Option<u64>, String),
}

/// Everything found in one block.
#[derive(Default)]
pub(crate) struct Out {
    pub(crate) items: Vec<Item>,
    seen: HashSet<ContainerKey>,
}

impl Out {
    pub(crate) fn bad(&mut self, line: u64, why: impl Into<String>) {
        self.items.push(Item::Bad(Some(line), why.into()));
    }

    /// Notes whose log this is, once per block.
    pub(crate) fn seen(&mut self, container: &ContainerRef<'_>) {
        if container.pod.is_none() && container.container.is_none() {
            return;
        }
        let key = owned(container);
        if !self.seen.contains(&key) {
            self.seen.insert(key.clone());
            self.items.push(Item::Seen(key));
        }
    }
}

/// An owned copy of whose log it is.
pub(crate) fn owned(container: &ContainerRef<'_>) -> ContainerKey {
    let text = |t: &Option<Cow<'_, str>>| t.as_deref().map(str::to_owned);
    ContainerKey {
        namespace: text(&container.namespace),
        pod: text(&container.pod),
        container: text(&container.container),
        previous: container.previous,
        controller: container
            .controller
            .as_ref()
            .map(|(kind, name)| (kind.to_string(), name.to_string())),
        template_hash: text(&container.template_hash),
    }
}

/// The same, borrowed.
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
