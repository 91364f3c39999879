//! How long starts took that were seen to end well, by how the mesh starts them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pod::Mode;

/// Bounds of the histogram, in seconds.
pub(crate) const BOUNDS: [f64; 11] =
    [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 60.0, 120.0, 300.0];
/// How long starts took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) counts: [u64; BOUNDS.len()],
    pub(crate) count: u64,
    pub(crate) seconds: f64,
}

impl Histogram {
    pub(crate) fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.counts[at] += 1;
        }
        self.count += 1;
        self.seconds += seconds;
    }
}

/// Starts that were seen to end well, by mode.
pub(crate) type Starts = BTreeMap<Mode, Histogram>;
