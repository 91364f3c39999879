//! One transaction: old tables out, new tables in, or nothing at all.

use sunup_capture::ruleset::{
    Chain, DynamicKey, Family, Hook, Routing, Rule, Ruleset, Set, SetContent, Span, Table,
    address_spans, port_spans,
};

use super::encode::Program;
use super::message::{header, kind, number};
use crate::netlink::{Attrs, Message, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NetlinkError, Socket};

const NLM_F_APPEND: u16 = 0x800;
/// Elements per message: the length of a list is counted in 16 bits.
const ELEMENTS_PER_MESSAGE: usize = 1000;

const SET_INTERVAL: u32 = 4;
const SET_TIMEOUT: u32 = 0x10;
const SET_EVAL: u32 = 0x20;
const INTERVAL_END: u32 = 1;
/// Size of a dynamic set: there are at most three capture ports.
const DYNAMIC_SIZE: u32 = 16;

/// nft's numbers of data types, so that `nft list` shows elements as what they are.
mod datatype {
    pub(super) const IPV4_ADDR: u32 = 7;
    pub(super) const IPV6_ADDR: u32 = 8;
    pub(super) const INET_SERVICE: u32 = 13;
    pub(super) const IFNAME: u32 = 41;
}

/// The generation of the namespace's rules, to be named in a transaction that relies on it.
pub(crate) fn generation(socket: &mut Socket) -> Result<u32, NetlinkError> {
    let ask = Message::new(kind::GET_GENERATION, 0, &header(0, 0), "asking for the generation");
    let mut generation = 0;
    socket.dump(&ask, |answer| {
        generation = Attrs(answer.payload.get(4..).unwrap_or_default()).be32(1).unwrap_or(0);
    })?;
    Ok(generation)
}

/// Replaces the tables of the given families by those of a ruleset (`None`: by nothing).
///
/// # Errors
/// Whatever the kernel refuses; the namespace is then as it was. `ERESTART` means that somebody
/// else changed rules since `generation` was read: look again and retry.
pub(crate) fn replace(
    socket: &mut Socket,
    generation: u32,
    name: &str,
    old: &[Family],
    new: Option<&Ruleset>,
) -> Result<(), NetlinkError> {
    socket.send(&batch(generation, name, old, new))
}

fn batch(generation: u32, name: &str, old: &[Family], new: Option<&Ruleset>) -> Vec<Message> {
    const NFTABLES: u16 = 10;
    let mut begin =
        Message::new(kind::BATCH_BEGIN, 0, &header(0, NFTABLES), "beginning the transaction");
    begin.put_be32(1, generation);
    let mut out = vec![begin];
    for family in old {
        let what = format!("removing table {} {name}", family.word());
        let mut message = Message::new(kind::DEL_TABLE, 0, &header(number(*family), 0), what);
        message.put_str(1, name);
        out.push(message);
    }
    if let Some(ruleset) = new {
        let note = note(ruleset);
        for table in &ruleset.tables {
            let exists = old.contains(&table.family);
            Writer { family: table.family, name, out: &mut out }.table(table, &note, exists);
        }
    }
    // Acknowledging the end of a batch is new in Linux 6.10; the last request in it will do.
    if let Some(last) = out.last_mut() {
        last.flag(NLM_F_ACK);
    }
    let end = Message::new(kind::BATCH_END, 0, &header(0, NFTABLES), "ending the transaction");
    out.push(end);
    out
}

/// What the table remembers of how it was made, as the comment that `nft list` shows.
pub(super) fn note(ruleset: &Ruleset) -> String {
    let Routing { tproxy, ipv6 } = ruleset.routing;
    let (mark, table) = tproxy.unwrap_or_default();
    let digest = ruleset.digest();
    let gate: Vec<String> = ruleset.gate_ports().iter().map(u16::to_string).collect();
    format!(
        "sunup 1 digest={digest:016x} mark={mark} table={table} ipv6={} gate={}",
        u8::from(ipv6),
        gate.join(",")
    )
}

/// What [`note`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) digest: u64,
    pub(crate) routing: Routing,
    pub(crate) gate_ports: Vec<u16>,
}

impl Note {
    pub(super) fn parse(note: &str) -> Option<Self> {
        let mut words = note.strip_prefix("sunup 1 ")?.split(' ');
        let mut value = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let digest = u64::from_str_radix(value("digest")?, 16).ok()?;
        let mark: u32 = value("mark")?.parse().ok()?;
        let table: u32 = value("table")?.parse().ok()?;
        let ipv6 = value("ipv6")? == "1";
        let gate_ports = value("gate")?.split(',').filter_map(|port| port.parse().ok()).collect();
        let routing = Routing { tproxy: (mark != 0).then_some((mark, table)), ipv6 };
        Some(Self { digest, routing, gate_ports })
    }
}

