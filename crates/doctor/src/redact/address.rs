//! Addresses mapped to others so that networks stay networks.
//!
//! Two addresses that share their first bits share as many after: an address lies in a range before
//! exactly if it does so after. Private ranges map to themselves as a whole, so a private address
//! stays one.
//!
//! # Sources
//! Xu, Fan, Ammar, Moon, "Prefix-Preserving IP Address Anonymization" (2002).

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ranges that everybody has, or that mean something by themselves (IANA special-purpose
/// registries).
const V4: [(Ipv4Addr, u8); 10] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // From where an ambient mesh shows the kubelet's probes.
    (Ipv4Addr::new(169, 254, 7, 127), 32),
    (Ipv4Addr::new(169, 254, 169, 254), 32),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];
const V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// Whether an address or a range tells nothing of anybody: loopback, the metadata server, a whole
/// private range.
pub(super) fn is_public(ip: IpAddr, bits: Option<u8>) -> bool {
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return true;
    }
    let special = match ip {
        IpAddr::V4(v4) => V4.iter().any(|&(net, len)| net == v4 && bits.unwrap_or(32) == len),
        IpAddr::V6(v6) => V6.iter().any(|&(net, len)| net == v6 && bits.unwrap_or(128) == len),
    };
    special || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Another address; of a range, its first one.
pub(super) fn mapped(ip: IpAddr, bits: Option<u8>, key: &impl BuildHasher) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let nets = V4.map(|(net, len)| (u128::from(net.to_bits()) << 96, len));
            let out = flip(u128::from(v4.to_bits()) << 96, 32, &nets, key);
            let out = cut(out, bits.unwrap_or(32));
            IpAddr::V4(Ipv4Addr::from_bits((out >> 96) as u32))
        }
        IpAddr::V6(v6) => {
            let nets = V6.map(|(net, len)| (net.to_bits(), len));
            let out = flip(v6.to_bits(), 128, &nets, key);
            IpAddr::V6(Ipv6Addr::from_bits(cut(out, bits.unwrap_or(128))))
        }
    }
}

/// The first `bits` of an address.
fn cut(address: u128, bits: u8) -> u128 {
    match bits {
        0 => 0,
        bits => address & (u128::MAX << (128 - u32::from(bits.min(128)))),
    }
}

/// Each bit is turned or not by what the bits before it are; on the way to a special range none is.
fn flip(address: u128, width: u8, special: &[(u128, u8)], key: &impl BuildHasher) -> u128 {
    let mut out = address;
    for bit in 0..width {
        let before = cut(address, bit);
        let leads = special.iter().any(|&(net, len)| bit < len && cut(net, bit) == before);
        if !leads && key.hash_one((width, bit, before)) & 1 == 1 {
            out ^= 1 << (127 - u32::from(bit));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// How many first bits two addresses share.
    fn shared(a: IpAddr, b: IpAddr) -> u32 {
        match (a, b) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => 0,
        }
    }

    #[test]
    fn what_shares_a_network_still_does() {
        let key = RandomState::new();
        let all = [
            "10.30.4.7",
            "10.30.4.8",
            "10.31.0.1",
            "10.200.1.1",
            "192.168.9.16",
            "192.168.0.1",
            "172.16.3.4",
            "172.32.0.1",
            "8.8.8.8",
            "8.8.4.4",
            "93.184.216.34",
            "100.64.0.9",
        ]
        .map(ip);
        for a in all {
            for b in all {
                let (x, y) = (mapped(a, None, &key), mapped(b, None, &key));
                assert_eq!(shared(a, b), shared(x, y), "{a} {b} became {x} {y}");
            }
        }
        let (a, b) = (ip("2001:db8::1"), ip("2001:db8::2:1"));
        assert_eq!(shared(a, b), shared(mapped(a, None, &key), mapped(b, None, &key)));
    }

    #[test]
    fn ranges_hold_what_they_held_and_private_ones_stay_private() {
        let key = RandomState::new();
        for (net, bits, inside) in [("10.30.4.0", 24, "10.30.4.7"), ("8.8.0.0", 16, "8.8.4.4")] {
            let range = mapped(ip(net), Some(bits), &key);
            assert!(shared(range, mapped(ip(inside), None, &key)) >= u32::from(bits));
        }
        for private in ["10.1.2.3", "172.20.0.5", "192.168.7.7"] {
            let IpAddr::V4(out) = mapped(ip(private), None, &key) else { panic!("another family") };
            assert!(out.is_private(), "{private} became {out}");
        }
        assert!(is_public(ip("10.0.0.0"), Some(8)) && !is_public(ip("10.0.0.0"), Some(9)));
        assert!(is_public(ip("127.0.0.6"), None) && is_public(ip("169.254.169.254"), None));
    }

    #[test]
    fn another_run_maps_otherwise() {
        let map = |key: &RandomState| {
            (1..40).map(|i| mapped(ip(&format!("8.1.{i}.77")), None, key)).collect::<Vec<_>>()
        };
        assert_ne!(map(&RandomState::new()), map(&RandomState::new()));
    }
}
