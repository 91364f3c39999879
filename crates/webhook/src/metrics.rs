//! Counters and one histogram, in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in microseconds.
const BUCKETS_US: [u64; 12] =
    [25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];

/// What a review came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A patch was returned.
    Patched,
    /// Allowed as it is.
    Passed,
    /// Refused, with a reason.
    Denied,
    /// No AdmissionReview, or not ready: an HTTP error.
    Failed,
}

const OUTCOMES: [(Outcome, &str); 4] = [
    (Outcome::Patched, "patched"),
    (Outcome::Passed, "passed"),
    (Outcome::Denied, "denied"),
    (Outcome::Failed, "failed"),
];

/// What is refused to a client, so that others are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    /// Its connection's place was taken by a newcomer.
    Place,
    /// Its handshake took too long.
    Handshake,
    /// It sent no request for too long.
    Idle,
    /// The head of its request took too long.
    Head,
    /// The body did.
    Body,
    /// The body's memory was given to others.
    Memory,
}

const SHED: [(Shed, &str); 6] = [
    (Shed::Place, "place"),
    (Shed::Handshake, "handshake"),
    (Shed::Idle, "idle"),
    (Shed::Head, "head"),
    (Shed::Body, "body"),
    (Shed::Memory, "memory"),
];

/// All metrics of a server.
#[derive(Debug, Default)]
pub struct Metrics {
    outcomes: [AtomicU64; 4],
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
    shed: [AtomicU64; 6],
    pub(crate) dry_runs: AtomicU64,
    pub(crate) warnings: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    /// Certificates installed, and those that couldn't be.
    pub(crate) certificates: AtomicU64,
    pub(crate) certificates_refused: AtomicU64,
    /// Settings installed, and those that couldn't be.
    pub(crate) settings: AtomicU64,
    pub(crate) settings_refused: AtomicU64,
}

impl Metrics {
    pub(crate) fn review(&self, outcome: Outcome, took: Duration) {
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.iter().position(|bound| us <= *bound).unwrap_or(BUCKETS_US.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// Counts what was refused to a client, so that others are served.
    pub(crate) fn shed(&self, what: Shed) {
        self.shed[what as usize].fetch_add(1, Relaxed);
    }

    /// Reviews answered so far.
    #[must_use]
    pub fn reviews(&self) -> u64 {
        self.outcomes.iter().map(|n| n.load(Relaxed)).sum()
    }

    /// The text that Prometheus scrapes. `certificate`: the seconds that are left of it;
    /// `body_bytes`: held of requests.
    #[must_use]
    pub fn text(&self, certificate: Option<i64>, body_bytes: usize) -> String {
        let mut out = String::with_capacity(4096);
        let name = "sunup_webhook_shed_total";
        family(&mut out, name, "counter", "What clients were refused, so that others are served.");
        for (what, reason) in SHED {
            let n = self.shed[what as usize].load(Relaxed);
            let _ = writeln!(out, "{name}{{reason=\"{reason}\"}} {n}");
        }
        family(&mut out, "sunup_webhook_reviews_total", "counter", "Reviews by their outcome.");
        for (outcome, name) in OUTCOMES {
            let n = self.outcomes[outcome as usize].load(Relaxed);
            let _ = writeln!(out, "sunup_webhook_reviews_total{{outcome=\"{name}\"}} {n}");
        }
        let name = "sunup_webhook_review_seconds";
        family(&mut out, name, "histogram", "Time from the whole request to the whole answer.");
        let mut so_far = 0;
        for (i, bucket) in self.buckets.iter().enumerate() {
            so_far += bucket.load(Relaxed);
            let bound = match BUCKETS_US.get(i) {
                Some(us) => (Duration::from_micros(*us).as_secs_f64()).to_string(),
                None => "+Inf".to_owned(),
            };
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {so_far}");
        }
        let sum = Duration::from_micros(self.sum_us.load(Relaxed)).as_secs_f64();
        let _ = writeln!(out, "{name}_sum {sum}\n{name}_count {so_far}");
        for (what, kind, help, value) in [
            ("dry_runs_total", "counter", "Reviews of dry runs.", &self.dry_runs),
            ("warnings_total", "counter", "Warnings given.", &self.warnings),
            ("panics_total", "counter", "Reviews that met a bug of ours.", &self.panics),
            ("connections", "gauge", "Open connections.", &self.connections),
            ("in_flight", "gauge", "Reviews being answered.", &self.in_flight),
            (
                "handshakes_failed_total",
                "counter",
                "TLS handshakes that failed.",
                &self.handshakes_failed,
            ),
            ("certificates_total", "counter", "Certificates taken into use.", &self.certificates),
            (
                "certificates_refused_total",
                "counter",
                "Certificates that could not be used; the one before stays.",
                &self.certificates_refused,
            ),
            ("settings_total", "counter", "Settings taken into use.", &self.settings),
            (
                "settings_refused_total",
                "counter",
                "Settings that could not be used; those before stay.",
                &self.settings_refused,
            ),
        ] {
            let name = format!("sunup_webhook_{what}");
            family(&mut out, &name, kind, help);
            let _ = writeln!(out, "{name} {}", value.load(Relaxed));
        }
        let name = "sunup_webhook_body_bytes";
        family(&mut out, name, "gauge", "Bytes held of the bodies of requests.");
        let _ = writeln!(out, "{name} {body_bytes}");
        let name = "sunup_webhook_certificate_expiry_seconds";
        let help = "Until the certificate in use expires; negative once it has.";
        family(&mut out, name, "gauge", help);
        if let Some(left) = certificate {
            let _ = writeln!(out, "{name} {left}");
        }
        out
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Metrics::default();
        metrics.review(Outcome::Patched, Duration::from_micros(30));
        metrics.review(Outcome::Denied, Duration::from_secs(7));
        let text = metrics.text(Some(-3), 0);
        for line in [
            "sunup_webhook_reviews_total{outcome=\"patched\"} 1",
            "sunup_webhook_review_seconds_bucket{le=\"0.000025\"} 0",
            "sunup_webhook_review_seconds_bucket{le=\"0.00005\"} 1",
            "sunup_webhook_review_seconds_bucket{le=\"1\"} 1",
            "sunup_webhook_review_seconds_bucket{le=\"+Inf\"} 2",
            "sunup_webhook_review_seconds_count 2",
            "sunup_webhook_certificate_expiry_seconds -3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
