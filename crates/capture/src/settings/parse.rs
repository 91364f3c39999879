//! Values as people type them: ports, ranges, ids, interface names, durations.
//!
//! As strict as Istio where Istio is strict (an address range needs its `/bits`), and stricter
//! where iptables would have taken a word we can't check.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::checked::{Group, Include, PortRange};
use super::error::SettingsError;
use super::host::Host;

type Result<T> = std::result::Result<T, SettingsError>;

/// Items between commas; Istio drops empty ones (`config.Split`).
pub(super) fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|item| !item.is_empty())
}

pub(super) fn port(field: &str, value: &str) -> Result<u16> {
    match value.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(SettingsError::new(field, format!("\"{value}\" is not a port (1 to 65535)"))),
    }
}

fn port_range(field: &str, item: &str) -> Result<PortRange> {
    let bad = || {
        let why = "is neither a port nor a range such as 8000:8010";
        SettingsError::new(field, format!("\"{item}\" {why}"))
    };
    let number = |text: &str| text.trim().parse::<u16>().map_err(|_| bad());
    let (lo, hi) = match item.split_once(':') {
        Some((lo, hi)) => (number(lo)?, number(hi)?),
        None => (number(item)?, number(item)?),
    };
    if lo > hi { Err(bad()) } else { Ok(PortRange { lo, hi }) }
}

pub(super) fn ports(field: &str, list: &str) -> Result<Vec<PortRange>> {
    if list.trim() == "*" {
        return Err(SettingsError::new(field, "\"*\" is not possible here: list the ports"));
    }
    split(list).map(|item| port_range(field, item)).collect()
}

pub(super) fn ports_or_all(field: &str, list: &str) -> Result<Include<PortRange>> {
    if list == "*" { Ok(Include::All) } else { ports(field, list).map(Include::Only) }
}

/// One range, as Go's `netip.ParsePrefix` takes it: host bits are allowed, a bare address isn't.
pub(super) fn range(field: &str, item: &str) -> Result<IpNet> {
    let fail = |why: String| Err(SettingsError::new(field, format!("\"{item}\" {why}")));
    if item != item.trim() {
        return fail("has a space in it: Istio refuses that, write the list without spaces".into());
    }
    let Some((address, bits)) = item.rsplit_once('/') else {
        return match item.parse::<IpAddr>() {
            Ok(ip) => {
                let bits = if ip.is_ipv4() { 32 } else { 128 };
                fail(format!("is an address, not a range: write {item}/{bits}"))
            }
            Err(_) => fail("is not an address range such as 10.0.0.0/8".into()),
        };
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        return fail(format!("is not an address range: {address:?} is no IP address"));
    };
    let max = if ip.is_ipv4() { 32 } else { 128 };
    // Go refuses signs and leading zeros in the prefix length.
    let plain = bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    match bits.parse::<u8>() {
        Ok(bits) if plain && bits <= max => Ok(IpNet::new_assert(ip, bits)),
        _ => fail(format!("is not an address range: the part after / must be 0 to {max}")),
    }
}

pub(super) fn ranges(field: &str, list: &str) -> Result<Vec<IpNet>> {
    split(list).map(|item| range(field, item)).collect()
}

pub(super) fn loopback(field: &str, value: &str) -> Result<Ipv4Net> {
    match range(field, value)? {
        IpNet::V4(net) if net.addr().is_loopback() && net.prefix_len() >= 8 => Ok(net),
        _ => Err(SettingsError::new(
            field,
            format!("\"{value}\" is not an IPv4 loopback range between /8 and /32"),
        )),
    }
}

/// User ids; names go through the host's passwd file.
pub(super) fn uids(field: &str, list: &str, host: &Host) -> Result<Vec<u32>> {
    ids(field, list, "user", |name| host.uid(name))
}

pub(super) fn gids(field: &str, list: &str, host: &Host) -> Result<Vec<u32>> {
    ids(field, list, "group", |name| host.gid(name))
}

fn ids(
    field: &str,
    list: &str,
    what: &str,
    by_name: impl Fn(&str) -> Option<u32>,
) -> Result<Vec<u32>> {
    let ids = split(list)
        .map(|item| {
            let item = item.trim();
            item.parse().ok().or_else(|| by_name(item)).ok_or_else(|| {
                SettingsError::new(
                    field,
                    format!("\"{item}\" is neither a number nor a {what} this host knows"),
                )
            })
        })
        .collect::<Result<Vec<u32>>>()?;
    if ids.is_empty() {
        return Err(SettingsError::new(field, format!("\"{list}\" names no {what}")));
    }
    Ok(ids)
}

pub(super) fn groups(list: &str, host: &Host) -> Vec<Group> {
    split(list)
        .map(|item| {
            let name = item.trim();
            Group { name: name.to_owned(), gid: name.parse().ok().or_else(|| host.gid(name)) }
        })
        .collect()
}

