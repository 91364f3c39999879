//! What readers hand over: log lines and events, each with the place it came from.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Where something was read: a file and, where it has lines, a line counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file relative to what was handed over; members of an archive as `archive/member`;
    /// standard input as `-`.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// Which entry of a log service stands there, where it is one.
    pub entry: Option<Arc<Entry>>,
}

/// What names an entry in the log service that has it (`google.logging.v2.LogEntry`): two entries with
/// the same log, timestamp and id are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// `logName`.
    pub log: Box<str>,
    /// `insertId`.
    pub id: Box<str>,
    /// `timestamp`, as it is written; empty where there is none.
    pub at: Box<str>,
}

impl Place {
    /// A line of a file.
    #[must_use]
    pub fn new(file: &Arc<str>, line: u64) -> Self {
        Place { file: Arc::clone(file), line: Some(line), entry: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Whose log a line is from, as far as the input says. Borrowed: a big export has millions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ContainerRef<'a> {
    /// Namespace.
    pub namespace: Option<Cow<'a, str>>,
    /// Pod.
    pub pod: Option<Cow<'a, str>>,
    /// Container.
    pub container: Option<Cow<'a, str>>,
    /// From `kubectl logs --previous` or a rotated file of the dead container.
    pub previous: bool,
    /// The topmost owner (kind, name) where the export's labels say it.
    pub controller: Option<(Cow<'a, str>, Cow<'a, str>)>,
    /// The pod's `pod-template-hash` label where the export has it.
    pub template_hash: Option<Cow<'a, str>>,
}

/// One line of a container's log (or one entry of an export, which may hold several lines).
#[derive(Debug, Clone)]
pub struct LogLine<'a> {
    /// Whose it is.
    pub container: ContainerRef<'a>,
    /// When it was written, nanosecond precision, by the node's clock. `None` where neither the
    /// format nor the text says it.
    pub at: Option<Timestamp>,
    /// The message. For a `jsonPayload` its message field where it has one, else the whole payload
    /// as compact JSON; without the runtime's or kubectl's prefix.
    pub text: Cow<'a, str>,
    /// Line of the file where the entry begins, from 1.
    pub line: u64,
}

/// A Kubernetes event, from the API, a table, an export or a pasted text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Namespace of the object it is about.
    pub namespace: Option<String>,
    /// Kind of that object (`Pod`, `ReplicaSet` …); empty where the text does not say.
    pub kind: String,
    /// Name of that object; `None` in texts that leave it out.
    pub name: Option<String>,
    /// Container, taken from the field path `spec.containers{name}` (init containers alike).
    pub container: Option<String>,
    /// Whether the field path was `spec.initContainers{…}`.
    pub init: bool,
    /// `Unhealthy`, `Started` …; empty where the text does not say.
    pub reason: String,
    /// Message, as it stands.
    pub message: String,
    /// `Warning`, as opposed to `Normal`.
    pub warning: bool,
    /// First occurrence. Events have a precision of one second unless `eventTime` gave more.
    pub first: Option<Timestamp>,
    /// Last occurrence.
    pub last: Option<Timestamp>,
    /// How often.
    pub count: u32,
    /// Topmost owner (kind, name) where an export's labels say it.
    pub controller: Option<(String, String)>,
    /// Where it was read.
    pub place: Option<Place>,
}
