//! The words of `sunup capture … --help`. Arguments come from the table that parses them.

use std::fmt::Write as _;

use sunup_capture::settings::{FLAGS, FlagKind};

pub(super) const AFTER_HELP: &str = "\
Every action takes istio-init's own arguments: `sunup capture apply --help` lists them.

Examples:
  Capture as istio-init would in a default mesh:
    sunup capture apply -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -b '*' -d 15090,15021,15020
  See the rules without setting them:
    sunup capture show -i '*' -x 10.0.9.0/24
  Why does this connection fail before the proxy is up?
    sunup capture explain -i '*' --to 10.0.0.5:6379
  Is capture in force, and is the start gate holding anything?
    sunup capture check";

pub(super) const APPLY: &str = "\
Puts capture in force: one nftables transaction, all or nothing. Applied twice it changes nothing;
rules of others are never touched. Needs NET_ADMIN, as istio-init does.

Examples:
  sunup capture apply -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -x '' -b '*' -d 15090,15021,15020
  sunup capture apply -i 10.0.0.0/8 -b 8080 --start-gate-deadline 30s
  sunup capture apply --config capture.json --backend iptables";
pub(super) const SHOW: &str = "\
Prints the rules that apply would set, as `nft -f` reads them (with --backend iptables: as
iptables-restore does). Needs no privilege.

      --format FORMAT
          text, or json: the settings as they were understood [text]

Examples:
  sunup capture show -i '*' -b '*' --redirect-dns
  sunup capture show -i '*' --format json";
pub(super) const CHECK: &str = "\
Says whether capture is in force and what the start gate does. With settings: whether it is in
force as they say, rule by rule. Exit code 0: in force; 1: not; 2: can't tell. Needs NET_ADMIN in
the pod's network namespace: an application's container can't see this.

      --format FORMAT
          text or json [text]

Examples:
  sunup capture check
  sunup capture check -i '*' -b '*' --format json
  sunup capture check --network-namespace /proc/4711/ns/net";
pub(super) const EXPLAIN: &str = "\
Says what happens to the first packet of a connection, by which rule, and why. Needs no privilege
and sends nothing.

      --to ADDRESS[:PORT]
          Where it goes (IPv6 with a port: [fd00::1]:80). Required
      --in, --out
          It arrives at the pod, or the pod sends it [--out]
      --udp
          A datagram; otherwise TCP
      --uid UID, --gid GID (or --from-uid, --from-gid)
          The sender, by number; otherwise an ordinary process
      --from ADDRESS
          Its source address
      --interface NAME
          The interface it leaves or arrives by; otherwise lo for the pod's own addresses
      --mark MARK
          Its mark
      --format FORMAT
          text or json [text]

Examples:
  sunup capture explain -i '*' --to 10.0.0.5:6379
  sunup capture explain -i '*' -x 10.0.9.0/24 --to 10.0.9.9:8200 --uid 1000
  sunup capture explain -i '*' -b '*' -d 15021 --in --to 10.0.0.7:15021";
pub(super) const CLEAN: &str = "\
Removes Sunup's own tables, and the routing they came with in TPROXY mode. Rules of others stay.

Examples:
  sunup capture clean
  sunup capture clean --backend iptables";

/// The help of an action: its words, then the table of arguments.
pub(super) fn help(action: &str, words: &str) -> String {
    let (about, examples) = words.split_once("\n\nExamples:").unwrap_or((words, ""));
    let mut out = format!("{about}\n\nUsage: sunup capture {action} [ARGUMENTS]\n\n");
    out.push_str("Arguments (istio-init's, in all of its forms; the last one wins):\n");
    for flag in FLAGS.iter().filter(|flag| !flag.help.is_empty()) {
        let short = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
        let value = if flag.kind == FlagKind::Value { " VALUE" } else { "[=BOOL]" };
        let _ = writeln!(out, "  {short}--{}{value}", flag.long);
        for line in wrap(flag.help, 84) {
            let _ = writeln!(out, "          {line}");
        }
        if !flag.env.is_empty() {
            let _ = writeln!(out, "          env: {}", flag.env.join(", "));
        }
    }
    out.push_str(
        "      --config FILE\n          Settings as a JSON object with Istio's field names \
         (OutboundIPRangesInclude …);\n          arguments win over it. The host is not \
         asked then: EnableIPv6 is false, and there are\n          no DNS servers, unless the file \
         says so\n\n\
         Variables without an argument: ISTIO_OUTBOUND_OWNER_GROUPS, \
         ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE,\nISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR\n",
    );
    if !examples.is_empty() {
        let _ = write!(out, "\nExamples:{examples}\n");
    }
    out
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if lines.last().is_some_and(|l| !l.is_empty() && l.len() + 1 + word.len() > width) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_every_argument_with_a_meaning() {
        let text = help("apply", APPLY);
        for flag in FLAGS.iter().filter(|flag| !flag.help.is_empty()) {
            assert!(text.contains(&format!("--{}", flag.long)), "{}", flag.long);
        }
        assert!(text.contains("Examples:") && text.lines().all(|line| line.len() <= 100));
    }
}
