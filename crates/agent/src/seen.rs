//! What is seen of a port's listeners, as a port's life needs to know it. Pure but for the agent's own
//! user.

use sunup_node::life::Look;
use sunup_sys::listeners::Listener;
use sunup_sys::standin::Address;

/// What the listeners of a port come to, for a stand-in of an address and user.
pub(crate) fn look(
    seen: &[Listener],
    address: Address,
    uid: Option<u32>,
    own: Option<u64>,
) -> Look {
    let mut look = Look::default();
    // Without a user of its own, a stand-in is the agent's.
    let uid = uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    for listener in seen {
        let any = listener.ip.is_unspecified();
        // A socket for both families takes IPv4 connections too.
        let covers = listener.ip.is_ipv6() == address.ipv6
            || (any && listener.ip.is_ipv6() && !listener.one_family);
        match () {
            () if own == Some(listener.cookie) => look.queued = listener.queued,
            () if listener.takes_over(address, uid) => look.proxy = true,
            () if covers && any => look.elsewhere = true,
            () if covers => look.other = true,
            () => {}
        }
    }
    look
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn who_listens_is_told_apart() {
        let at = |ip: &str, one_family, uid, cookie| Listener {
            ip: ip.parse::<IpAddr>().unwrap(),
            one_family,
            uid,
            queued: 3,
            cookie,
        };
        let v4 = Address { port: 15001, ipv6: false };
        let v6 = Address { port: 15001, ipv6: true };
        let word = |listener: Listener, address| {
            let seen = look(&[listener], address, Some(1337), Some(7));
            match seen {
                Look { proxy: true, .. } => "proxy",
                Look { elsewhere: true, .. } => "elsewhere",
                Look { other: true, .. } => "other",
                Look { queued: 3, .. } => "own",
                _ => "nobody",
            }
        };
        for (listener, address, expected) in [
            (at("0.0.0.0", true, 1337, 7), v4, "own"),
            (at("0.0.0.0", true, 1337, 8), v4, "proxy"),
            (at("0.0.0.0", true, 0, 8), v4, "elsewhere"),
            (at("127.0.0.1", true, 1337, 8), v4, "other"),
            (at("::", true, 1337, 8), v4, "nobody"),
            (at("::", false, 1337, 8), v4, "elsewhere"),
            (at("::1", true, 1337, 8), v4, "nobody"),
            (at("::", true, 1337, 8), v6, "proxy"),
            (at("::", false, 1337, 8), v6, "elsewhere"),
            (at("0.0.0.0", true, 1337, 8), v6, "nobody"),
            (at("::1", true, 1337, 8), v6, "other"),
        ] {
            assert_eq!(word(listener, address), expected, "{listener:?} {address:?}");
        }
    }
}
