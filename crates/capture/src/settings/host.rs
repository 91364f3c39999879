//! What only the pod's own file system and interfaces can tell, handed in as text.

use std::net::IpAddr;

/// Facts about the host; every field may be unknown (a doctor reading manifests has none).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Contents of `/etc/passwd`.
    pub passwd: Option<String>,
    /// Contents of `/etc/group`.
    pub group: Option<String>,
    /// Contents of `/etc/resolv.conf`.
    pub resolv_conf: Option<String>,
    /// Addresses of the pod's interfaces, in the kernel's order.
    pub addresses: Option<Vec<IpAddr>>,
}

impl Host {
    /// The number of a user name.
    #[must_use]
    pub fn uid(&self, name: &str) -> Option<u32> {
        id_of(self.passwd.as_deref()?, name)
    }

    /// The number of a group name.
    #[must_use]
    pub fn gid(&self, name: &str) -> Option<u32> {
        id_of(self.group.as_deref()?, name)
    }

    /// `nameserver` entries that are addresses, in order; `None` without a resolv.conf.
    #[must_use]
    pub fn dns_servers(&self) -> Option<Vec<IpAddr>> {
        let servers = self
            .resolv_conf
            .as_deref()?
            .lines()
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                (words.next() == Some("nameserver")).then(|| words.next()).flatten()
            })
            .filter_map(|word| word.parse().ok())
            .collect();
        Some(servers)
    }

    /// Whether Istio would capture IPv6: the first address that is neither loopback nor
    /// link-local decides; with dual stack, any such address that is IPv6 does.
    ///
    /// # Sources
    /// istio `tools/common/config/config.go`, `getLocalIP`.
    #[must_use]
    pub fn ipv6(&self, dual_stack: bool) -> Option<bool> {
        let mut usable = self.addresses.as_ref()?.iter().map(IpAddr::to_canonical).filter(|ip| {
            !ip.is_loopback()
                && match ip {
                    IpAddr::V4(v4) => !v4.is_link_local() && !is_link_local_multicast(ip),
                    IpAddr::V6(v6) => !v6.is_unicast_link_local() && !is_link_local_multicast(ip),
                }
        });
        if dual_stack {
            Some(usable.any(|ip| ip.is_ipv6()))
        } else {
            usable.next().map(|ip| ip.is_ipv6())
        }
    }
}

fn is_link_local_multicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

/// `name:password:number:…`, the format of passwd(5) and group(5).
fn id_of(file: &str, name: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(addresses: &[&str]) -> Host {
        Host {
            addresses: Some(addresses.iter().map(|a| a.parse().unwrap()).collect()),
            ..Host::default()
        }
    }

    #[test]
    fn first_usable_address_decides_ipv6() {
        let pod = with(&["127.0.0.1", "10.0.0.7", "::1", "fd00::7", "fe80::1"]);
        assert_eq!(pod.ipv6(false), Some(false));
        assert_eq!(pod.ipv6(true), Some(true));
        assert_eq!(with(&["::1", "fe80::1", "fd00::7", "10.0.0.7"]).ipv6(false), Some(true));
        assert_eq!(with(&["127.0.0.1", "fe80::1"]).ipv6(true), Some(false));
        assert_eq!(with(&["127.0.0.1"]).ipv6(false), None);
        assert_eq!(Host::default().ipv6(true), None);
    }

    #[test]
    fn files_are_read_as_the_system_reads_them() {
        let host = Host {
            group: Some("root:x:0:\nftp:x:111:\nbad\njava:x:202:a,b\n".into()),
            resolv_conf: Some(
                "# c\nsearch a b\nnameserver 10.0.0.10\nnameserver\tfd00::a\nnameserver x\n".into(),
            ),
            ..Host::default()
        };
        assert_eq!(host.gid("java"), Some(202));
        assert_eq!(host.gid("jav"), None);
        assert_eq!(host.uid("root"), None);
        let servers: Vec<IpAddr> = vec!["10.0.0.10".parse().unwrap(), "fd00::a".parse().unwrap()];
        assert_eq!(host.dns_servers(), Some(servers));
    }
}
