//! What an input is, and what is done with it.

use std::io::Write;
use std::path::Path;

/// One input, and what is done with it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What is asked of the command; the input's path follows.
    pub(crate) args: &'static [&'static str],
    pub(crate) input: Input,
}

/// Writes an input.
pub(crate) type Writer = Box<dyn Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync>;

/// How an input is handed over.
pub(crate) enum Input {
    /// A file of this name.
    File(&'static str, Writer),
    /// A folder that is filled.
    Folder(fn(&Path) -> std::io::Result<()>),
    /// Standard input.
    Pipe(Writer),
}
