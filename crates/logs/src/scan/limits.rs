//! How much is held.

/// How much is read at once and how long one entry may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes per block. Default 4 MiB.
    pub block_bytes: usize,
    /// Longest entry, or line, that is taken; longer ones are reported and skipped.
    /// Default 16 MiB (Cloud Logging itself takes no entry above 256 KiB).
    pub entry_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { block_bytes: 4 << 20, entry_bytes_max: 16 << 20 }
    }
}
