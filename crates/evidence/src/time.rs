//! Instants as well as they are known.

use jiff::{SignedDuration, Timestamp};
use sunup_api::report::{Precision, TimelineEntry};

/// An instant that is known to lie in `lo..=hi`; an open end is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Not before.
    pub lo: Option<Timestamp>,
    /// Not after.
    pub hi: Option<Timestamp>,
    /// How the source gives it.
    pub precision: Precision,
    /// Where it says so.
    pub source: String,
}

/// Status fields and events are cut to the second: what happened at 41.9 is written 41.
///
/// # Sources
/// `k8s.io/apimachinery/pkg/apis/meta/v1.Time` marshals as RFC 3339 without fractions.
pub const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl Known {
    /// To the digits given: container logs.
    #[must_use]
    pub fn exact(at: Timestamp, source: impl ToString) -> Self {
        let source = source.to_string();
        Known { lo: Some(at), hi: Some(at), precision: Precision::Exact, source }
    }

    /// To the second: status and events.
    #[must_use]
    pub fn second(at: Timestamp, source: impl ToString) -> Self {
        let source = source.to_string();
        Known { lo: Some(at), hi: Some(at + SECOND), precision: Precision::Second, source }
    }

    /// Not before.
    #[must_use]
    pub fn not_before(at: Timestamp, source: impl ToString) -> Self {
        let source = source.to_string();
        Known { lo: Some(at), hi: None, precision: Precision::NotBefore, source }
    }

    /// Not after.
    #[must_use]
    pub fn not_after(at: Timestamp, source: impl ToString) -> Self {
        let source = source.to_string();
        Known { lo: None, hi: Some(at), precision: Precision::NotAfter, source }
    }

    /// Between two instants.
    #[must_use]
    pub fn between(lo: Timestamp, hi: Timestamp, source: impl ToString) -> Self {
        let source = source.to_string();
        Known { lo: Some(lo), hi: Some(hi), precision: Precision::Between, source }
    }

    /// As a line of a report's timeline.
    #[must_use]
    pub fn entry(&self, what: impl Into<String>) -> TimelineEntry {
        let (at, until) = match self.precision {
            Precision::NotAfter => (self.hi, None),
            Precision::Between => (self.lo, self.hi),
            _ => (self.lo, None),
        };
        TimelineEntry {
            at: at.map(show),
            until: until.map(show),
            precision: self.precision,
            what: what.into(),
            source: self.source.clone(),
        }
    }
}

/// RFC 3339 in UTC, with the digits that sources write: none, milli-, micro- or nanoseconds. A
/// container log's `…04.800000090Z` stays as it is, to be found again by its text.
#[must_use]
pub fn show(at: Timestamp) -> String {
    match at.subsec_nanosecond().unsigned_abs() {
        0 => format!("{at:.0}"),
        ns if ns % 1_000_000 == 0 => format!("{at:.3}"),
        ns if ns % 1_000 == 0 => format!("{at:.6}"),
        _ => format!("{at:.9}"),
    }
}

/// An RFC 3339 text of the API, where it is one.
#[must_use]
pub fn parse(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_the_digits_of_their_source() {
        for text in [
            "2026-11-02T10:00:04Z",
            "2026-11-02T10:00:04.800Z",
            "2026-11-02T10:00:04.800001Z",
            "2026-11-02T10:00:04.800000090Z",
        ] {
            assert_eq!(show(text.parse().unwrap()), text);
        }
    }
}
