//! What the proxy counts, and its Prometheus text. No socket, no clock.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Destinations that get a label of their own; the rest share `other`, so that a port scan can't
/// fill the memory.
const DESTINATIONS_MAX: usize = 1000;

/// Which way a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Direction {
    Outbound,
    Inbound,
    Gateway,
}

impl Direction {
    pub(crate) const ALL: [Self; 3] = [Self::Outbound, Self::Inbound, Self::Gateway];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Gateway => "gateway",
        }
    }
}

/// Counters of one direction.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    pub(crate) opened: AtomicU64,
    pub(crate) open: AtomicU64,
    /// From the peer that connected to us.
    pub(crate) received: AtomicU64,
    /// To that peer.
    pub(crate) sent: AtomicU64,
    pub(crate) waited: AtomicU64,
    pub(crate) waited_ms_max: AtomicU64,
}

/// HTTP counters of one destination.
#[derive(Debug, Default)]
pub(crate) struct Http {
    pub(crate) requests: [AtomicU64; 2],
    /// By protocol, then by first digit of the status; 0 is a status that couldn't be read.
    pub(crate) responses: [[AtomicU64; 6]; 2],
}

/// HTTP versions in the order of the arrays of [`Http`].
const PROTOCOLS: [&str; 2] = ["http/1.1", "http/2"];

type Labels = (Direction, String, &'static str);

/// All counters of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    flows: [Flows; 3],
    failures: Mutex<BTreeMap<Labels, u64>>,
    http: Mutex<HashMap<(Direction, String), Arc<Http>>>,
    /// When the certificates in force end, by port and file, in seconds since 1970.
    certificates_end: Mutex<BTreeMap<(u16, PathBuf), i64>>,
    /// Clients of our own endpoints that were sent away, by endpoint and reason.
    shed: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    pub(crate) dns_queries: AtomicU64,
    pub(crate) dns_failures: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) reloads: AtomicU64,
    pub(crate) reloads_refused: AtomicU64,
    pub(crate) certificates: AtomicU64,
    pub(crate) certificates_refused: AtomicU64,
    pub(crate) listening_us: AtomicU64,
    pub(crate) ready_us: AtomicU64,
}

impl Metrics {
    pub(crate) fn flows(&self, direction: Direction) -> &Flows {
        &self.flows[direction as usize]
    }

    pub(crate) fn open_connections(&self) -> u64 {
        self.flows.iter().map(|f| f.open.load(Ordering::Relaxed)).sum()
    }

    /// Counts a connection that wasn't served, by destination and reason (an errno's name, or a
    /// word of ours).
    pub(crate) fn failed(&self, direction: Direction, to: Option<SocketAddr>, why: &'static str) {
        let mut failures = lock(&self.failures);
        let name = to.map_or_else(|| "unknown".to_owned(), |to| to.to_string());
        let key = (direction, name, why);
        let full = failures.len() >= DESTINATIONS_MAX && !failures.contains_key(&key);
        let key = if full { (direction, "other".to_owned(), why) } else { key };
        *failures.entry(key).or_default() += 1;
    }

    /// Which certificates are in force, and when they end.
    pub(crate) fn certificates_end(&self, ends: BTreeMap<(u16, PathBuf), i64>) {
        *lock(&self.certificates_end) = ends;
    }

    /// Counts a client of one of our own endpoints that was sent away.
    pub(crate) fn shed(&self, endpoint: &'static str, why: &'static str) {
        *lock(&self.shed).entry((endpoint, why)).or_default() += 1;
    }

    /// The HTTP counters of a destination, made at the first HTTP connection to it.
    pub(crate) fn http(&self, direction: Direction, to: SocketAddr) -> Arc<Http> {
        let mut all = lock(&self.http);
        let key = (direction, to.to_string());
        let full = all.len() >= DESTINATIONS_MAX && !all.contains_key(&key);
        let key = if full { (direction, "other".to_owned()) } else { key };
        Arc::clone(all.entry(key).or_default())
    }

