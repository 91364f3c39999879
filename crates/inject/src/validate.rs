//! Annotations whose values must mean something before anything is injected.
//!
//! The checks are Istio's, so that a pod it refuses is refused here too and in its words.
//!
//! # Sources
//! `pkg/kube/inject/validate.go` of istio/istio 86c9f01.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::error::InjectError;
use crate::go;
use crate::mutate::overrides;
use crate::settings::proxy_config;

/// Checks all annotations that Istio checks.
///
/// # Errors
/// One message that names every bad annotation, its value and the reason.
pub(crate) fn annotations(annotations: &Map<String, Value>) -> Result<(), InjectError> {
    let mut wrong = Vec::new();
    for (name, value) in annotations {
        let Some(value) = value.as_str() else { continue };
        if let Err(why) = one(name, value) {
            wrong.push(format!("invalid value '{value}' for annotation '{name}': {why}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(InjectError::Annotations(wrong.join("; "))) }
}

/// Why a pod with this annotation is refused; `None` where it is not.
#[must_use]
pub fn refusal(name: &str, value: &str) -> Option<String> {
    if name == overrides::ANNOTATION {
        return overrides::read(value).err();
    }
    one(name, value).err()
}

fn one(name: &str, value: &str) -> Result<(), String> {
    match name {
        "sidecar.istio.io/interceptionMode" => mode(value),
        "status.sidecar.istio.io/port" => port(value).map(drop),
        "readiness.status.sidecar.istio.io/initialDelaySeconds"
        | "readiness.status.sidecar.istio.io/periodSeconds"
        | "readiness.status.sidecar.istio.io/failureThreshold" => {
            value.parse::<u32>().map(drop).map_err(|_| "it must be a whole number ≥ 0".to_owned())
        }
        "traffic.sidecar.istio.io/includeOutboundIPRanges" if value == "*" => Ok(()),
        "traffic.sidecar.istio.io/includeOutboundIPRanges" => {
            cidrs(value).map_err(|e| format!("includeIPRanges invalid: {e}"))
        }
        "traffic.sidecar.istio.io/excludeOutboundIPRanges" => {
            cidrs(value).map_err(|e| format!("excludeIPRanges invalid: {e}"))
        }
        "traffic.sidecar.istio.io/includeInboundPorts" if value == "*" => Ok(()),
        "traffic.sidecar.istio.io/includeInboundPorts" => {
            ports(value).map_err(|e| format!("includeInboundPorts invalid: {e}"))
        }
        "traffic.sidecar.istio.io/excludeInboundPorts" => {
            ports(value).map_err(|e| format!("excludeInboundPorts invalid: {e}"))
        }
        "traffic.sidecar.istio.io/excludeOutboundPorts" => {
            ports(value).map_err(|e| format!("excludeOutboundPorts invalid: {e}"))
        }
        "traffic.sidecar.istio.io/excludeInterfaces"
        | "traffic.sidecar.istio.io/kubevirtInterfaces"
        | "istio.io/reroute-virtual-interfaces" => interfaces(value),
        "prometheus.istio.io/merge-metrics" => match go::parse_bool(value) {
            Some(_) => Ok(()),
            None => Err("it must be true or false".to_owned()),
        },
        "proxy.istio.io/config" => proxy_config::parse(value).map(drop),
        "sidecar.istio.io/proxyCPU"
        | "sidecar.istio.io/proxyMemory"
        | "sidecar.istio.io/proxyCPULimit"
        | "sidecar.istio.io/proxyMemoryLimit" => {
            if go::is_quantity(value) {
                Ok(())
            } else {
                Err("it is no Kubernetes quantity (such as 100m or 128Mi)".to_owned())
            }
        }
        _ => Ok(()),
    }
}

fn mode(value: &str) -> Result<(), String> {
    match value {
        "REDIRECT" | "TPROXY" | "NONE" => Ok(()),
        other => Err(format!("interceptionMode invalid, use REDIRECT, TPROXY or NONE: {other}")),
    }
}

fn port(text: &str) -> Result<u16, String> {
    let trimmed = text.trim();
    // Go's ParseUint takes no sign.
    let digits = !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit());
    let parsed = trimmed.parse().ok().filter(|_| digits);
    parsed.ok_or_else(|| format!("failed parsing port '{text}': ports are 0 to 65535"))
}

fn ports(text: &str) -> Result<(), String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(());
    }
    text.split(',').try_for_each(|p| port(p).map(drop))
}

fn cidrs(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    text.split(',').try_for_each(cidr)
}

fn cidr(text: &str) -> Result<(), String> {
    let fail = |why: &str| Err(format!("failed parsing cidr '{text}': {why}"));
    let Some((address, bits)) = text.rsplit_once('/') else {
        let hint = match text.trim().parse::<IpAddr>() {
            Ok(ip) => {
                format!("no '/': one address is {ip}/{}", if ip.is_ipv4() { 32 } else { 128 })
            }
            Err(_) => "no '/'".to_owned(),
        };
        return fail(&hint);
    };
    let Ok(ip) = address.parse::<IpAddr>() else { return fail("not an IP address") };
    let max = if ip.is_ipv4() { 32 } else { 128 };
    let plain =
        bits.bytes().all(|b| b.is_ascii_digit()) && !(bits.len() > 1 && bits.starts_with('0'));
    match bits.parse::<u8>() {
        Ok(bits) if plain && bits <= max => Ok(()),
        _ => fail("the prefix length is out of range"),
    }
}

fn interfaces(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    text.split(',').map(str::trim).try_for_each(|name| {
        if name.is_empty() {
            return Err("empty interface name".to_owned());
        }
        if name.len() > 15 {
            return Err(format!("interface name {name:?} too long (max 15 chars)"));
        }
        let tail = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let plain = name.as_bytes()[0].is_ascii_alphabetic() && name.bytes().all(tail);
        if plain {
            Ok(())
        } else {
            Err(format!("interface name {name:?} contains invalid characters"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<(), String> {
        one(name, value)
    }

    #[test]
    fn ranges_need_a_prefix_and_the_error_says_which() {
        let key = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
        assert!(check(key, "10.0.0.0/8,fd00::/8").is_ok());
        assert!(check(key, "").is_ok());
        assert!(check(key, "10.0.0.5").unwrap_err().contains("10.0.0.5/32"));
        // Go's netip.ParsePrefix takes neither spaces nor `*`.
        for bad in ["10.0.0.0/33", "10.0.0.0/8, 10.1.0.0/16", "*", "10.0.0.0/08", "bad"] {
            assert!(check(key, bad).is_err(), "{bad}");
        }
        assert!(check("traffic.sidecar.istio.io/includeOutboundIPRanges", "*").is_ok());
    }

    #[test]
    fn ports_may_have_spaces_but_no_sign_and_no_words() {
        let key = "traffic.sidecar.istio.io/excludeInboundPorts";
        for good in ["", "1, 2", "65535"] {
            assert!(check(key, good).is_ok(), "{good}");
        }
        for bad in ["+1", "65536", "http", "1,,2", "*"] {
            assert!(check(key, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn interface_names_as_linux_allows_them() {
        let key = "traffic.sidecar.istio.io/kubevirtInterfaces";
        assert!(check(key, "net1, net2").is_ok());
        for bad in ["net1,,net2", "1net", "abcdefghijklmnop", "a b", "é"] {
            assert!(check(key, bad).is_err(), "{bad}");
        }
    }
}
