//! A place that was searched for, so that the same bytes are not searched twice.

/// What is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cached {
    Unknown,
    At(usize),
    Never,
}

impl Cached {
    /// The next place at or behind `from`, searched for anew only when it has been passed.
    pub(super) fn next_at(
        &mut self,
        from: usize,
        find: impl Fn(usize) -> Option<usize>,
    ) -> Option<usize> {
        let stale = match self {
            Cached::Unknown => true,
            Cached::At(at) => *at < from,
            Cached::Never => false,
        };
        if stale {
            *self = find(from).map_or(Cached::Never, Cached::At);
        }
        match self {
            Cached::At(at) => Some(*at),
            _ => None,
        }
    }
}
