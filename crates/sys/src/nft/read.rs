//! Reading Sunup's own tables back: are they there, are they whole, what does the gate say.

use std::time::Duration;

use rustix::io::Errno;
use sunup_capture::Ruleset;
use sunup_capture::ruleset::{Family, SetContent, gate};

use super::message::{header, kind, number};
use super::transaction::{Note, elements};
use crate::netlink::{Attrs, Message, NLM_F_DUMP, NetlinkError, Socket};

/// A table of ours that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Existing {
    pub(crate) family: Family,
    /// Where the table carries our note (kernels before 5.10 lose it).
    pub(crate) note: Option<Note>,
}

/// Our tables of a name, IPv4 first.
pub(crate) fn existing(socket: &mut Socket, table: &str) -> Result<Vec<Existing>, NetlinkError> {
    let ask = Message::new(kind::GET_TABLE, NLM_F_DUMP, &header(0, 0), "listing tables");
    let mut out = Vec::new();
    socket.dump(&ask, |answer| out.extend(existing_in(answer.payload, table)))?;
    out.sort_by_key(|table| table.family == Family::Ip6);
    Ok(out)
}

/// The attributes behind the family's header.
fn attrs(payload: &[u8]) -> Attrs<'_> {
    Attrs(payload.get(4..).unwrap_or_default())
}

/// A table, where it has this name.
pub(super) fn existing_in(payload: &[u8], table: &str) -> Option<Existing> {
    let attrs = attrs(payload);
    let family = match payload.first() {
        Some(2) => Family::Ip,
        Some(10) => Family::Ip6,
        _ => return None,
    };
    let note = attrs.get(6).and_then(read_comment).and_then(|text| Note::parse(&text));
    (attrs.text(1) == Some(table)).then_some(Existing { family, note })
}

pub(super) fn read_comment(data: &[u8]) -> Option<String> {
    let [0, length, rest @ ..] = data else { return None };
    let text = rest.get(..usize::from(*length).checked_sub(1)?)?;
    String::from_utf8(text.to_vec()).ok()
}

/// Rules of a table in order: chain and comment.
fn rules_of(
    socket: &mut Socket,
    table: &str,
    family: Family,
) -> Result<Vec<(String, String)>, NetlinkError> {
    let fixed = header(number(family), 0);
    let mut ask = Message::new(kind::GET_RULE, NLM_F_DUMP, &fixed, "listing rules");
    ask.put_str(1, table);
    let mut out = Vec::new();
    socket.dump(&ask, |answer| out.extend(rule_in(answer.payload, table)))?;
    Ok(out)
}

/// Chain and comment of a rule of a table; old kernels don't filter by table.
pub(super) fn rule_in(payload: &[u8], table: &str) -> Option<(String, String)> {
    let attrs = attrs(payload);
    let comment = attrs.get(7).and_then(read_comment).unwrap_or_default();
    let chain = attrs.text(2).unwrap_or_default().to_owned();
    (attrs.text(1) == Some(table)).then_some((chain, comment))
}

/// One element of a set.
pub(super) struct Element {
    key: Vec<u8>,
    end: bool,
    expires: Option<Duration>,
}

fn elements_of(
    socket: &mut Socket,
    table: &str,
    family: Family,
    set: &str,
) -> Result<Vec<Element>, NetlinkError> {
    let what = format!("listing set {set}");
    let mut ask = Message::new(kind::GET_ELEMENTS, NLM_F_DUMP, &header(number(family), 0), what);
    ask.put_str(1, table).put_str(2, set);
    let mut out = Vec::new();
    socket.dump(&ask, |answer| elements_in(answer.payload, &mut out))?;
    Ok(out)
}

/// Adds the elements of one part of an answer.
pub(super) fn elements_in(payload: &[u8], out: &mut Vec<Element>) {
    for (_, element) in attrs(payload).nested(3).iter() {
        let element = Attrs(element);
        out.push(Element {
            key: element.nested(1).get(1).unwrap_or_default().to_vec(),
            end: element.be32(3).is_some_and(|flags| flags & 1 != 0),
            expires: element.be64(5).map(Duration::from_millis),
        });
    }
}

/// How far a table is from what a ruleset says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableState {
    /// As it should be.
    Whole,
    /// Not there.
    Missing,
    /// There, but made for other settings, or changed since; with the first difference.
    Differs(String),
}

/// Compares the tables in force with a ruleset: rules by chain and id, static sets by element.
pub(crate) fn compare(
    socket: &mut Socket,
    table: &str,
    ruleset: &Ruleset,
) -> Result<Vec<(Family, TableState)>, NetlinkError> {
    let tables = existing(socket, table)?;
    let mut out = Vec::new();
    for family in [Family::Ip, Family::Ip6] {
        let wanted = ruleset.tables.iter().find(|table| table.family == family);
        let found = tables.iter().find(|table| table.family == family);
        let state = match (wanted, found) {
            (None, None) => continue,
            (Some(_), None) => TableState::Missing,
            (None, Some(_)) => TableState::Differs("the settings ask for no such table".into()),
            (Some(_), Some(found))
                if found.note.as_ref().is_some_and(|n| n.digest != ruleset.digest()) =>
            {
                TableState::Differs("it was made for other settings".into())
            }
            (Some(wanted), Some(_)) => compare_table(socket, table, wanted)?,
        };
        out.push((family, state));
    }
    Ok(out)
}

