//! Folds what readers hand over into one picture. State grows with containers, not with lines.

use std::sync::Arc;

use crate::line::{ContainerKey, Noticed};
use crate::object::{Manifest, Object};
use crate::record::{Event, Place};
use crate::scope::Scope;

/// Takes evidence in any order of files; lines of one file in their order.
#[derive(Debug, Default)]
pub struct Collector {
    scope: Scope,
}

impl Collector {
    /// A collector for what was asked for.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Collector { scope }
    }

    /// What was asked for.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// A line that [`crate::line::notice`] kept.
    pub fn line(&mut self, file: &Arc<str>, noticed: Noticed) {
        let _ = (file, noticed);
    }

    /// The input holds a log of this container, whether or not a line of it was kept.
    pub fn container_seen(&mut self, file: &Arc<str>, container: &ContainerKey) {
        let _ = (file, container);
    }

    /// An event.
    pub fn event(&mut self, event: Event) {
        let _ = event;
    }

    /// An object, and where it came from.
    pub fn object(&mut self, object: Object, manifest: Manifest) {
        let _ = (object, manifest);
    }

    /// A piece of input that could not be read.
    pub fn unreadable(&mut self, place: Place, why: String) {
        let _ = (place, why);
    }
}