/// nft's way of storing a comment: type 0, length, text with its NUL.
pub(super) fn comment(text: &str) -> Vec<u8> {
    let mut out = vec![0, u8::try_from(text.len() + 1).expect("our comments are short")];
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    out
}

/// Elements of a static set as (key, is the end of an interval).
pub(super) fn elements(family: Family, content: &SetContent) -> Vec<(Vec<u8>, bool)> {
    let (spans, width) = match content {
        SetContent::Addresses(list) => {
            (address_spans(list), if family == Family::Ip { 4 } else { 16 })
        }
        SetContent::Ports(list) => (port_spans(list), 2),
        SetContent::Dynamic { .. } => (Vec::new(), 0),
    };
    let key = |n: u128| n.to_be_bytes()[16 - width..].to_vec();
    let max = if width == 16 { u128::MAX } else { (1u128 << (8 * width)) - 1 };
    let mut out = Vec::with_capacity(spans.len() * 2);
    for Span { first, last } in spans {
        out.push((key(first), false));
        // The end is the first key outside; the last of all keys has none.
        if last < max {
            out.push((key(last + 1), true));
        }
    }
    out
}

struct Writer<'o> {
    family: Family,
    /// The table's.
    name: &'o str,
    out: &'o mut Vec<Message>,
}

