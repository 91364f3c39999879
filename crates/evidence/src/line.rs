//! What one log line means to a pod's start.

use std::sync::Arc;

use jiff::Timestamp;

use crate::record::LogLine;
use crate::scope::Scope;

/// A line that means something, owned, ready to be folded in file order.
#[derive(Debug, Clone)]
pub struct Noticed {
    /// When it was written.
    pub at: Option<Timestamp>,
    /// Whose it is: namespace, pod, container, previous.
    pub container: Arc<ContainerKey>,
    /// The text, cut to [`TEXT_MAX`] bytes.
    pub text: Box<str>,
    /// Line of the file, from 1.
    pub line: u64,
}

/// Whose log a line is from, owned.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey {
    /// Namespace.
    pub namespace: Option<String>,
    /// Pod.
    pub pod: Option<String>,
    /// Container.
    pub container: Option<String>,
    /// From the dead container's log.
    pub previous: bool,
    /// Topmost owner (kind, name) where an export's labels say it.
    pub controller: Option<(String, String)>,
    /// The pod's template hash where an export's labels say it.
    pub template_hash: Option<String>,
}

/// How much of a line is kept, bytes.
pub const TEXT_MAX: usize = 4096;

/// Literals (ASCII, any case), one of which is in every line that [`notice`] could keep. A raw
/// line with none of them need not be parsed.
pub fn literals() -> Vec<&'static str> {
    let mut all = crate::refused::LITERALS.to_vec();
    all.extend(["istio-proxy"]);
    all
}

/// Says whether a line is worth keeping. Pure and cheap: readers call it in parallel.
#[must_use]
pub fn notice(_line: &LogLine<'_>, _scope: &Scope) -> Option<Noticed> {
    None
}
