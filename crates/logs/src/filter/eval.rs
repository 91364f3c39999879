//! Whether an entry matches: the tree, walked over one parsed entry. Knows no syntax.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::expr::{CastType, Expr, Operand, Test};
use super::lex::Op;
use super::schema::{Path, Type};
use super::search_text::Query;
use super::value::{self, Number, Value};
use crate::entry::{Entry, Node};
use crate::text::Folded;

/// A field's value, converted to the type the field has.
#[derive(Debug)]
enum Val<'e> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'e, str>),
    /// A text in a protocol buffer: its declared type may be a time, a duration or an int64.
    ProtoText(&'e str),
    Severity(i64),
    Time(Timestamp),
    Duration(i128),
    Tree(&'e Node<'e>),
}

pub(crate) fn matches(expr: &Expr, entry: &Entry<'_>) -> bool {
    match expr {
        Expr::And(items) => items.iter().all(|item| matches(item, entry)),
        Expr::Or(items) => items.iter().any(|item| matches(item, entry)),
        Expr::Not(inner) => !matches(inner, entry),
        Expr::Test(test) => test_matches(test, entry),
    }
}

fn test_matches(test: &Test, entry: &Entry<'_>) -> bool {
    match test {
        Test::Global(value) => tree_has(&entry.root, value),
        Test::Compare { operand, op, value, .. } => {
            any(operand, entry, &mut |val| compare(&val, *op, value))
        }
        Test::Regex { operand, negated, regex, .. } => any(operand, entry, &mut |val| match val {
            Val::Text(text) => regex.is_match(&text) != *negated,
            Val::ProtoText(text) => regex.is_match(text) != *negated,
            _ => false,
        }),
        Test::Present(path) => {
            nodes(path, entry, &mut |node| !matches!(node, Node::List(items) if items.is_empty()))
        }
        Test::InNet { path, net } => nodes(path, entry, &mut |node| {
            node.text().and_then(self::net).is_some_and(|found| contains(net, &found))
        }),
        Test::LogId(id) => {
            let name = entry.root.get("logName").or_else(|| entry.root.get_loosely("logName"));
            let name = name.and_then(Node::text).unwrap_or_default();
            let own = name.split_once("/logs/").map_or("", |(_, own)| own);
            Folded::new(&percent_decoded(id)).equals(&percent_decoded(own))
        }
        Test::Source(source) => {
            let name = entry.root.get("logName").or_else(|| entry.root.get_loosely("logName"));
            let name = name.and_then(Node::text).unwrap_or_default();
            let own = name.split_once("/logs/").map_or("", |(own, _)| own);
            Folded::new(source).equals(own)
        }
        Test::Sample { path, fraction } => sampled(path, *fraction, entry),
        Test::Search { path, query } => searched(path.as_ref(), query, entry),
    }
}

/// Calls `f` with each value of the operand until one satisfies it.
fn any(operand: &Operand, entry: &Entry<'_>, f: &mut dyn FnMut(Val<'_>) -> bool) -> bool {
    match operand {
        Operand::Field(path) => {
            let mut found = false;
            let hit = nodes(path, entry, &mut |node| {
                found = true;
                convert(node, path).is_some_and(&mut *f)
            });
            hit || (!found && path.defaulted && default(path.kind).is_some_and(f))
        }
        Operand::Extract { of, regex, .. } => any(of, entry, &mut |val| {
            let Some(text) = as_text(&val, None) else { return false };
            let captured = regex.captures(&text).and_then(|captures| captures.get(1));
            captured.is_some_and(|part| f(Val::Text(Cow::Borrowed(part.as_str()))))
        }),
        Operand::Cast { of, to, zone, .. } => {
            any(of, entry, &mut |val| cast(&val, *to, zone.as_ref()).is_some_and(&mut *f))
        }
    }
}

/// Calls `f` with each node the path leads to, through lists, until one satisfies it.
fn nodes<'e>(path: &Path, entry: &'e Entry<'_>, f: &mut dyn FnMut(&'e Node<'e>) -> bool) -> bool {
    let proto = path.parts.first().is_some_and(|first| first == "protoPayload");
    let loose = if proto { path.parts.len() } else { path.declared };
    walk(&entry.root, &path.parts, loose, proto, f)
}

