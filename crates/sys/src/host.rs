//! What this host tells about itself, read once, for [`sunup_capture::Host`].

use sunup_capture::Host;

/// Reads passwd, group, resolv.conf and the addresses of the calling thread's namespace;
/// whatever can't be read stays unknown.
#[must_use]
pub fn facts() -> Host {
    Host {
        passwd: std::fs::read_to_string("/etc/passwd").ok(),
        group: std::fs::read_to_string("/etc/group").ok(),
        resolv_conf: std::fs::read_to_string("/etc/resolv.conf").ok(),
        addresses: crate::route::addresses().ok(),
    }
}

/// The kernel's release, as `uname -r` says it.
#[must_use]
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Whether a user id exists in this process' user namespace: in one with a single id, owner rules
/// for any other never match (nftables) or are refused (iptables).
#[must_use]
pub fn uid_exists(uid: u32) -> bool {
    std::fs::read_to_string("/proc/self/uid_map").map_or(true, |map| maps(&map, uid))
}

/// Lines of user_namespaces(7): first id inside, first outside, how many.
fn maps(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(_), Some(Ok(count))) =
            (words.next(), words.next(), words.next())
        else {
            return false;
        };
        (first..first + count).contains(&u64::from(uid))
    })
}

#[cfg(test)]
mod tests {
    use super::maps;

    #[test]
    fn a_single_id_is_the_only_one() {
        assert!(maps("         0          0 4294967295\n", 1337));
        assert!(maps("0 1000 1\n1 100000 65536\n", 1337));
        assert!(!maps("0 1000 1\n", 1337));
        assert!(!maps("", 0));
    }
}
