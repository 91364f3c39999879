//! Log lines and access log lines, written by one thread so that no worker waits for a slow
//! reader of our output. Where the queue is full, lines are dropped and counted.
//!
//! Knows nothing of connections; what a line says is its caller's affair.

use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that may wait: some hundred KiB at worst.
const QUEUE_LINES: usize = 4096;

/// How bad a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every detail.
    Debug,
    /// What an operator wants to see of a healthy proxy.
    Info,
    /// Something failed for one connection or was left out.
    Warn,
    /// The proxy can't do its job.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

enum Entry {
    Line(String),
    File(String, String),
    Flush(SyncSender<()>),
}

/// A handle on the writing thread; cheap to clone.
#[derive(Clone)]
pub(crate) struct Log {
    queue: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
    level: Level,
    json: bool,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("level", &self.level).field("json", &self.json).finish()
    }
}

impl Log {
    /// Starts the thread. Lines below `level` are left out.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start(
        out: Box<dyn Write + Send>,
        level: Level,
        json: bool,
    ) -> Result<Self, std::io::Error> {
        let (queue, entries) = sync_channel(QUEUE_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let build = std::thread::Builder::new().name("log".to_owned()).stack_size(128 * 1024);
        build.spawn(move || write(&entries, out))?;
        Ok(Self { queue, dropped, level, json })
    }

    /// One line, unless the level is too low.
    pub(crate) fn line(&self, level: Level, text: impl Display) {
        if level < self.level {
            return;
        }
        let time = jiff::Timestamp::now();
        let line = if self.json {
            let line = serde_json::json!({"level": level.name(), "time": format!("{time:.6}"),
                "scope": "proxy", "msg": text.to_string()});
            format!("{line}\n")
        } else {
            // Names of hosts come from peers: no line break of theirs begins a line of ours.
            let text = text.to_string().replace(['\n', '\r'], " ");
            format!("{time:.6}\t{}\tproxy\t{text}\n", level.name())
        };
        self.put(Entry::Line(line));
    }

    /// [`Log::line`] at level info.
    pub(crate) fn info(&self, text: impl Display) {
        self.line(Level::Info, text);
    }

    /// [`Log::line`] at level warn.
    pub(crate) fn warn(&self, text: impl Display) {
        self.line(Level::Warn, text);
    }

    /// [`Log::line`] at level error.
    pub(crate) fn error(&self, text: impl Display) {
        self.line(Level::Error, text);
    }

    /// A line of the access log, to our own output or to a file.
    pub(crate) fn access(&self, file: &str, line: String) {
        self.put(match file {
            "/dev/stdout" | "/dev/stderr" => Entry::Line(line),
            file => Entry::File(file.to_owned(), line),
        });
    }

    /// Lines that found the queue full.
    #[must_use]
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits, at most a second, until everything so far is written.
    pub(crate) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Entry::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(Duration::from_secs(1));
        }
    }

    fn put(&self, entry: Entry) {
        if self.queue.try_send(entry).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(entries: &Receiver<Entry>, mut out: Box<dyn Write + Send>) {
    let mut file: Option<(String, std::fs::File)> = None;
    while let Ok(entry) = entries.recv() {
        // Nobody can be told that the log itself can't be written.
        match entry {
            Entry::Line(line) => drop(out.write_all(line.as_bytes())),
            Entry::File(path, line) => {
                if file.as_ref().is_none_or(|(open, _)| *open != path) {
                    let opened = std::fs::File::options().append(true).create(true).open(&path);
                    file = opened.ok().map(|f| (path, f));
                }
                if let Some((_, file)) = &mut file {
                    let _ = file.write_all(line.as_bytes());
                }
            }
            Entry::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
    }
}
