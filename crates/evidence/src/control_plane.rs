//! What keeps a proxy from its control plane, as its agent or Envoy words it.
//!
//! # Sources
//! Go's `net` and `crypto/x509` error texts, grpc-go's status codes, istio/istio
//! `security/pkg/nodeagent/caclient`; istio/istio issues 25205, 31717, 32742, 36683, 43841, 44557,
//! 45000, 57889.

use crate::log::find_ignoring_case;

/// The cause that a line gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// The control plane's name does not resolve.
    Dns,
    /// Nothing listens there.
    Refused,
    /// Nothing answers: something on the way drops the packets.
    Timeout,
    /// There is no way there (no route, network unreachable).
    NoRoute,
    /// The control plane's certificate is signed by a root that the proxy does not have.
    UnknownAuthority,
    /// A certificate is expired or not yet valid.
    Expired,
    /// The control plane's certificate is for other names.
    WrongName,
    /// The token was refused.
    TokenRejected,
    /// The token's file can't be read.
    TokenUnreadable,
    /// The connection was ended by the other side.
    Closed,
    /// No cause that is known.
    Other,
}

impl Trouble {
    /// Whether the control plane was reached, and it or the proxy refused the other's identity.
    #[must_use]
    pub fn is_identity(self) -> bool {
        use Trouble::{Expired, TokenRejected, TokenUnreadable, UnknownAuthority, WrongName};
        matches!(self, Expired | TokenRejected | TokenUnreadable | UnknownAuthority | WrongName)
    }

    /// Whether the control plane was not reached.
    #[must_use]
    pub fn is_connection(self) -> bool {
        matches!(self, Trouble::Dns | Trouble::Refused | Trouble::Timeout | Trouble::NoRoute)
    }
}

/// Causes by their words, the most telling first: a line has several ("Unavailable … lookup … i/o
/// timeout").
const CAUSES: &[(Trouble, &[&str])] = &[
    (Trouble::Expired, &["certificate has expired", "not yet valid", "certificate is expired"]),
    (
        Trouble::UnknownAuthority,
        &[
            "unknown authority",
            "unknown ca",
            "self-signed certificate in",
            "self signed certificate in",
            "certificate_verify_failed",
            "bad certificate",
        ],
    ),
    (
        Trouble::WrongName,
        &["certificate is valid for", "not valid for any names", "cannot validate certificate for"],
    ),
    (
        Trouble::TokenRejected,
        &[
            "code = unauthenticated",
            "authentication failure",
            "authenticate failure",
            "token has expired",
            "invalid bearer token",
            "code = permissiondenied",
            // Envoy's form: `gRPC config stream closed: 16, …`
            "closed: 16,",
            "ago: 16,",
        ],
    ),
];

/// What the line says kept the proxy from its control plane.
#[must_use]
pub fn trouble(line: &str) -> Trouble {
    let has = |part: &str| find_ignoring_case(line, part).is_some();
    if has("failed to fetch token") || has("secrets/tokens/istio-token") {
        let unreadable = has("permission denied") || has("no such file") || has("is a directory");
        return if unreadable { Trouble::TokenUnreadable } else { Trouble::Other };
    }
    if let Some((cause, _)) = CAUSES.iter().find(|(_, words)| words.iter().any(|w| has(w))) {
        return *cause;
    }
    let lookup = has("lookup ") || has("dns resolution") || has("produced zero addresses");
    if has("no such host") || has("server misbehaving") || lookup && (has("timeout") || has("fail"))
    {
        return Trouble::Dns;
    }
    if has("connection refused") || has("delayed connect error: 111") {
        return Trouble::Refused;
    }
    if has("no route to host") || has("network is unreachable") || has("connect error: 113") {
        return Trouble::NoRoute;
    }
    let slow = ["i/o timeout", "deadline exceeded", "timed out", "connection timeout"];
    if slow.iter().any(|w| has(w)) {
        return Trouble::Timeout;
    }
    let closed = ["eof", "connection reset", "transport is closing", "closed: 13,", "closed: 0,"];
    if closed.iter().any(|w| has(w)) {
        return Trouble::Closed;
    }
    Trouble::Other
}

