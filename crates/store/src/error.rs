//! What can go wrong with a question, in words that say what to do.

use std::time::Duration;

/// Why a store did not answer, after whatever repeating it could do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Trouble {
    /// The store's own refusal.
    #[error("{store} refuses ({code}): {message}")]
    Refused {
        /// Which store.
        store: &'static str,
        /// HTTP status.
        code: u16,
        /// In its words.
        message: Box<str>,
    },
    /// Nothing to be identified with.
    #[error("{0}")]
    Identity(Box<str>),
    /// No connection came about.
    #[error("{host} can't be reached: {why}")]
    Unreachable {
        /// Who.
        host: Box<str>,
        /// Why.
        why: Box<str>,
    },
    /// No complete answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The quota of reads stayed used up.
    #[error(
        "the quota of reads is used up, and stayed so for {} s: ask for less (-n, -w, --since), or \
         again later",
        .0.as_secs()
    )]
    Quota(Duration),
    /// An answer that is larger than is held in memory.
    #[error("an answer of more than {} MiB", .0 >> 20)]
    Huge(usize),
    /// An answer that is not what the API promises.
    #[error("an answer that is not of its API: {0}")]
    Garbled(Box<str>),
    /// A question that this store cannot be asked.
    #[error("{0}")]
    Unasked(Box<str>),
}

impl Trouble {
    /// HTTP status, where the store gave one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Trouble::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