fn compare_table(
    socket: &mut Socket,
    table: &str,
    wanted: &sunup_capture::ruleset::Table,
) -> Result<TableState, NetlinkError> {
    let mut found = rules_of(socket, table, wanted.family)?;
    let mut expected: Vec<(String, String)> = Vec::new();
    for chain in &wanted.chains {
        expected.extend(chain.rules.iter().map(|r| (chain.name.to_owned(), r.id.to_owned())));
    }
    // The kernel lists chain by chain, in an order of its own.
    found.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    if found != expected {
        let at = found.iter().zip(&expected).find(|(a, b)| a != b);
        let chain = at.map_or("a chain", |(_, (chain, _))| chain);
        return Ok(TableState::Differs(format!("rules of {chain} were changed")));
    }
    for set in &wanted.sets {
        if matches!(set.content, SetContent::Dynamic { .. }) {
            continue;
        }
        let mut keys: Vec<(Vec<u8>, bool)> = elements_of(socket, table, wanted.family, set.name)?
            .into_iter()
            .map(|element| (element.key, element.end))
            .collect();
        let mut expected = elements(wanted.family, &set.content);
        keys.sort();
        expected.sort();
        if keys != expected {
            return Ok(TableState::Differs(format!("elements of set {} were changed", set.name)));
        }
    }
    Ok(TableState::Whole)
}

/// What the gate does about one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortState {
    /// Nothing was refused since the last listener: the gate stands by.
    Armed,
    /// Refusals are dropped, for so long yet (`None`: no deadline).
    Holding(Option<Duration>),
    /// The deadline has passed: refusals are let through until a listener answers.
    Expired,
}

/// State of the gate of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateState {
    /// Family.
    pub family: &'static str,
    /// TCP ports, each with its state.
    pub ports: Vec<(u16, PortState)>,
    /// State of DNS datagrams, where the gate covers them.
    pub dns: Option<PortState>,
    /// Refusals dropped so far.
    pub held: u64,
    /// Refusals let through after the deadline.
    pub expired: u64,
}

/// Reads the gate's sets and counters; `None` where the table has no gate.
pub(crate) fn gate_state(
    socket: &mut Socket,
    table: &str,
    family: Family,
    ports: &[u16],
) -> Result<Option<GateState>, NetlinkError> {
    let Some(hold) = maybe(elements_of(socket, table, family, gate::HOLD))? else {
        return Ok(None);
    };
    let seen = elements_of(socket, table, family, gate::SEEN)?;
    let state = |key: &[u8], hold: &[Element], seen: &[Element]| {
        if let Some(element) = hold.iter().find(|element| element.key == key) {
            PortState::Holding(element.expires)
        } else if seen.iter().any(|element| element.key == key) {
            PortState::Expired
        } else {
            PortState::Armed
        }
    };
    let dns = match maybe(elements_of(socket, table, family, gate::HOLD_DNS))? {
        None => None,
        Some(hold) => {
            let seen = elements_of(socket, table, family, gate::SEEN_DNS)?;
            let mut lo = [0; 16];
            lo[..2].copy_from_slice(b"lo");
            Some(state(&lo, &hold, &seen))
        }
    };
    let counters = counters(socket, table, family)?;
    let count = |name| counters.iter().find(|(n, _)| n == name).map_or(0, |(_, packets)| *packets);
    let ports = ports.iter().map(|port| (*port, state(&port.to_be_bytes(), &hold, &seen)));
    Ok(Some(GateState {
        family: family.word(),
        ports: ports.collect(),
        dns,
        held: count(gate::COUNT_HELD),
        expired: count(gate::COUNT_EXPIRED),
    }))
}

fn maybe<T>(result: Result<T, NetlinkError>) -> Result<Option<T>, NetlinkError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn counters(
    socket: &mut Socket,
    table: &str,
    family: Family,
) -> Result<Vec<(String, u64)>, NetlinkError> {
    let fixed = header(number(family), 0);
    let mut ask = Message::new(kind::GET_OBJECT, NLM_F_DUMP, &fixed, "listing counters");
    ask.put_str(1, table).put_be32(3, 1);
    let mut out = Vec::new();
    socket.dump(&ask, |answer| out.extend(counter_in(answer.payload, table)))?;
    Ok(out)
}

/// A counter of a table: its name and how many packets it saw.
pub(super) fn counter_in(payload: &[u8], table: &str) -> Option<(String, u64)> {
    let attrs = attrs(payload);
    let name = attrs.text(2).unwrap_or_default().to_owned();
    let packets = attrs.nested(4).be64(2).unwrap_or(0);
    (attrs.text(1) == Some(table)).then_some((name, packets))
}
