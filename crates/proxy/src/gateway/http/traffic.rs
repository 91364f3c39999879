//! What moves on one connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of one connection, and whether they ceased to move.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) received: AtomicU64,
    pub(super) returned: AtomicU64,
    /// Nothing moved for the idle time, while a request was under way.
    pub(super) over: AtomicBool,
    /// A request is under way.
    begun: AtomicBool,
}

impl Traffic {
    /// A request begins.
    pub(super) fn begin(&self) {
        self.over.store(false, Ordering::Relaxed);
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.begun.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.returned.load(Ordering::Relaxed))
    }

    pub(super) fn sum(&self) -> u64 {
        let (received, returned) = self.now();
        received + returned
    }
}
