//! What to collect, and what came of it.

use std::collections::HashSet;
use std::time::Duration;

use sunup_evidence::gap::Gap;

use crate::request::Trouble;

/// What to collect.
#[derive(Debug, Clone)]
pub struct Question {
    /// Only this namespace; `None` is all of them.
    pub namespace: Option<String>,
    /// Only pods with these labels, as kubectl writes it.
    pub selector: Option<String>,
    /// Only the pods of this workload: kind as in manifests, and name. Needs a namespace.
    pub workload: Option<(String, String)>,
    /// Of those, only the pods with these uids.
    pub pods: Option<HashSet<String>>,
    /// Where the mesh's own settings are.
    pub mesh_namespace: String,
    /// How long each query may take: a list with all its pages, a log.
    pub within: Duration,
    /// Logs that are read at once.
    pub at_once: usize,
    /// Bytes of each log, from its beginning: start-up is told there.
    pub log_bytes: usize,
    /// Bytes of a list's page that are held; a longer page is asked for in parts.
    pub page_bytes: usize,
}

impl Default for Question {
    fn default() -> Self {
        Question {
            namespace: None,
            selector: None,
            workload: None,
            pods: None,
            mesh_namespace: "istio-system".to_owned(),
            within: Duration::from_secs(30),
            at_once: 16,
            log_bytes: 1 << 20,
            page_bytes: 64 << 20,
        }
    }
}

/// A file such as kubectl would write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its path below the folder it would be kept in.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Of what.
    pub of: Of,
}

/// What a file of a cluster's holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// Objects of this kind, as a list.
    Objects(&'static str),
    /// A container's log.
    Log(Box<Log>),
    /// What was collected, and what could not be had.
    Collection,
}

/// A container's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Log {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Of the run before this one.
    pub previous: bool,
}

/// How collecting went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Pods that were listed.
    pub pods: usize,
    /// Logs that were read.
    pub logs: usize,
    /// Logs that are longer than was read of them.
    pub cut: usize,
    /// What could not be had.
    pub gaps: Vec<Gap>,
}

/// Why nothing could be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Nothing else would have been answered either.
    #[error("{0}")]
    Trouble(#[from] Trouble),
    /// The workload that was named isn't there.
    #[error("there is no {kind} `{name}` in namespace {namespace}")]
    NoSuchWorkload {
        /// Kind.
        kind: Box<str>,
        /// Name.
        name: Box<str>,
        /// Where it was looked for.
        namespace: Box<str>,
    },
}