fn walk<'e>(
    node: &'e Node<'e>,
    parts: &[String],
    loose: usize,
    proto: bool,
    f: &mut dyn FnMut(&'e Node<'e>) -> bool,
) -> bool {
    if let Node::List(items) = node {
        // A list that is asked for as a whole still shows whether it is there.
        if parts.is_empty() && items.is_empty() {
            return f(node);
        }
        return items.iter().any(|item| walk(item, parts, loose, proto, f));
    }
    let Some((part, rest)) = parts.split_first() else { return f(node) };
    let mut next = node.get(part);
    if next.is_none() && loose > 0 {
        next = node.get_loosely(part);
    }
    if next.is_none() && proto && node.get("@type").is_some() {
        // The JSON form of an Any holds special types under `value`, which paths leave out.
        return node.get("value").is_some_and(|inner| walk(inner, parts, loose, proto, f));
    }
    next.is_some_and(|next| walk(next, rest, loose.saturating_sub(1), proto, f))
}

fn number(node: &Node<'_>) -> Option<Number> {
    match node {
        Node::Int(value) => Some(Number::Int(i128::from(*value))),
        Node::Uint(value) => Some(Number::Int(i128::from(*value))),
        Node::Float(value) => Some(Number::Float(*value)),
        _ => None,
    }
}

fn convert<'e>(node: &'e Node<'e>, path: &Path) -> Option<Val<'e>> {
    let text = node.text();
    match path.kind {
        Type::Text => match node {
            Node::Null => Some(Val::Null),
            Node::Text(text) => Some(Val::Text(Cow::Borrowed(text))),
            Node::Int(_) | Node::Uint(_) | Node::Bool(_) => {
                Some(Val::Text(Cow::Owned(node.to_string())))
            }
            _ => None,
        },
        // Whole numbers of 64 bits are texts in JSON.
        Type::Int => number(node).or_else(|| value::number(text?)).map(Val::Number),
        Type::Bool => match node {
            Node::Bool(value) => Some(Val::Bool(*value)),
            _ => text.and_then(value::boolean).map(Val::Bool),
        },
        Type::Severity => match node {
            Node::Int(number) => Some(Val::Severity(*number)),
            _ => text.and_then(value::severity).map(Val::Severity),
        },
        Type::Time => text.and_then(value::timestamp).map(Val::Time),
        Type::Duration => text.and_then(value::duration).map(Val::Duration),
        Type::Labels | Type::Struct | Type::Message(_) => free(node),
        Type::Proto => match node {
            Node::Text(text) => Some(Val::ProtoText(text)),
            node => free(node),
        },
    }
}

fn free<'e>(node: &'e Node<'e>) -> Option<Val<'e>> {
    match node {
        Node::Null => Some(Val::Null),
        Node::Bool(value) => Some(Val::Bool(*value)),
        Node::Text(text) => Some(Val::Text(Cow::Borrowed(text))),
        Node::Object(_) => Some(Val::Tree(node)),
        Node::List(_) => None,
        node => number(node).map(Val::Number),
    }
}

/// What a declared field holds in an entry that does not show it.
fn default<'e>(kind: Type) -> Option<Val<'e>> {
    Some(match kind {
        Type::Text => Val::Text(Cow::Borrowed("")),
        Type::Int => Val::Number(Number::Int(0)),
        Type::Bool => Val::Bool(false),
        Type::Severity => Val::Severity(0),
        Type::Time => Val::Time(Timestamp::UNIX_EPOCH),
        Type::Duration => Val::Duration(0),
        Type::Labels | Type::Struct | Type::Proto | Type::Message(_) => return None,
    })
}

fn holds(op: Op, ordering: Ordering) -> bool {
    match op {
        Op::Eq | Op::Has => ordering == Ordering::Equal,
        Op::Ne => ordering != Ordering::Equal,
        Op::Lt => ordering == Ordering::Less,
        Op::Le => ordering != Ordering::Greater,
        Op::Gt => ordering == Ordering::Greater,
        Op::Ge => ordering != Ordering::Less,
        Op::Matches | Op::NotMatches => false,
    }
}

