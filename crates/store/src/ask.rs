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
}

/// Whose entries are wanted. Empty is everybody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The cluster's name.
    pub cluster: Option<String>,
    /// Its region or zone.
    pub location: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// Only these pods.
    pub pods: Vec<String>,
    /// Only pods whose names begin so: those of a workload.
    pub pods_of: Option<String>,
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

/// A text in double quotes, as both Cloud Logging's language and LogQL have it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Names and literals hold none; whatever is handed over stays one term of one line.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
