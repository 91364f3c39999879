//! Configuration that a proxy rejected: which piece, and why.
//!
//! # Sources
//! Envoy `source/extensions/config_subscription/grpc` (`gRPC config for {} rejected: {}`, `delta
//! config for {} rejected: {}`), `lds_api.cc` and `cds_api_helper.cc` (`Error adding/updating
//! listener(s) {}: {}`); istio/istio `pilot/pkg/xds` (`ADS:LDS: ACK ERROR {} {}:{}`).

use crate::log::{cut_at, find_ignoring_case};

/// Why a piece was rejected, as far as it makes another fault of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Binding is forbidden.
    Forbidden,
    /// The address is taken.
    Taken,
    /// The address family is missing.
    Family,
    /// Whatever the text says.
    Other,
}

/// A rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection<'a> {
    /// `Listener`, `Cluster`, `RouteConfiguration`, `Secret` …; empty where nothing says it.
    pub kind: &'a str,
    /// The piece's name, where the text gives it.
    pub name: Option<&'a str>,
    /// The text.
    pub why: &'a str,
    /// What it comes to.
    pub reason: Reason,
    /// Pod and namespace, where it is the control plane that tells.
    pub proxy: Option<(&'a str, &'a str)>,
}

/// Reads a line about rejected configuration.
#[must_use]
pub fn read(line: &str) -> Option<Rejection<'_>> {
    let proxy = find_ignoring_case(line, "ack error ").and_then(|i| node(&line[i + 10..]));
    let typed = find_ignoring_case(line, "type.googleapis.com/").map(|i| {
        let name = cut_at(&line[i..], |c: char| c.is_whitespace() || c == '"');
        name.rsplit('.').next().unwrap_or_default()
    });
    let told = find_ignoring_case(line, "rejected: ").map(|i| &line[i + "rejected: ".len()..]);
    let added = find_ignoring_case(line, "adding/updating ").map(|i| &line[i + 16..]);
    if proxy.is_none() && told.is_none() && added.is_none() {
        return None;
    }
    let (kind, name, why) = match added {
        Some(rest) => {
            // `listener(s) 0.0.0.0_80: cannot bind …`, `cluster(s) outbound|80||x: …`
            let kind = if find_ignoring_case(rest, "listener") == Some(0) {
                "Listener"
            } else if find_ignoring_case(rest, "cluster") == Some(0) {
                "Cluster"
            } else {
                typed.unwrap_or_default()
            };
            let (name, why) = match rest.split_once("(s) ").and_then(|(_, r)| r.split_once(": ")) {
                Some((name, why)) => (Some(name), why),
                None => (None, rest),
            };
            (kind, name, why)
        }
        None => (typed.unwrap_or_default(), None, told.unwrap_or(line)),
    };
    let has = |part: &str| find_ignoring_case(line, part).is_some();
    let binds = has("cannot bind") || has("bind:") || has("listen");
    let reason = if has("permission denied") && binds {
        Reason::Forbidden
    } else if has("address already in use") {
        Reason::Taken
    } else if has("cannot assign requested address")
        || has("address family not supported")
        || has("addresses are not supported on this machine")
    {
        Reason::Family
    } else {
        Reason::Other
    };
    Some(Rejection { kind, name, why, reason, proxy })
}

/// The pod and namespace of a node id: `<pod>.<namespace>-<n>` or `router~10.0.0.1~<pod>.<ns>~…`.
#[must_use]
pub fn node(text: &str) -> Option<(&str, &str)> {
    let id = text.split_whitespace().next()?;
    let id = if id.contains('~') { id.split('~').nth(2)? } else { id };
    let (pod, namespace) = id.trim_end_matches([',', ':', ';']).split_once('.')?;
    let bare = match namespace.rsplit_once('-') {
        Some((ns, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => ns,
        _ => namespace,
    };
    Some((pod, bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rejected_and_why() {
        let read = |text| read(text).expect("a rejection");
        let got = read(
            "gRPC config for type.googleapis.com/envoy.config.listener.v3.Listener rejected: Error adding/updating listener(s) virtualInbound: unknown filter: x",
        );
        assert_eq!(
            (got.kind, got.name, got.reason),
            ("Listener", Some("virtualInbound"), Reason::Other)
        );
        assert_eq!(got.why, "unknown filter: x");
        let got = read(
            "gRPC config for type.googleapis.com/envoy.config.cluster.v3.Cluster rejected: Error adding/updating cluster(s) outbound|443||a.b: duplicate",
        );
        assert_eq!((got.kind, got.name), ("Cluster", Some("outbound|443||a.b")));
        let got = read(
            "delta config for type.googleapis.com/envoy.config.route.v3.RouteConfiguration rejected: Only unique values for domains are permitted",
        );
        assert_eq!((got.kind, got.name), ("RouteConfiguration", None));
        let got = read(
            "ADS:LDS: ACK ERROR ingress-6c9d-k2x4z.istio-ingress-12 Internal:Error adding/updating listener(s) 0.0.0.0_80: cannot bind '0.0.0.0:80': Address already in use",
        );
        assert_eq!(got.proxy, Some(("ingress-6c9d-k2x4z", "istio-ingress")));
        assert_eq!(got.reason, Reason::Taken);
        let got =
            read("Listener rejected: IPv6 addresses are not supported on this machine: [::]:0");
        assert_eq!(got.reason, Reason::Family);
        assert_eq!(super::read("config for type.googleapis.com/x accepted"), None);
    }
}
