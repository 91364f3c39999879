//! A line of Envoy's access log: the response flags and the cluster.
//!
//! Read by what the fields look like, not by their place: meshes have formats of their own, and
//! JSON ones come as a compact object.
//!
//! # Sources
//! Envoy, "Access logging": response flags; istio/istio `pilot/pkg/model/telemetry_logging.go`,
//! the default text format.

/// What an access log line says of a connection that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access<'a> {
    /// `UH`, `UF,URX`, `NR` …; empty where it is `-` or not there.
    pub flags: &'a str,
    /// `outbound|8080||web.shop.svc.cluster.local`, `inbound|8080||`, `BlackHoleCluster` …
    pub cluster: Option<&'a str>,
}

impl Access<'_> {
    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.split(',').any(|f| f == flag)
    }

    /// Whether it is the application's own port that was called.
    #[must_use]
    pub fn is_inbound(&self) -> bool {
        self.cluster.is_some_and(|c| c.starts_with("inbound|"))
    }

    /// The port of a cluster's name.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.cluster?.split('|').nth(1)?.parse().ok()
    }
}

/// The flags that Envoy has.
const FLAGS: &[&str] = &[
    "UH", "UF", "UO", "NR", "URX", "NC", "DT", "DC", "LH", "UT", "LR", "UR", "UC", "DI", "FI",
    "RL", "UAEX", "RLSE", "IH", "SI", "DPE", "UPE", "UMSDR", "OM", "DF",
];

/// Reads a line, where it looks like one of an access log.
#[must_use]
pub fn read(line: &str) -> Option<Access<'_>> {
    let separator = |c: char| c.is_whitespace() || matches!(c, '"' | ';' | '{' | '}' | '\\');
    let words = || line.split(separator).filter(|w| !w.is_empty());
    let cluster = words().find(|w| is_cluster(w)).map(|w| w.trim_end_matches(','));
    let is_flags = |w: &&str| w.split(',').all(|f| FLAGS.contains(&f));
    let flags = words().map(|w| w.trim_end_matches(',')).find(is_flags);
    if cluster.is_none() && flags.is_none() {
        return None;
    }
    Some(Access { flags: flags.unwrap_or_default(), cluster })
}

fn is_cluster(word: &str) -> bool {
    word.starts_with("outbound|")
        || word.starts_with("inbound|")
        || matches!(
            word,
            "BlackHoleCluster" | "PassthroughCluster" | "InboundPassthroughClusterIpv4"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_several_versions() {
        for (line, flags, cluster) in [
            (
                "[2026-11-02T10:00:10.499Z] \"- - -\" 0 UH - - \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" BlackHoleCluster - 203.0.113.9:443 10.52.3.41:40112 - -",
                "UH",
                Some("BlackHoleCluster"),
            ),
            (
                "[2024-05-01T10:00:05.123Z] \"GET / HTTP/1.1\" 503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111} - \"-\" 0 145 0 - \"-\" \"curl/7.8\" \"uuid\" \"web\" \"10.0.1.5:8080\" inbound|8080|| - 10.0.1.5:8080 10.0.1.9:4444 - default",
                "UF",
                Some("inbound|8080||"),
            ),
            (
                "[2020-01-01T10:00:05Z] \"GET /x HTTP/1.1\" 503 UF,URX \"-\" \"-\" 0 91 1 - \"-\" \"c\" \"u\" \"h\" \"10.0.0.1:80\" outbound|80||h.ns.svc.cluster.local - - -",
                "UF,URX",
                Some("outbound|80||h.ns.svc.cluster.local"),
            ),
            (
                "{\"response_code\":503,\"response_flags\":\"UH\",\"upstream_cluster\":\"outbound|80||x.y.svc.cluster.local;\"}",
                "UH",
                Some("outbound|80||x.y.svc.cluster.local"),
            ),
        ] {
            let got = read(line).expect("an access log line");
            assert_eq!((got.flags, got.cluster), (flags, cluster), "{line}");
        }
        assert_eq!(read("info\tEnvoy proxy is ready"), None);
        let one = read("503 UF inbound|8080||").expect("flags and cluster");
        assert!(one.is_inbound() && one.has("UF") && one.port() == Some(8080));
    }
}