/// The address that could not be reached, where the line names one: `10.96.0.10:15012`,
/// `istiod.istio-system.svc:15012`.
#[must_use]
pub fn target(line: &str) -> Option<&str> {
    let behind = |mark: &str| find_ignoring_case(line, mark).map(|i| &line[i + mark.len()..]);
    let rest = behind("dial tcp ").filter(|r| !r.starts_with("lookup "));
    let rest = rest.or_else(|| behind("connect to upstream ")).or_else(|| behind("lookup "))?;
    let end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | '\\'))
        .unwrap_or(rest.len());
    let target = rest[..end].trim_end_matches([':', '.']);
    let plausible = target.chars().all(|c| c.is_ascii_alphanumeric() || ".:-_[]".contains(c));
    (plausible && target.contains(['.', ':'])).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_as_agents_of_several_versions_word_them() {
        for (want, line) in [
            (
                Trouble::Timeout,
                "create certificate: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing dial tcp: i/o timeout\"",
            ),
            (
                Trouble::Timeout,
                "failed to warm certificate: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing dial tcp 10.245.19.106:15012: connect: connection timed out\"",
            ),
            (
                Trouble::Timeout,
                "failed to connect to upstream istiod.istio-system.svc:15012: context deadline exceeded",
            ),
            (
                Trouble::Refused,
                "StreamAggregatedResources gRPC config stream closed: 14, connection error: desc = \"transport: Error while dialing: dial tcp 10.96.44.1:15012: connect: connection refused\"",
            ),
            (
                Trouble::Dns,
                "dial tcp: lookup istiod.istio-system.svc on 10.96.0.10:53: no such host",
            ),
            (
                Trouble::Dns,
                "dial tcp: lookup istiod.istio-system.svc on 10.96.0.10:53: read udp 10.1.1.1:4:-> i/o timeout",
            ),
            (
                Trouble::UnknownAuthority,
                "connection error: desc = \"transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of \\\"crypto/rsa: verification error\\\" while trying to verify candidate authority certificate \\\"cluster.local\\\")\"",
            ),
            (
                Trouble::Expired,
                "authentication handshake failed: x509: certificate has expired or is not yet valid: current time 2026-11-01T00:00:00Z is after 2026-10-01T00:00:00Z",
            ),
            (Trouble::WrongName, "x509: certificate is valid for istiod.istio-system.svc, not b"),
            (
                Trouble::TokenRejected,
                "rpc error: code = Unauthenticated desc = request authenticate failure",
            ),
            (
                Trouble::TokenUnreadable,
                "failed to fetch token from file: open ./var/run/secrets/tokens/istio-token: permission denied",
            ),
            (Trouble::Closed, "gRPC config stream closed: 14, transport is closing"),
            (Trouble::Closed, "gRPC config stream closed: 13,"),
        ] {
            assert_eq!(trouble(line), want, "{line}");
        }
    }

    #[test]
    fn the_target_is_read_where_there_is_one() {
        for (line, want) in [
            ("dial tcp 10.96.44.1:15012: connect: connection refused", Some("10.96.44.1:15012")),
            (
                "failed to connect to upstream istiod.istio-system.svc:15012: context deadline",
                Some("istiod.istio-system.svc:15012"),
            ),
            (
                "dial tcp: lookup istiod.istio-system.svc on 10.96.0.10:53: no such host",
                Some("istiod.istio-system.svc"),
            ),
            ("dial tcp: i/o timeout", None),
            ("code = Unauthenticated desc = authentication failure", None),
        ] {
            assert_eq!(target(line), want, "{line}");
        }
    }
}
