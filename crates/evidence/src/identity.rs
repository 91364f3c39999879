//! Whose log a line is from, as the line itself says it: proxies give their own name when they
//! start, and the control plane gives those of the proxies it speaks of.
//!
//! # Sources
//! istio/istio `pilot/cmd/pilot-agent/main.go` (`Proxy role: ips=… type=sidecar id=POD.NAMESPACE`,
//! before 1.6 the struct itself with `ID:"POD.NAMESPACE"`), `pkg/envoy/proxy.go` (`Envoy command:
//! [… --service-node sidecar~IP~POD.NAMESPACE~DOMAIN …]`), `pilot/pkg/xds/ads.go`.

use crate::log::find_ignoring_case;
use crate::rejected;

/// Pod and namespace of the proxy that writes of itself.
#[must_use]
pub fn own(line: &str) -> Option<(&str, &str)> {
    if let Some(at) = find_ignoring_case(line, "proxy role") {
        let rest = &line[at..];
        let plain = rest.split_once(" id=").map(|(_, id)| id);
        let id = plain.or_else(|| rest.split_once(" ID:\"").map(|(_, id)| id))?;
        let id = &id[..id.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(id.len())];
        return named(id);
    }
    let (_, rest) = line.split_once("--service-node ")?;
    let node = rest.split([' ', ']', '"', '\'']).find(|word| !word.is_empty())?;
    named(node.split('~').nth(2)?)
}

/// Pod and namespace in `POD.NAMESPACE`; a namespace has no dot in it.
fn named(id: &str) -> Option<(&str, &str)> {
    let (pod, namespace) = id.rsplit_once('.')?;
    (is_name(pod, true) && is_name(namespace, false)).then_some((pod, namespace))
}

/// A DNS label, or a subdomain where dots may be in it.
fn is_name(text: &str, dots: bool) -> bool {
    let fits =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || dots && b == b'.';
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 253
        && bytes.iter().all(|b| fits(*b))
        && ends(bytes.first())
        && ends(bytes.last())
}

/// Whether only a control plane writes such a line: it speaks of a proxy by its node.
#[must_use]
pub fn is_of_control_plane(line: &str) -> bool {
    let named = |mark: &str| {
        find_ignoring_case(line, mark).is_some_and(|at| {
            rejected::node(line[at + mark.len()..].trim_start()).is_some_and(|(pod, namespace)| {
                is_name(pod, true) && is_name(namespace.trim_end_matches(','), false)
            })
        })
    };
    named("ack error ")
        || find_ignoring_case(line, "skipping privileged").is_some() && named(" node ")
}

/// Whether a line has the shape that Istio's own programs give theirs: time, level and text,
/// divided by tabs, or Envoy's brackets.
#[must_use]
pub fn is_istios(line: &str) -> bool {
    const LEVELS: &[&str] =
        &["debug", "info", "warn", "warning", "error", "critical", "fatal", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    let line = line.trim_start();
    let mut cells = line.split('\t');
    if cells.next().is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit()))
        && cells.next().is_some_and(is_level)
    {
        return true;
    }
    // `[Envoy (Epoch 0)] [2020-09-14 13:23:01.288][15][warning][misc] …`
    let envoy = line.strip_prefix("[Envoy (").and_then(|rest| rest.split_once("] "));
    let rest = envoy.map_or(line, |(_, rest)| rest);
    let mut brackets = rest.strip_prefix('[').into_iter().flat_map(|rest| rest.split("]["));
    brackets.next().is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit()))
        && brackets.next().is_some_and(|thread| thread.bytes().all(|b| b.is_ascii_digit()))
        && brackets.next().is_some_and(is_level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_names_itself_in_all_versions() {
        for line in [
            "2021-11-23T13:02:05.203000Z\tinfo\tProxy role: ips=[10.244.1.33] type=sidecar id=dash-79f489b55-6qbzx.kubeflow domain=kubeflow.svc.cluster.local",
            "info\tProxy role: &model.Proxy{ClusterID:\"\", Type:\"sidecar\", IPAddresses:[]string{\"10.44.0.7\"}, ID:\"dash-79f489b55-6qbzx.kubeflow\", Locality:(*core.Locality)(nil)}",
            "info\tEnvoy command: [-c /etc/istio/proxy/envoy-rev0.json --restart-epoch 0 --service-cluster dash --service-node sidecar~10.44.0.7~dash-79f489b55-6qbzx.kubeflow~kubeflow.svc.cluster.local --max-obj-name-len 189]",
        ] {
            assert_eq!(own(line), Some(("dash-79f489b55-6qbzx", "kubeflow")), "{line}");
        }
        for line in [
            "Proxy role: ips=[] type=sidecar id= domain=x",
            "Proxy role: ips=[] type=sidecar id=.x domain=x",
            "Proxy role: id=Nobody.Here",
            "order id=a.b was refused",
            "--service-node ",
            "--service-node a~b",
            "",
        ] {
            assert_eq!(own(line), None, "{line}");
        }
    }

    #[test]
    fn the_control_planes_lines() {
        for line in [
            "warn\tads\tADS:LDS: ACK ERROR router~10.16.2.7~gw-69c668779-ffnrs.istio-system~istio-system.svc.cluster.local-7 Internal:Error adding/updating listener(s)",
            "ADS:LDS: ACK ERROR ingress-6c9d-k2x4z.istio-ingress-12 Internal:Error",
            "buildGatewayListeners: skipping privileged gateway port 80 for node gw-1.shop as it is an unprivileged pod",
        ] {
            assert!(is_of_control_plane(line), "{line}");
        }
        for line in
            ["ack error 7", "skipping privileged mode", "ACK ERROR ", "ACK ERROR from 10.0.0.1"]
        {
            assert!(!is_of_control_plane(line), "{line}");
        }
    }

    #[test]
    fn the_shape_of_istios_lines() {
        for line in [
            "2020-09-14T13:23:01.143000Z\tinfo\tEpoch 0 starting",
            "[Envoy (Epoch 0)] [2020-09-14 13:23:01.288][15][warning][misc] [external/x.cc:1] y",
            "[2020-09-14 13:23:01.288][15][warning][config] [x.h:91] gRPC config stream closed",
        ] {
            assert!(is_istios(line), "{line}");
        }
        for line in [
            "2020-09-14T13:23:01Z connection refused",
            "[2020-09-14 13:23:01] production.ERROR: refused",
            "[INFO][db] refused",
            "1\t2\t3",
            "",
        ] {
            assert!(!is_istios(line), "{line}");
        }
    }
}
