//! What is read, how, and what came of it.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use sunup_api::report::Read as WasRead;
use sunup_evidence::scope::Scope;

use crate::limits::Limits;

/// Something to read.
pub enum Input {
    /// A file or a directory.
    Path(PathBuf),
    /// A stream that can be read once.
    Stdin(Box<dyn Read + Send>),
    /// Files that lie in no folder yet, with their paths: what a cluster gave.
    Pieces(Box<dyn Iterator<Item = (String, Vec<u8>)> + Send>),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Input::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Input::Stdin(_) => f.write_str("Stdin"),
            Input::Pieces(_) => f.write_str("Pieces"),
        }
    }
}

/// How to read.
#[derive(Clone, Default)]
pub struct Options {
    /// What was asked for; entries that cannot belong to it are skipped early.
    pub scope: Scope,
    /// Told how far reading has come.
    pub progress: Option<Arc<dyn Progress>>,
    /// How much is read of what takes memory or time out of proportion.
    pub limits: Limits,
    /// Worker threads; 0 means as many as the machine has cores.
    pub threads: usize,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("scope", &self.scope)
            .field("limits", &self.limits)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// Somebody who watches. Called from the reading thread only.
pub trait Progress: Send + Sync {
    /// Bytes on disk that will be read; said once, before the first of them. Streams don't count.
    fn total(&self, bytes: u64);
    /// So many more bytes have been read (as they are on disk, still compressed).
    fn advance(&self, bytes: u64);
    /// This file is being read now.
    fn file(&self, name: &str);
}

/// What was read, for telling "nothing found" from "nothing to read".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files, members of archives among them.
    pub files: u64,
    /// Those of which nothing was read, since it is no evidence or not recognised.
    pub ignored: u64,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Log entries or lines that were worth keeping.
    pub lines: u64,
    /// Events.
    pub events: u64,
    /// Kubernetes objects.
    pub objects: u64,
    /// Rows of tables, but for those of events.
    pub rows: u64,
    /// Containers of which there is a log, as far as lines were looked at or the path says whose it is.
    pub logs: u64,
    /// Problems that were reported to the collector.
    pub unreadable: u64,
    /// Links and folders that were left out, by name, and why: they lead out of what was handed over.
    pub left_out: Vec<(String, String)>,
    /// What was made of the input: read as what, not recognised, passed over.
    pub read: WasRead,
}

impl Summary {
    /// Whether anything was read that can bear on a pod's start.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines + self.events + self.objects + self.rows + self.logs == 0
    }
}
