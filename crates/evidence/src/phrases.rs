//! Stable parts of what proxies, their agents, the control plane and clients print, by what they
//! mean. Which of them matters to whom, and in which container's log, is a rule's business.
//!
//! # Sources
//! istio/istio `pkg/istio-agent/xds_proxy.go`, `security/pkg/nodeagent/`, `pkg/envoy/agent.go`,
//! `pilot/pkg/networking/core`, `pilot/cmd/pilot-agent/status`, releases 1.1 to 1.31; Envoy's
//! `grpc_subscription_impl.cc`, `listen_socket_impl.cc` and access log flags; RULES.md D to X.

use crate::sign::Sign;

/// Every phrase (ASCII, any case, five bytes or more) that gives a sign away. None of them stands
/// in the log of a healthy pod but for draining and the reconnections of half an hour.
pub(crate) const PHRASES: &[(Sign, &[&str])] = &[
    (
        Sign::ControlPlane,
        &[
            "failed to connect to upstream",
            // `gRPC config stream closed: 14, …`, `… gRPC config stream to xds-grpc closed since …`
            "config stream",
            "failed to warm certificate",
            "failed to create certificate",
            "failed to generate secret for proxy",
            "failed to generate workload certificate",
            "csr failed with error",
            "failed to sign csr",
            "failed to fetch token",
            "failed to get root cert",
            "invalid bearer token",
        ],
    ),
    // `connected to delta upstream XDS server: …`, since 1.8
    (Sign::ControlPlaneReached, &["upstream xds server"]),
    (Sign::Rejected, &["error adding/updating", "config for type.googleapis.com", "ack error"]),
    (Sign::AddressInUse, &["address already in use", "eaddrinuse", "address in use"]),
    (
        Sign::AddressFamily,
        &[
            "address family not supported",
            "cannot assign requested address",
            "ipv6 addresses are not supported",
            "ip6tables",
        ],
    ),
    (Sign::NodeLimit, &["too many open files", "inotify", "emfile", "no space left on device"]),
    (Sign::OutOfMemory, &["out of memory killed", "signal: killed", "tcmalloc"]),
    (
        Sign::Draining,
        &[
            "agent draining proxy",
            "graceful termination period",
            "agent already drained",
            "agent has successfully terminated",
            "aborting proxy",
            "aborted all epochs",
            "aborted proxy instance",
        ],
    ),
    (Sign::QuitCalled, &["/quitquitquit"]),
    (Sign::PortSkipped, &["skipping privileged"]),
    // `buildGatewayListeners: found 0 services on port 443`
    (Sign::PortUnserved, &["found 0 services on port"]),
    (Sign::NoHealthyUpstream, &["no healthy upstream", "no_healthy_upstream"]),
    (
        Sign::ConnectFailed,
        &[
            "delayed_connect_error",
            "delayed connect error",
            " uf,urx ",
            "remote_connection_failure",
        ],
    ),
    (Sign::BlackHole, &["blackholecluster", "block_all"]),
    (Sign::Denied, &["rbac: access denied", "rbac_access_denied"]),
    (Sign::ServerFirst, &["initial communication packet"]),
    (Sign::ProbeCall, &["request to probe app failed"]),
    (
        Sign::Metadata,
        &[
            "169.254.169.254",
            "metadata.google.internal",
            "could not find default credentials",
            "could not load the default credentials",
            "default credentials were not found",
            "defaultcredentialserror",
        ],
    ),
    (Sign::CannotRun, &["exec format error", "mmapaligned() failed", "assert failure: rc == 0"]),
    // Linkerd's validator, in both ways in which it gives up.
    (
        Sign::LinkerdCheck,
        &["failed to validate networking configuration", "unable to connect to validator"],
    ),
    (Sign::ProbeUnknown, &["prober does not exists url /app-health/"]),
    // Go's servers; the proxy's inbound side dials from these addresses.
    (
        Sign::HandshakeByProxy,
        &["tls handshake error from 127.0.0.6", "tls handshake error from [::6]"],
    ),
    // `sunup node run`; `api::node` has the words.
    (Sign::NodeGate, &[": stand-in: ", ": gate: ", ": nothing: ", "no proxy listened on port "]),
    // Servers of many languages, once a start, behind which an address stands.
    (
        Sign::Listening,
        &[
            "listening on",
            "listening at",
            "running on http",
            "serving http on",
            "development server at",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::signs;

    #[test]
    fn lines_of_several_versions_are_known() {
        for (sign, line) in [
            (
                Sign::ControlPlane,
                "error\txdsproxy\tfailed to connect to upstream istiod.istio-system.svc:15012: context deadline exceeded",
            ),
            (
                Sign::ControlPlane,
                "warning\tenvoy config\tStreamAggregatedResources gRPC config stream closed: 14, connection error",
            ),
            (
                Sign::ControlPlane,
                "warning\tenvoy config external/envoy/source/extensions/config_subscription/grpc/grpc_stream.h:226\tDeltaAggregatedResources gRPC config stream to xds-grpc closed since 42s ago: 14, connection error",
            ),
            (
                Sign::ControlPlane,
                "warn\tsds\tfailed to warm certificate: failed to generate workload certificate: create certificate: rpc error",
            ),
            (
                Sign::ControlPlane,
                "error\tcitadelclient\tFailed to create certificate: rpc error: code = Unavailable",
            ),
            (
                Sign::Rejected,
                "warning\tenvoy config\tdelta config for type.googleapis.com/envoy.config.listener.v3.Listener rejected: Error adding/updating listener(s) x: y",
            ),
            (
                Sign::Rejected,
                "warn\tads\tADS:LDS: ACK ERROR ingress-0.istio-ingress-12 Internal:Error adding/updating listener(s) 0.0.0.0_80",
            ),
            (
                Sign::AddressInUse,
                "Error: Error listening on status port: listen tcp :15020: bind: address already in use",
            ),
            (Sign::AddressInUse, "Error: listen EADDRINUSE: address already in use :::15021"),
            (
                Sign::AddressFamily,
                "gRPC config for X rejected: IPv6 addresses are not supported on this machine: [::]:0",
            ),
            (
                Sign::NodeLimit,
                "Error: failed to start SDS server: failed to start workload secret manager too many open files",
            ),
            (
                Sign::OutOfMemory,
                "warn\tEnvoy may have been out of memory killed. Check memory usage and limits.",
            ),
            (Sign::Draining, "info\tAgent draining Proxy for termination"),
            (Sign::Draining, "info\tAgent draining Proxy"),
            (
                Sign::PortSkipped,
                "warn\tbuildGatewayListeners: skipping privileged gateway port 80 for node gw-1.istio-ingress as it is an unprivileged pod",
            ),
            (Sign::QuitCalled, "info\thandling /quitquitquit, notifying pilot-agent to exit"),
            (Sign::CannotRun, "exec /usr/local/bin/pilot-agent: exec format error"),
            (
                Sign::CannotRun,
                "standard_init_linux.go:228: exec user process caused: exec format error",
            ),
            (
                Sign::CannotRun,
                "external/com_github_google_tcmalloc/tcmalloc/system-alloc.cc:625] MmapAligned() failed - unable to allocate with tag (hint, size, alignment)",
            ),
            (
                Sign::CannotRun,
                "critical\tenvoy assert external/envoy/source/common/common/posix/thread_impl.cc:53\tassert failure: rc == 0.\tthread=32",
            ),
            (
                Sign::ProbeUnknown,
                "error\tProber does not exists url /app-health/otc-container/livez",
            ),
            (
                Sign::HandshakeByProxy,
                "2026/10/05 07:02:13 http: TLS handshake error from 127.0.0.6:51506: EOF",
            ),
            (Sign::Listening, "Now listening on: http://localhost:5000"),
            (Sign::Listening, " * Running on http://127.0.0.1:5000"),
            (
                Sign::Listening,
                "[2026-10-05 07:00:00 +0000] [1] [INFO] Listening at: http://127.0.0.1:8000 (1)",
            ),
        ] {
            assert!(signs(line).has(sign), "{sign:?}: {line}");
        }
        for quiet in [
            "info\tcache\tgenerated new workload certificate\tlatency=213ms",
            "[2026-11-02T10:00:10.499Z] \"GET / HTTP/1.1\" 200 - via_upstream - \"-\" 0 5 1 1 \"-\" \"curl\"",
        ] {
            assert!(signs(quiet).is_empty(), "{quiet}");
        }
    }

    #[test]
    fn phrases_are_long_enough_for_the_search_and_in_lower_case() {
        for phrase in PHRASES.iter().flat_map(|(_, phrases)| *phrases) {
            assert!(phrase.len() >= 5 && phrase.to_ascii_lowercase() == *phrase, "{phrase}");
        }
    }
}
