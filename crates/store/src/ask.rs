//! What is asked of a store, in terms that every store has.

use jiff::Timestamp;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Whose entries.
    pub place: Place,
    /// Of when.
    pub within: Window,
    /// Which of them.
    pub what: What,
    /// But for these, which are known already.
    pub except: Vec<Except>,
}

/// Entries of pods that somebody has already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Except {
    /// The pods' namespace.
    pub namespace: String,
    /// The pods.
    pub pods: Vec<String>,
    /// Only of this container.
    pub container: Option<String>,
    /// Only from then on.
    pub from: Option<Timestamp>,
}

/// Whose entries are wanted. Empty is everybody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The cluster's name.
    pub cluster: Option<String>,
    /// Its region or zone: one of these.
    pub locations: Vec<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// Only these pods.
    pub pods: Vec<String>,
    /// Only pods whose names begin so: those of a workload.
    pub pods_of: Option<String>,
}

impl Place {
    /// Whether a pod is among those that are wanted.
    pub(crate) fn takes(&self, namespace: &str, pod: &str) -> bool {
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && (self.pods.is_empty() || self.pods.iter().any(|wanted| wanted == pod))
            && self.pods_of.as_deref().is_none_or(|stem| pod.starts_with(stem))
    }
}

/// A span of time: from the first instant on, before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant behind it.
    pub until: Timestamp,
}

impl Window {
    /// What lies in both.
    #[must_use]
    pub fn cut(self, other: Window) -> Window {
        let from = self.from.max(other.from);
        Window { from, until: self.until.min(other.until).max(from) }
    }

    /// Whether nothing lies in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.from >= self.until
    }
}

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Lines of containers that hold one of these texts (ASCII, any case).
    Lines(Vec<&'static str>),
    /// Kubernetes events: the warnings, or all others.
    Events {
        /// Warnings only, else those that are none.
        warnings: bool,
    },
    /// What a filter of the store's own language matches.
    Filter(String),
}

impl What {
    /// In a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            What::Lines(_) => "logs",
            What::Events { .. } => "events",
            What::Filter(_) => "entries",
        }
    }
}