/// The value is converted to the field's type; where that fails, so does the comparison.
fn compare(val: &Val<'_>, op: Op, value: &Value) -> bool {
    if value.null || matches!(val, Val::Null) {
        return match (value.null, matches!(val, Val::Null)) {
            (true, true) => matches!(op, Op::Eq | Op::Has | Op::Le | Op::Ge),
            (true, false) => op == Op::Ne,
            _ => false,
        };
    }
    let ordering = match val {
        Val::Text(text) => return compare_text(text, op, value),
        Val::ProtoText(text) => return compare_proto(text, op, value),
        Val::Tree(node) => return op == Op::Has && tree_or_key_has(node, value),
        Val::Null => None,
        Val::Bool(own) => value.boolean.map(|other| own.cmp(&other)),
        Val::Number(own) => value.number.and_then(|other| own.order(other)),
        Val::Severity(own) => value.severity.map(|other| own.cmp(&other)),
        Val::Time(own) => value.time.map(|other| own.cmp(&other)),
        Val::Duration(own) => value.duration.map(|other| own.cmp(&other)),
    };
    ordering.is_some_and(|ordering| holds(op, ordering))
}

fn compare_text(text: &str, op: Op, value: &Value) -> bool {
    match op {
        Op::Has => value.folded.is_in(text),
        Op::Eq => value.folded.equals(text),
        Op::Ne => !value.folded.equals(text),
        op => holds(op, value.folded.order_of(text)),
    }
}

/// Without the descriptor the type is read off both sides: where both are numbers, times or
/// durations they are compared as such, else as texts.
fn compare_proto(text: &str, op: Op, value: &Value) -> bool {
    if op == Op::Has {
        return value.folded.is_in(text);
    }
    let typed = match (value.number, value.time, value.duration) {
        (Some(other), ..) => value::number(text).and_then(|own| own.order(other)),
        (_, Some(other), _) => value::timestamp(text).map(|own| own.cmp(&other)),
        (.., Some(other)) => value::duration(text).map(|own| own.cmp(&other)),
        _ => None,
    };
    match typed {
        Some(ordering) => holds(op, ordering),
        None => compare_text(text, op, value),
    }
}

/// `message:"x"`: some value below has it; of a map, a key may also be it.
fn tree_or_key_has(node: &Node<'_>, value: &Value) -> bool {
    let key = match node {
        Node::Object(members) => members.iter().any(|(name, _)| value.folded.equals(name)),
        _ => false,
    };
    key || tree_has(node, value)
}

/// Any value below `node` has the text. Whole numbers and truth values count by their spelling,
/// fractions by their amount.
fn tree_has(node: &Node<'_>, value: &Value) -> bool {
    match node {
        Node::Null => value.null,
        Node::Text(text) => !value.null && value.folded.is_in(text),
        Node::Bool(own) => value.boolean == Some(*own),
        Node::Int(_) | Node::Uint(_) => !value.null && value.folded.is_in(&node.to_string()),
        Node::Float(own) => matches!(value.number, Some(Number::Float(other)) if *own == other),
        Node::List(items) => items.iter().any(|item| tree_has(item, value)),
        Node::Object(members) => members.iter().any(|(_, member)| tree_has(member, value)),
    }
}

fn as_text<'v>(val: &'v Val<'_>, zone: Option<&jiff::tz::TimeZone>) -> Option<Cow<'v, str>> {
    Some(match val {
        Val::Text(text) => Cow::Borrowed(text.as_ref()),
        Val::ProtoText(text) => Cow::Borrowed(text),
        Val::Bool(value) => Cow::Owned(value.to_string()),
        Val::Number(Number::Int(value)) => Cow::Owned(value.to_string()),
        Val::Number(Number::Float(value)) => Cow::Owned(value.to_string()),
        Val::Severity(number) => {
            let named = value::SEVERITIES.iter().find(|(_, known)| known == number);
            named.map_or_else(|| Cow::Owned(number.to_string()), |(name, _)| Cow::Borrowed(*name))
        }
        Val::Time(time) => Cow::Owned(time_text(*time, zone)),
        Val::Duration(nanos) => Cow::Owned(value::duration_text(*nanos)),
        Val::Null | Val::Tree(_) => return None,
    })
}

/// RFC 3339 with 0, 3, 6 or 9 digits of a second, as the JSON form has them.
fn time_text(time: Timestamp, zone: Option<&jiff::tz::TimeZone>) -> String {
    let nanos = time.subsec_nanosecond();
    let digits = match nanos {
        0 => 0,
        n if n % 1_000_000 == 0 => 3,
        n if n % 1_000 == 0 => 6,
        _ => 9,
    };
    match zone {
        None => format!("{time:.digits$}"),
        Some(zone) => {
            let offset = zone.to_offset(time);
            format!("{:.digits$}", time.display_with_offset(offset))
        }
    }
}