    /// Prometheus' text format; `now` in seconds since 1970.
    pub(crate) fn render(&self, ready: bool, dropped_log_lines: u64, now: i64) -> String {
        let mut out = Text::default();
        let per_flow = |read: fn(&Flows) -> &AtomicU64| {
            Direction::ALL.map(|d| {
                let labels = format!("{{direction=\"{}\"}}", d.name());
                (labels, read(self.flows(d)).load(Ordering::Relaxed))
            })
        };
        let (counter, gauge) = ("counter", "gauge");
        out.family(
            "sunup_connections_total",
            counter,
            "Connections accepted",
            per_flow(|f| &f.opened),
        );
        out.family("sunup_connections_open", gauge, "Connections open now", per_flow(|f| &f.open));
        let help = "Bytes from those who connect to the proxy";
        out.family("sunup_received_bytes_total", counter, help, per_flow(|f| &f.received));
        let help = "Bytes to those who connect to the proxy";
        out.family("sunup_sent_bytes_total", counter, help, per_flow(|f| &f.sent));
        let help = "Connections that had queued when the proxy began to serve";
        out.family("sunup_start_waited_connections_total", counter, help, per_flow(|f| &f.waited));
        let waited = Direction::ALL.map(|d| {
            let ms = self.flows(d).waited_ms_max.load(Ordering::Relaxed);
            (format!("{{direction=\"{}\"}}", d.name()), Duration::from_millis(ms).as_secs_f64())
        });
        let help = "The longest that such a connection can have waited";
        out.family("sunup_start_waited_seconds_max", gauge, help, waited);
        let failures = lock(&self.failures);
        let rows = failures.iter().map(|((direction, to, why), count)| {
            let direction = direction.name();
            (format!("{{direction=\"{direction}\",destination=\"{to}\",reason=\"{why}\"}}"), count)
        });
        let help = "Connections that were not served, and why";
        out.family("sunup_connections_failed_total", counter, help, rows);
        drop(failures);
        let rows = lock(&self.shed).clone().into_iter();
        let rows = rows.map(|((endpoint, why), count)| {
            (format!("{{endpoint=\"{endpoint}\",reason=\"{why}\"}}"), count)
        });
        let help = "Clients of the proxy's own endpoints that were sent away, and why";
        out.family("sunup_endpoint_shed_total", counter, help, rows);
        self.render_http(&mut out);
        let ends = lock(&self.certificates_end).clone().into_iter();
        let rows = ends.map(|((port, file), at)| {
            let file = file.to_string_lossy();
            let file = file.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            (format!("{{port=\"{port}\",certificate=\"{file}\"}}"), at.saturating_sub(now))
        });
        let help = "Until a certificate in force expires; negative once it has";
        out.family("sunup_certificate_expiry_seconds", gauge, help, rows);
        for (name, kind, help, value) in [
            ("sunup_dns_queries_total", counter, "DNS queries", &self.dns_queries),
            ("sunup_dns_failures_total", counter, "DNS queries without answer", &self.dns_failures),
            ("sunup_accept_errors_total", counter, "accept() that failed", &self.accept_errors),
            ("sunup_reloads_total", counter, "Configurations taken over", &self.reloads),
            (
                "sunup_reloads_refused_total",
                counter,
                "Configurations refused",
                &self.reloads_refused,
            ),
            (
                "sunup_certificates_total",
                counter,
                "Certificates of a port taken over",
                &self.certificates,
            ),
            (
                "sunup_certificates_refused_total",
                counter,
                "Certificates of a port refused",
                &self.certificates_refused,
            ),
        ] {
            out.family(name, kind, help, [(String::new(), value.load(Ordering::Relaxed))]);
        }
        let seconds =
            |us: &AtomicU64| Duration::from_micros(us.load(Ordering::Relaxed)).as_secs_f64();
        for (name, help, value) in [
            ("sunup_start_listening_seconds", "From start to listening", &self.listening_us),
            ("sunup_start_ready_seconds", "From start to ready, 0 before", &self.ready_us),
        ] {
            out.family(name, gauge, help, [(String::new(), seconds(value))]);
        }
        out.family("sunup_ready", gauge, "1 while ready", [(String::new(), u8::from(ready))]);
        let lines = [(String::new(), dropped_log_lines)];
        out.family(
            "sunup_log_lines_dropped_total",
            counter,
            "Log lines nobody read in time",
            lines,
        );
        out.0
    }

    fn render_http(&self, out: &mut Text) {
        let all = lock(&self.http);
        let mut keys: Vec<_> = all.iter().collect();
        keys.sort_by(|a, b| a.0.cmp(b.0));
        let (mut requests, mut responses) = (Vec::new(), Vec::new());
        for ((direction, to), http) in keys {
            for (n, protocol) in PROTOCOLS.iter().enumerate() {
                let labels = format!(
                    "direction=\"{}\",destination=\"{to}\",protocol=\"{protocol}\"",
                    direction.name()
                );
                let count = http.requests[n].load(Ordering::Relaxed);
                if count > 0 {
                    requests.push((format!("{{{labels}}}"), count));
                }
                for (class, count) in http.responses[n].iter().enumerate() {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        let code = if class == 0 { "other".into() } else { format!("{class}xx") };
                        responses.push((format!("{{{labels},code=\"{code}\"}}"), count));
                    }
                }
            }
        }
        out.family("sunup_http_requests_total", "counter", "HTTP requests seen", requests);
        out.family("sunup_http_responses_total", "counter", "HTTP responses seen", responses);
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family<V: std::fmt::Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        rows: impl IntoIterator<Item = (String, V)>,
    ) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

/// A lock that outlives a panic of another thread: counters stay usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_bounded_and_named() {
        let metrics = Metrics::default();
        for port in 0..3000u16 {
            let to = SocketAddr::from(([10, 0, 0, 1], port));
            metrics.failed(Direction::Outbound, Some(to), "ECONNREFUSED");
        }
        let file = PathBuf::from("/c/a\"b.crt");
        metrics.certificates_end(BTreeMap::from([((443, file), 1000)]));
        let text = metrics.render(true, 0, 1010);
        let row =
            "sunup_certificate_expiry_seconds{port=\"443\",certificate=\"/c/a\\\"b.crt\"} -10";
        assert!(text.contains(row), "{text}");
        let row = "sunup_connections_failed_total{direction=\"outbound\",\
                   destination=\"10.0.0.1:999\",reason=\"ECONNREFUSED\"} 1";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("destination=\"other\",reason=\"ECONNREFUSED\"} 2000"), "{text}");
        assert!(text.contains("sunup_ready 1"));
    }
}
