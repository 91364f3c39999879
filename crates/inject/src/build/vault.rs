//! Vault's agent, which fetches secrets in an init container: where it would run behind the
//! redirect and before the proxy, Vault's address is left out of capture.
//!
//! Which shapes need it: a classic sidecar, where `vault-agent-init` comes after capture: with
//! istio-init unless `agent-init-first` puts it before, with CNI always. A native sidecar is up
//! before it, and the proxy's own uid is never captured.

use std::net::IpAddr;

use serde_json::Value;
use sunup_api::{annotation as keys, container};

use super::inputs::{Inputs, Way};
use crate::reason::Reason;
use crate::value::annotation;

/// The range to exclude besides the pod's own, if any; warns where the address isn't known.
pub(super) fn excluded(inputs: &mut Inputs<'_>, cni: bool) -> Option<String> {
    if inputs.way == Way::Istio || inputs.native {
        return None;
    }
    range(inputs.pod, cni, inputs.asked_again, inputs.reasons)
}

/// The same for a pod with a classic sidecar. Where the injector is asked again, capture stays
/// behind Vault's agent, and an unknown address does no harm.
pub(crate) fn range(
    pod: &Value,
    cni: bool,
    asked_again: bool,
    reasons: &mut Vec<Reason>,
) -> Option<String> {
    let own = |key| annotation(pod, key);
    let asked = matches!(own(keys::VAULT_INJECT), Some("true" | "1" | "t" | "T" | "True" | "TRUE"));
    let first = own(keys::VAULT_INIT_FIRST) == Some("true") && !cni;
    let as_proxy = own(keys::VAULT_RUN_AS_USER) == Some(container::PROXY_UID.to_string().as_str());
    if !asked || first || as_proxy {
        return None;
    }
    let service = own(keys::VAULT_SERVICE).unwrap_or_default();
    match address(service) {
        Some(ip) => {
            let range = format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 });
            reasons.push(Reason::note(format!(
                "{range} (Vault) is not captured: vault-agent-init runs before the proxy"
            )));
            Some(range)
        }
        None if asked_again && !cni => None,
        None => {
            reasons.push(Reason::warning(format!(
                "{} runs before the proxy and may not reach Vault: set {} to Vault's address as a \
                 CIDR, or use a native sidecar",
                container::VAULT_AGENT_INIT,
                keys::EXCLUDE_OUTBOUND_RANGES
            )));
            None
        }
    }
}

/// The address in a URL such as `https://10.0.9.5:8200`; names are looked up by nobody here.
fn address(url: &str) -> Option<IpAddr> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next()?;
    if let Some(inner) = host.strip_prefix('[') {
        return inner.split(']').next()?.parse().ok();
    }
    host.parse().ok().or_else(|| host.split(':').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_in_urls() {
        for (url, ip) in [
            ("http://10.0.9.5:8200", "10.0.9.5"),
            ("https://[fd00::5]:8200/v1", "fd00::5"),
            ("10.0.9.5", "10.0.9.5"),
        ] {
            assert_eq!(address(url), ip.parse().ok(), "{url}");
        }
        assert_eq!(address("https://vault.vault.svc:8200"), None);
        assert_eq!(address(""), None);
    }
}