impl Writer<'_> {
    fn message(&self, kind: u16, flags: u16, what: String) -> Message {
        let mut message = Message::new(kind, flags, &header(number(self.family), 0), what);
        message.put_str(1, self.name);
        message
    }

    fn table(&mut self, table: &Table, note: &str, replaced: bool) {
        let word = self.family.word();
        // Without the flag a table made meanwhile by somebody else would be added to.
        let flags = NLM_F_CREATE | if replaced { 0 } else { NLM_F_EXCL };
        let mut message =
            self.message(kind::NEW_TABLE, flags, format!("adding table {word} {}", self.name));
        message.put(6, &comment(note));
        self.out.push(message);
        for name in &table.counters {
            let mut message =
                self.message(kind::NEW_OBJECT, NLM_F_CREATE, format!("adding counter {name}"));
            message.put_str(2, name).put_be32(3, 1).nest(4, |_| ());
            self.out.push(message);
        }
        for (index, set) in table.sets.iter().enumerate() {
            let id = u32::try_from(index + 1).expect("a handful of sets");
            self.set(set, id);
        }
        for chain in &table.chains {
            self.chain(chain);
        }
        for chain in &table.chains {
            for rule in &chain.rules {
                self.rule(chain.name, rule);
            }
        }
    }

    fn set(&mut self, set: &Set, id: u32) {
        let (flags, datatype, width) = match &set.content {
            SetContent::Addresses(_) if self.family == Family::Ip => {
                (SET_INTERVAL, datatype::IPV4_ADDR, 4)
            }
            SetContent::Addresses(_) => (SET_INTERVAL, datatype::IPV6_ADDR, 16),
            SetContent::Ports(_) => (SET_INTERVAL, datatype::INET_SERVICE, 2),
            SetContent::Dynamic { key, timeouts } => {
                let flags = SET_EVAL | if *timeouts { SET_TIMEOUT } else { 0 };
                match key {
                    DynamicKey::TcpSport => (flags, datatype::INET_SERVICE, 2),
                    DynamicKey::OifName => (flags, datatype::IFNAME, 16),
                }
            }
        };
        let what = format!("adding set {} of table {}", set.name, self.family.word());
        let mut message = self.message(kind::NEW_SET, NLM_F_CREATE, what);
        message.put_str(2, set.name).put_be32(3, flags).put_be32(4, datatype).put_be32(5, width);
        message.put_be32(10, id);
        if flags & SET_EVAL != 0 {
            message.nest(9, |m| {
                m.put_be32(1, DYNAMIC_SIZE);
            });
        }
        self.out.push(message);
        for chunk in elements(self.family, &set.content).chunks(ELEMENTS_PER_MESSAGE) {
            let what = format!("adding elements to set {}", set.name);
            let mut message = self.message(kind::NEW_ELEMENTS, NLM_F_CREATE, what);
            message.put_str(2, set.name).put_be32(4, id).nest(3, |m| {
                for (key, end) in chunk {
                    m.nest(1, |m| {
                        if *end {
                            m.put_be32(3, INTERVAL_END);
                        }
                        m.nest(1, |m| {
                            m.put(1, key);
                        });
                    });
                }
            });
            self.out.push(message);
        }
    }

    fn chain(&mut self, chain: &Chain) {
        let what = format!("adding chain {} of table {}", chain.name, self.family.word());
        let mut message = self.message(kind::NEW_CHAIN, NLM_F_CREATE, what);
        message.put_str(3, chain.name);
        if let Some(base) = chain.base {
            let hook = match base.hook {
                Hook::Prerouting => 0,
                Hook::Output => 3,
            };
            message.nest(4, |m| {
                m.put_be32(1, hook).put(2, &base.priority.to_be_bytes());
            });
            // NF_ACCEPT
            message.put_be32(5, 1).put_str(7, base.kind);
        }
        self.out.push(message);
    }

    fn rule(&mut self, chain: &str, rule: &Rule) {
        let what =
            format!("adding rule {} to chain {chain} of table {}", rule.id, self.family.word());
        let mut message = self.message(kind::NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, what);
        message.put_str(2, chain);
        let family = self.family;
        message.nest(4, |m| Program::write(m, family, rule));
        message.put(7, &comment(rule.id));
        self.out.push(message);
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::netlink::NETFILTER;
    use sunup_capture::ruleset::TABLE;
    use sunup_capture::{Host, Plan, Settings};

    use super::*;
    use crate::nft::existing;

    fn ruleset(args: &[&str]) -> Ruleset {
        let settings = Settings::from_args(args, &[], &Host::default()).unwrap();
        Ruleset::new(&Plan::new(settings)).unwrap()
    }

    #[test]
    fn the_note_survives_the_round_trip() {
        let ruleset = ruleset(&["-i", "*", "-b", "*", "-m", "TPROXY"]);
        let read = Note::parse(&note(&ruleset)).unwrap();
        assert_eq!((read.digest, read.routing), (ruleset.digest(), ruleset.routing));
        assert_eq!(read.gate_ports, [15001]);
        assert_eq!(Note::parse("somebody else's"), None);
        assert_eq!(Note::parse("sunup 1 digest=zz"), None);
    }

    #[test]
    fn spans_end_where_the_next_key_begins_and_the_last_has_no_end() {
        let content = SetContent::Addresses(vec![
            "10.0.0.0/8".parse().unwrap(),
            "255.255.255.0/24".parse().unwrap(),
        ]);
        let keys = elements(Family::Ip, &content);
        let expected: [(&[u8], bool); 3] =
            [(&[10, 0, 0, 0], false), (&[11, 0, 0, 0], true), (&[255, 255, 255, 0], false)];
        assert!(keys.iter().map(|(k, e)| (k.as_slice(), *e)).eq(expected));
    }

    /// Every single message is made to fail in turn: afterwards the namespace holds the old rules
    /// or none, never a part.
    #[test]
    fn a_failing_message_leaves_the_namespace_as_it_was() {
        let test = "a_failing_message_leaves_the_namespace_as_it_was";
        let space = crate::ns::Namespace::try_new();
        let Some(space) = sunup_testkit::require(test, "a network namespace", space) else {
            return;
        };
        let first = ruleset(&["-i", "*", "-b", "*"]);
        let second = ruleset(&["-i", "10.0.0.0/8", "-b", "80", "-o", "3306", "-m", "TPROXY"]);
        space
            .run(|| {
                let mut socket = Socket::open(Some(NETFILTER)).unwrap();
                let count = batch(0, TABLE, &[], Some(&first)).len();
                for n in 1..count - 1 {
                    let generation = generation(&mut socket).unwrap();
                    let mut messages = batch(generation, TABLE, &[], Some(&first));
                    messages[n].spoil();
                    assert!(socket.send(&messages).is_err(), "message {n} of {count}");
                    assert_eq!(existing(&mut socket, TABLE).unwrap(), [], "message {n} of {count}");
                }
                let now = generation(&mut socket).unwrap();
                replace(&mut socket, now, TABLE, &[], Some(&first)).unwrap();
                let before = existing(&mut socket, TABLE).unwrap();
                let count = batch(0, TABLE, &[Family::Ip], Some(&second)).len();
                for n in 1..count - 1 {
                    let generation = generation(&mut socket).unwrap();
                    let mut messages = batch(generation, TABLE, &[Family::Ip], Some(&second));
                    messages[n].spoil();
                    assert!(socket.send(&messages).is_err(), "message {n} of {count}");
                    assert_eq!(
                        existing(&mut socket, TABLE).unwrap(),
                        before,
                        "message {n} of {count}"
                    );
                }
                let stale =
                    replace(&mut socket, now, TABLE, &[Family::Ip], Some(&second)).unwrap_err();
                assert_eq!(stale.errno(), Some(rustix::io::Errno::RESTART), "{stale}");
                assert_eq!(existing(&mut socket, TABLE).unwrap(), before);
            })
            .unwrap();
    }
}
