//! The access log: one line a connection, and at a gateway's HTTP ports one a request, in Istio's default format or as JSON with its names.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use crate::config::Encoding;
use crate::copy::Moved;
use crate::metrics::Direction;
use crate::observe::Protocol;
use crate::state::Shared;

/// Stands where no destination was found.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What is known of a connection, or of one request, when it ends.
pub(crate) struct Record {
    direction: Direction,
    from: SocketAddr,
    to: SocketAddr,
    /// Envoy's response flags: `UF` not reached, `UC` reset by the destination, `DC` by the client.
    pub(crate) flags: &'static str,
    pub(crate) details: &'static str,
    pub(crate) moved: Moved,
    pub(crate) upstream_local: Option<SocketAddr>,
    pub(crate) protocol: Protocol,
    /// A response's status; 0 where there is none.
    pub(crate) status: u16,
    /// For one request of HTTP instead of a whole connection.
    pub(crate) http: Option<Box<Http>>,
}

/// What a request says of itself.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) protocol: &'static str,
    pub(crate) authority: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) forwarded_for: Option<String>,
    pub(crate) request_id: Option<String>,
}

impl Record {
    pub(crate) fn new(direction: Direction, from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            direction,
            from,
            to,
            flags: "-",
            details: "-",
            moved: Moved::default(),
            upstream_local: None,
            protocol: Protocol::Silent,
            status: 0,
            http: None,
        }
    }

    /// A request that was answered in its destination's place.
    pub(crate) fn unsent(
        from: SocketAddr,
        to: Option<SocketAddr>,
        flags: &'static str,
        details: &'static str,
        status: u16,
    ) -> Self {
        let to = to.unwrap_or(NOWHERE);
        Self { flags, details, status, ..Self::new(Direction::Gateway, from, to) }
    }

    pub(crate) fn to(&self) -> SocketAddr {
        self.to
    }

    fn cluster(&self) -> &'static str {
        match self.direction {
            Direction::Outbound => "PassthroughCluster",
            Direction::Inbound => "InboundPassthroughCluster",
            Direction::Gateway => "gateway",
        }
    }
}

impl Record {
    fn destination(&self) -> Option<SocketAddr> {
        Some(self.to).filter(|to| *to != NOWHERE)
    }

    /// Istio's default text format; a connection has no method, path or status.
    fn text(&self, start: &str, ms: u64) -> String {
        fn or_dash(value: Option<impl ToString>) -> String {
            // A quote of the client's must not end ours.
            value.map_or_else(|| "-".to_owned(), |value| value.to_string().replace('"', "'"))
        }
        let http = self.http.as_deref();
        let said = |get: fn(&Http) -> &Option<String>| or_dash(http.and_then(|h| get(h).as_ref()));
        let asked = http.map_or_else(
            || "- - -".to_owned(),
            |h| format!("{} {} {}", h.method, h.path.replace('"', "%22"), h.protocol),
        );
        let (to, local) = (or_dash(self.destination()), or_dash(self.upstream_local));
        let Moved { received, sent } = self.moved;
        let mut line = String::new();
        let _ = writeln!(
            line,
            "[{start}] \"{asked}\" {} {} {} - \"-\" {received} {sent} {ms} - \"{}\" \"{}\" \"{}\" \
             \"{}\" \"{to}\" {} {local} {to} {} - -",
            self.status,
            self.flags,
            self.details,
            said(|h| &h.forwarded_for),
            said(|h| &h.user_agent),
            said(|h| &h.request_id),
            said(|h| &h.authority),
            self.cluster(),
            self.from,
        );
        line
    }

    fn json(&self, start: &str, ms: u64) -> String {
        let to = self.destination().map(|to| to.to_string());
        let mut line = serde_json::json!({
            "start_time": start, "response_flags": self.flags,
            "response_code": self.status, "response_code_details": self.details,
            "bytes_received": self.moved.received, "bytes_sent": self.moved.sent,
            "duration": ms,
            "upstream_host": to, "upstream_cluster": self.cluster(),
            "upstream_local_address": self.upstream_local.map(|a| a.to_string()),
            "downstream_local_address": to,
            "downstream_remote_address": self.from.to_string(),
            "protocol": self.protocol.name(),
        });
        if let (Some(http), Some(fields)) = (&self.http, line.as_object_mut()) {
            fields.insert("protocol".to_owned(), http.protocol.into());
            fields.insert("method".to_owned(), http.method.as_str().into());
            fields.insert("path".to_owned(), http.path.as_str().into());
            for (name, value) in [
                ("authority", &http.authority),
                ("user_agent", &http.user_agent),
                ("x_forwarded_for", &http.forwarded_for),
                ("request_id", &http.request_id),
            ] {
                fields.insert(name.to_owned(), value.as_deref().into());
            }
        }
        format!("{line}\n")
    }
}

/// Writes the line, where there is an access log.
pub(crate) fn write(shared: &Shared, record: &Record, begun: Instant) {
    // The configuration of now: a reload holds for connections that are open.
    let config = shared.config();
    if config.access_log_file.is_empty() {
        return;
    }
    let elapsed = begun.elapsed();
    let start = jiff::Timestamp::now()
        .checked_sub(jiff::SignedDuration::try_from(elapsed).unwrap_or_default())
        .unwrap_or_default();
    let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let line = match config.access_log_encoding {
        Encoding::Text => record.text(&format!("{start:.3}"), ms),
        Encoding::Json => record.json(&format!("{start:.3}"), ms),
    };
    shared.log.access(&config.access_log_file, line);
}
