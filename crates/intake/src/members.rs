//! What is done with the members of an archive, whatever its kind.

use std::io::Read;

/// A longer name is no file's: what it is for is to take memory.
pub(crate) const NAME_MAX: usize = 4096;

/// A member that is named and not read, and why.
pub(crate) struct Unread {
    pub(crate) name: String,
    pub(crate) why: String,
}

impl Unread {
    pub(crate) fn new(name: &str, why: &str) -> Self {
        Unread { name: name.to_owned(), why: why.to_owned() }
    }

    /// The name is too long; its beginning stands for it.
    pub(crate) fn named_too_long(name: &[u8]) -> Self {
        let begin = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
        let why = format!("a name of more than {NAME_MAX} bytes: the member is not read");
        Unread { name: format!("{begin}…"), why }
    }
}

/// What is done with the members.
pub(crate) trait Members {
    /// Reads one; what it leaves is passed over. `false` ends the archive.
    fn member(&mut self, name: &str, bytes: &mut dyn Read) -> bool;
    /// Is told of one that can't be read. `false` ends the archive.
    fn unread(&mut self, unread: Unread) -> bool;
}
