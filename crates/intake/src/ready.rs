//! Bytes that a reader has made of what it read, on their way to whoever reads it.

/// What is ready, and how much of it was given.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    bytes: Vec<u8>,
    given: usize,
}

impl Ready {
    /// Whether all of it was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.given == self.bytes.len()
    }

    /// Room for what comes next; what was not given is gone.
    pub(crate) fn refill(&mut self) -> &mut Vec<u8> {
        self.bytes.clear();
        self.given = 0;
        &mut self.bytes
    }

    /// Gives as much as there is room for; how much.
    pub(crate) fn give(&mut self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.bytes.len() - self.given);
        buf[..len].copy_from_slice(&self.bytes[self.given..self.given + len]);
        self.given += len;
        len
    }
}
