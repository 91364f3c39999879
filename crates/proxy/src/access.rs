//! The access log: one line a connection, in Istio's default format or as JSON with its names.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use crate::config::Encoding;
use crate::copy::Moved;
use crate::metrics::Direction;
use crate::observe::Protocol;
use crate::state::Shared;

/// What is known of a connection when it ends.
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
        }
    }

    fn cluster(&self) -> &'static str {
        match self.direction {
            Direction::Outbound => "PassthroughCluster",
            Direction::Inbound => "InboundPassthroughCluster",
            Direction::Gateway => "gateway",
        }
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
    let local = record.upstream_local.map_or_else(|| "-".to_owned(), |a| a.to_string());
    let (to, from, cluster) = (record.to, record.from, record.cluster());
    let Moved { received, sent } = record.moved;
    let ms = elapsed.as_millis();
    let mut line = String::new();
    let _ = match config.access_log_encoding {
        // Istio's default text format; a connection has no method, path or status.
        Encoding::Text => writeln!(
            line,
            "[{start:.3}] \"- - -\" 0 {} {} - \"-\" {received} {sent} {ms} - \"-\" \"-\" \"-\" \
             \"-\" \"{to}\" {cluster} {local} {to} {from} - -",
            record.flags, record.details
        ),
        Encoding::Json => {
            let json = serde_json::json!({
                "start_time": format!("{start:.3}"), "response_flags": record.flags,
                "response_code": 0, "response_code_details": record.details,
                "bytes_received": received, "bytes_sent": sent,
                "duration": u64::try_from(ms).unwrap_or(u64::MAX),
                "upstream_host": to.to_string(), "upstream_cluster": cluster,
                "upstream_local_address": local, "downstream_local_address": to.to_string(),
                "downstream_remote_address": from.to_string(),
                "protocol": record.protocol.name(),
            });
            writeln!(line, "{json}")
        }
    };
    shared.log.access(&config.access_log_file, line);
}
