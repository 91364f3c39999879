//! Reads files, archives and streams into evidence.
//!
//! What people hand over is recognised by its content, never by its name alone; a path is asked
//! only whose log a plain text is. Knows formats; must not know what a line means to a pod's
//! start (`sunup-evidence` does), nor any rule, nor the terminal.
//!
//! Logs are streamed in blocks and never held in memory. Blocks are read by the calling thread,
//! parsed in parallel and handed to the collector in the order of the file, so the outcome does
//! not depend on the number of threads. Kubernetes lists, YAML and pasted texts are held while
//! they are read.

mod alien;
mod attribution;
mod closed;
mod colours;
mod copied;
mod export;
mod file;
mod filter;
mod form;
mod front;
mod halves;
mod head;
mod input;
mod json;
mod kind;
mod known;
mod limits;
mod lists;
mod members;
mod message;
mod origin;
mod out;
mod parts;
mod payload;
mod proxies;
mod ready;
mod run;
mod search;
mod shape;
mod sniff;
mod tar;
mod text;
mod time;
mod unpack;
mod walk;
mod yaml;
mod zip;

use std::io::{self, Read};
use std::path::Path;

use sunup_evidence::collect::Collector;

pub use form::{FORMS, Form};
pub use input::{Input, Options, Progress, Summary};
pub use limits::Limits;
pub use shape::{Shape, says, shape};
pub use walk::{Source, Sources};

/// Reads everything into `collector`. Never fails as a whole: what cannot be read is told to
/// [`Collector::unreadable`] with its place and reason, and the rest is read.
pub fn read(inputs: Vec<Input>, options: &Options, collector: &mut Collector) -> Summary {
    run::Run::new(options, collector).all(inputs)
}

/// Every file that [`read`] would read of a path, and what it would leave out.
#[must_use]
pub fn sources(path: &Path) -> Sources {
    walk::sources(path)
}

/// A text as UTF-8, where it is UTF-16; any other as it is.
///
/// # Errors
/// What reading its first bytes gives.
pub fn as_utf8<'r>(reader: Box<dyn Read + 'r>) -> io::Result<Box<dyn Read + 'r>> {
    let (head, whole) = unpack::peek(reader, 4)?;
    Ok(match unpack::utf16(&head) {
        Some(order) => Box::new(unpack::Utf16::new(whole, order)),
        None => Box::new(whole),
    })
}

/// Opens a file, decompressing gzip, Zstandard, xz and bzip2 by content.
///
/// # Errors
/// What the system reports; a directory is [`io::ErrorKind::IsADirectory`].
pub fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    unpack::open(path)
}