fn cast<'v>(val: &'v Val<'_>, to: CastType, zone: Option<&jiff::tz::TimeZone>) -> Option<Val<'v>> {
    let text = || as_text(val, None);
    Some(match to {
        CastType::Text => Val::Text(as_text(val, zone)?),
        CastType::Bool => match val {
            Val::Bool(value) => Val::Bool(*value),
            Val::Number(number) => Val::Bool(number.float() != 0.0),
            _ => Val::Bool(value::boolean(&text()?)?),
        },
        CastType::Int | CastType::Float => {
            let number = match val {
                Val::Bool(value) => Number::Int(i128::from(*value)),
                Val::Number(number) => *number,
                Val::Severity(number) => Number::Int(i128::from(*number)),
                Val::Time(time) => Number::Int(i128::from(time.as_second())),
                _ => value::number(text()?.trim())?,
            };
            match (to, number) {
                (CastType::Float, number) => Val::Number(Number::Float(number.float())),
                (_, Number::Int(whole)) => Val::Number(Number::Int(whole)),
                (_, Number::Float(float)) if float.is_finite() =>
                {
                    #[expect(clippy::cast_possible_truncation, reason = "finite, and saturating")]
                    Val::Number(Number::Int(float.round() as i128))
                }
                _ => return None,
            }
        }
        CastType::Time => match val {
            Val::Time(time) => Val::Time(*time),
            _ => Val::Time(time_in(&text()?, zone)?),
        },
        CastType::Duration => match val {
            Val::Duration(nanos) => Val::Duration(*nanos),
            _ => Val::Duration(value::duration(&text()?)?),
        },
    })
}

/// A text without an offset is local time of the zone.
fn time_in(text: &str, zone: Option<&jiff::tz::TimeZone>) -> Option<Timestamp> {
    let has_offset =
        text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|t| t.contains(['+', '-']));
    match zone {
        Some(zone) if !has_offset => {
            let local = value::timestamp(text)?;
            let civil = jiff::tz::Offset::UTC.to_datetime(local);
            zone.to_timestamp(civil).ok()
        }
        _ => value::timestamp(text),
    }
}

/// An address or a range.
pub(crate) fn net(text: &str) -> Option<IpNet> {
    let range = text.parse::<IpNet>().ok();
    range.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn contains(outer: &IpNet, inner: &IpNet) -> bool {
    let mapped = |net: &IpNet| match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|v4| ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96).ok().map(IpNet::V4)),
        _ => None,
    };
    outer.contains(inner) || mapped(inner).is_some_and(|inner| outer.contains(&inner))
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| byte == b'%');
        let code = code.and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// A hash of the field's value, spread over [0, 1], is at most the fraction.
fn sampled(path: &Path, fraction: f64, entry: &Entry<'_>) -> bool {
    let mut found = false;
    let mut chosen = |val: Val<'_>| {
        let Some(text) = as_text(&val, None) else { return false };
        found = true;
        #[expect(clippy::cast_precision_loss, reason = "a fraction needs no more than 53 bits")]
        let share = hash(text.as_bytes()) as f64 / u64::MAX as f64;
        share <= fraction
    };
    any(&Operand::Field(path.clone()), entry, &mut chosen)
}

/// FNV-1a, mixed once more by the finaliser of SplitMix64: deterministic, and even in all bits.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn searched(path: Option<&Path>, query: &Query, entry: &Entry<'_>) -> bool {
    let mut found = vec![false; query.len()];
    match path {
        None => mark(&entry.root, query, &mut found),
        Some(path) => {
            nodes(path, entry, &mut |node| {
                mark(node, query, &mut found);
                false
            });
        }
    }
    found.into_iter().all(|found| found)
}

fn mark(node: &Node<'_>, query: &Query, found: &mut [bool]) {
    match node {
        Node::Text(text) => query.mark(text, found),
        Node::List(items) => items.iter().for_each(|item| mark(item, query, found)),
        Node::Object(members) => {
            members.iter().for_each(|(_, member)| mark(member, query, found));
        }
        _ => {}
    }
}