/// Interface names, by the kernel's rules; a trailing `+` is iptables' "any name that begins so".
pub(super) fn interfaces(field: &str, list: &str) -> Result<Vec<String>> {
    split(list)
        .map(|item| {
            let name = item.trim();
            let stem = name.strip_suffix('+').unwrap_or(name);
            let odd = |c: char| c.is_whitespace() || c.is_control() || "/:\"*\\+".contains(c);
            if name.is_empty()
                || name.len() > 15
                || stem.contains(odd)
                || stem == "."
                || stem == ".."
            {
                let why = "is not an interface name (1 to 15 characters, no space or slash)";
                return Err(SettingsError::new(field, format!("\"{item}\" {why}")));
            }
            Ok(name.to_owned())
        })
        .collect()
}

pub(super) fn servers(field: &str, list: &[String]) -> Result<Vec<IpAddr>> {
    list.iter()
        .map(|item| {
            item.parse()
                .map_err(|_| SettingsError::new(field, format!("\"{item}\" is not an IP address")))
        })
        .collect()
}

pub(super) fn number(field: &str, value: &str) -> Result<u32> {
    let text = value.trim();
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    match parsed {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(SettingsError::new(
            field,
            format!("\"{value}\" is not a number from 1 to {}", u32::MAX),
        )),
    }
}

/// The words Go's `strconv.ParseBool` takes, and `on`/`off`.
pub(super) fn boolean(field: &str, value: &str) -> Result<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" | "on" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" | "off" => Ok(false),
        _ => Err(SettingsError::new(field, format!("\"{value}\" is neither true nor false"))),
    }
}

/// A duration such as `60s`, `1m30s`, `500ms` or `0` (Go's form; a bare number is seconds).
///
/// # Errors
/// Anything else, or more than 24 days (the kernel counts set timeouts in 32 bits of ticks).
pub fn parse_duration(field: &str, value: &str) -> std::result::Result<Duration, SettingsError> {
    let bad = || {
        SettingsError::new(field, format!("\"{value}\" is not a duration such as 60s, 1m30s or 0"))
    };
    if let Ok(seconds) = value.parse::<u32>() {
        return in_limits(field, value, f64::from(seconds));
    }
    let mut rest = value;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (amount, tail) = rest.split_at(digits);
        let amount: f64 = amount.parse().map_err(|_| bad())?;
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        seconds += amount
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(bad()),
            };
        rest = tail;
    }
    in_limits(field, value, seconds)
}

fn in_limits(field: &str, value: &str, seconds: f64) -> Result<Duration> {
    const MAX: f64 = 24.0 * 86_400.0;
    if !seconds.is_finite() || seconds > MAX || (seconds > 0.0 && seconds < 0.01) {
        return Err(SettingsError::new(
            field,
            format!("\"{value}\" is out of bounds: 0 (never) or from 10ms to 24 days"),
        ));
    }
    Ok(Duration::from_millis((seconds * 1000.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_as_strict_as_istios() {
        let ok = |s: &str| range("-i", s).unwrap().to_string();
        assert_eq!(ok("10.1.2.3/8"), "10.1.2.3/8");
        assert_eq!(ok("::/0"), "::/0");
        for bad in [
            "10.0.0.1",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            " 10.0.0.0/8",
            "x/8",
            "/8",
            "fd00::/129",
            "fd00::1",
            "010.0.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            let err = range("-i", bad).unwrap_err();
            assert!(err.to_string().starts_with("-i: "), "{err}");
        }
        let hint = range("-x", "10.0.0.1").unwrap_err().to_string();
        assert!(hint.contains("write 10.0.0.1/32"), "{hint}");
    }

    #[test]
    fn ports_take_ranges_and_spaces_but_no_names() {
        assert_eq!(
            ports("-o", "80, 90,8000:8010,").unwrap(),
            [(80, 80), (90, 90), (8000, 8010)].map(|(lo, hi)| PortRange { lo, hi })
        );
        for bad in ["http", "70000", "9:8", "-1", "*,80", "*"] {
            assert!(ports("-o", bad).is_err(), "{bad}");
        }
        assert_eq!(ports_or_all("-b", "*").unwrap(), Include::All);
    }

    #[test]
    fn durations_in_gos_form() {
        let ms = |s: &str| parse_duration("x", s).map(|d| d.as_millis());
        assert_eq!(ms("60s").unwrap(), 60_000);
        assert_eq!(ms("1m30s").unwrap(), 90_000);
        assert_eq!(ms("1.5s").unwrap(), 1_500);
        assert_eq!(ms("0").unwrap(), 0);
        assert_eq!(ms("3").unwrap(), 3_000);
        for bad in ["", "s", "5x", "-1s", "1000h", "1ms", "1..2s", "nan"] {
            assert!(ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        assert_eq!(interfaces("-c", "eth0, net1,veth+").unwrap(), ["eth0", "net1", "veth+"]);
        for bad in ["a/b", "sixteen-letters-x", "a b", "..", " "] {
            assert!(interfaces("-c", bad).is_err(), "{bad}");
        }
    }
}
