//! The form that the control plane wants address ranges in.
//!
//! # Sources
//! istio/istio `pkg/kube/inject/validate.go`: the list is split at commas and each part must be a
//! CIDR as it stands, blanks included; `*` alone is allowed where ranges are included.

use std::net::IpAddr;

use sunup_api::annotation;

/// Annotations that hold ranges.
pub(crate) const KEYS: [&str; 2] =
    [annotation::EXCLUDE_OUTBOUND_RANGES, annotation::INCLUDE_OUTBOUND_RANGES];

/// Parts of a list that are no CIDR, as they stand.
pub(crate) fn wrong(key: &str, list: &str) -> Vec<String> {
    if list.is_empty() || key == annotation::INCLUDE_OUTBOUND_RANGES && list == "*" {
        return Vec::new();
    }
    list.split(',').filter(|part| !is_cidr(part)).map(str::to_owned).collect()
}

/// The same list as the control plane takes it; `None` where a part can't be told, or nothing is
/// wrong.
pub(crate) fn corrected(list: &str) -> Option<String> {
    let parts = list.split([',', ' ', '\n', ';']).map(str::trim).filter(|p| !p.is_empty());
    let right: Option<Vec<String>> = parts.map(one).collect();
    let right = right?.join(",");
    (right != list && !right.is_empty()).then_some(right)
}

fn one(part: &str) -> Option<String> {
    if is_cidr(part) {
        return Some(part.to_owned());
    }
    let ip: IpAddr = part.parse().ok()?;
    Some(format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }))
}

fn is_cidr(part: &str) -> bool {
    let Some((ip, bits)) = part.split_once('/') else { return false };
    let Ok(ip) = ip.parse::<IpAddr>() else { return false };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let plain = bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    plain && bits.parse::<u8>().is_ok_and(|b| b <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_control_plane_refuses_is_named_and_mended() {
        let (exclude, include) = (KEYS[0], KEYS[1]);
        assert!(wrong(exclude, "10.0.0.0/8,fd00::/8").is_empty());
        assert!(wrong(include, "*").is_empty() && wrong(exclude, "").is_empty());
        assert_eq!(wrong(exclude, "10.0.0.5"), ["10.0.0.5"]);
        assert_eq!(wrong(exclude, "10.0.0.0/8, 10.1.0.0/16"), [" 10.1.0.0/16"]);
        assert_eq!(wrong(exclude, "vault.vault.svc"), ["vault.vault.svc"]);
        assert_eq!(corrected("10.0.0.5").as_deref(), Some("10.0.0.5/32"));
        assert_eq!(corrected("10.0.0.0/8, fd00::1").as_deref(), Some("10.0.0.0/8,fd00::1/128"));
        assert_eq!(corrected("10.0.0.0/8"), None);
        assert_eq!(corrected("vault.vault.svc"), None);
        assert_eq!(corrected("10.0.0.0/33"), None);
    }
}
