//! One line read, and the lines of one message put together.
//!
//! Must not know where lines come from; `join` puts together lines that came apart.

use std::ops::Range;

use super::address::{self, Address, Side};
use super::plain::Plain;
use super::reading::{Destination, FalseFriend, Host, Reading, Refused, Strength};
use super::telling::{self, Decoy, Telling};
use super::{friends, peer};

/// At most this many telling lines of one message are put together.
const LINES_MAX: usize = 64;

/// What one line says.
#[derive(Debug, Clone)]
pub(super) enum Line {
    /// Telling words, perhaps a false friend's.
    Error { refused: Refused, friend: Option<FalseFriend> },
    /// Words that only look telling, with nothing to join.
    Aside(FalseFriend),
    /// A piece of an error told over several lines.
    Piece(Piece),
    /// Neither.
    Nothing,
}

/// Continuation lines of known many-line errors.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// `Is the server running on host "db" (10.0.0.1) and accepting`; Node's `address: '…'`.
    Hosts(Vec<Host>),
    /// `TCP/IP connections on port 5432?`; Node's `port: 6379`.
    Port(u16),
    /// `errno: -111`, `code: 'ECONNREFUSED'` on lines of their own.
    NodeField,
    /// `During handling of the above exception …`: the next error is the same one.
    Chain,
}

/// Reads one line; `text` and `lower` differ in case only.
pub(super) fn read(text: &str, lower: &str) -> Line {
    if let Some(piece) = piece(text, lower) {
        return Line::Piece(piece);
    }
    let (mut tellings, decoy) = telling::find(lower);
    let suspicious = friends::suspicious(lower);
    let quoted = |t: &Telling| friends::quoted(lower, &t.span, suspicious);
    let any = !tellings.is_empty();
    let all_quoted = any && tellings.iter().all(quoted);
    if all_quoted {
        return Line::Aside(FalseFriend::QuotedText);
    }
    tellings.retain(|t| !quoted(t));
    let Some(first) = tellings.first() else {
        return match decoy {
            Some(Decoy::Name) => Line::Aside(FalseFriend::QuotedText),
            Some(Decoy::Answered) => Line::Aside(FalseFriend::Answered),
            None if friends::other_number(lower) => Line::Aside(FalseFriend::OtherErrno),
            None => Line::Nothing,
        };
    };
    let span = first.span.clone();
    let weak = first.strength == Strength::Weak;
    if weak && telling::names_other_cause(lower) {
        return Line::Aside(FalseFriend::OtherErrno);
    }
    let found = address::find(text);
    let destinations = peer::choose(lower, &tellings, &found);
    let form = first.form;
    let strength = first.strength;
    let refused = Refused { strength, destinations, form, span: span.clone() };
    let friend = friend(lower, &span, &refused, suspicious);
    Line::Error { refused, friend }
}

fn friend(
    lower: &str,
    span: &Range<usize>,
    refused: &Refused,
    suspicious: bool,
) -> Option<FalseFriend> {
    if !suspicious {
        return unix_or_destination(lower, span, refused);
    }
    if friends::other_number(lower) {
        Some(FalseFriend::OtherErrno)
    } else if friends::recovered(lower, span) {
        Some(FalseFriend::Recovered)
    } else if friends::wait_hook(lower) {
        Some(FalseFriend::WaitLoop)
    } else if friends::probe(lower) {
        Some(FalseFriend::KubeletProbe)
    } else {
        unix_or_destination(lower, span, refused)
    }
}

fn unix_or_destination(lower: &str, span: &Range<usize>, refused: &Refused) -> Option<FalseFriend> {
    if refused.destinations.is_empty() && friends::unix_socket(lower, span) {
        return Some(FalseFriend::UnixSocket);
    }
    friends::by_destination(refused)
}

fn piece(text: &str, lower: &str) -> Option<Piece> {
    let line = lower.trim_start();
    if let Some(at) = lower.find("is the server running") {
        // psycopg2 before libpq 14; newer ones say "on that host", which adds nothing.
        let own = lower[..at].trim().is_empty() || !lower.contains("refused");
        return own.then(|| Piece::Hosts(hosts(&text[at..])));
    }
    if let Some(at) = lower.find("connections on port ")
        && !lower.contains("refused")
    {
        let digits = &lower[at + "connections on port ".len()..];
        let len = digits.bytes().take_while(u8::is_ascii_digit).count();
        return digits[..len].parse().ok().map(Piece::Port);
    }
    if line.len() <= 80 && line.starts_with("address: '") {
        return Some(Piece::Hosts(hosts(text)));
    }
    if line.len() <= 40
        && let Some(value) = line.strip_prefix("port: ")
    {
        return value.trim_end().trim_end_matches([',', '}', ' ']).parse().ok().map(Piece::Port);
    }
    let short = line.len() <= 60;
    if short && (line.starts_with("code: 'econnrefused'") || line.starts_with("errno: -111")) {
        return Some(Piece::NodeField);
    }
    let chain = line.starts_with("during handling of the above exception")
        || line.contains("direct cause of the following exception");
    chain.then_some(Piece::Chain)
}

fn hosts(text: &str) -> Vec<Host> {
    let own = |a: &Address| a.side == Side::Own;
    address::find(text).into_iter().filter(|a| !own(a)).map(|a| a.host).take(4).collect()
}

/// The lines of one message.
#[derive(Default)]
pub(super) struct Whole {
    errors: Vec<(Refused, Option<FalseFriend>)>,
    aside: Option<FalseFriend>,
    hosts: Vec<Host>,
    port: Option<u16>,
    node_field: Option<Range<usize>>,
    probe: bool,
    /// Addresses of requests told in lines before the first telling one.
    earlier: Vec<Destination>,
}

impl Whole {
    /// Adds a part of the message.
    pub(super) fn add(&mut self, plain: &Plain) {
        self.probe |= friends::probe(&plain.lower);
        let mut at = 0;
        for lower in plain.lower.split('\n') {
            let text = &plain.text[at..at + lower.len()];
            let start = at;
            at += lower.len() + 1;
            if lower.is_empty() || self.errors.len() >= LINES_MAX {
                continue;
            }
            match read(text, lower) {
                Line::Error { mut refused, friend } => {
                    let span = start + refused.span.start..start + refused.span.end;
                    refused.span = plain.original(span);
                    self.errors.push((refused, friend));
                }
                Line::Aside(friend) => self.aside = self.aside.or(Some(friend)),
                Line::Piece(piece) => self.piece(piece, plain, start..start + lower.len()),
                Line::Nothing => self.earlier(text, lower),
            }
        }
    }

    fn piece(&mut self, piece: Piece, plain: &Plain, at: Range<usize>) {
        match piece {
            Piece::Hosts(hosts) => self.hosts.extend(hosts.into_iter().take(4)),
            Piece::Port(port) => self.port = self.port.or(Some(port)),
            Piece::NodeField if self.node_field.is_none() => {
                self.node_field = Some(plain.original(at));
            }
            Piece::NodeField | Piece::Chain => {}
        }
    }

    /// Remembers the address of a failed request, for an error that names none itself.
    fn earlier(&mut self, text: &str, lower: &str) {
        const FAILING: &[&str] =
            &["error", "fail", "unable", "could not", "exception", "request", "dial", "connect"];
        if !self.errors.is_empty() || !FAILING.iter().any(|w| lower.contains(w)) {
            return;
        }
        let found = address::find(text).into_iter();
        for a in found.filter(|a| a.side != Side::Own && !a.bare && a.port.is_some()).take(2) {
            self.earlier = vec![Destination { host: a.host, port: a.port }];
        }
    }

    /// The verdict on the whole message.
    pub(super) fn judge(mut self) -> Reading {
        if self.errors.is_empty()
            && let Some(span) = self.node_field.take()
        {
            let (strength, form) = (Strength::Strong, "node-fields");
            let refused = Refused { strength, destinations: Vec::new(), form, span };
            self.errors.push((refused, None));
        }
        // What the words are decides first; where they point is judged for the whole message.
        let by_words = |f: &Option<FalseFriend>| {
            f.is_some_and(|f| !matches!(f, FalseFriend::Loopback | FalseFriend::WaitLoop))
        };
        let (set_aside, mut kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.errors).into_iter().partition(|(_, f)| by_words(f));
        let wait = kept.iter().any(|(_, f)| *f == Some(FalseFriend::WaitLoop));
        if kept.is_empty() || set_aside.iter().any(|(_, f)| *f == Some(FalseFriend::Recovered)) {
            return match set_aside.into_iter().next() {
                Some((refused, Some(friend))) => Reading::FalseFriend(friend, Some(refused)),
                _ => self.aside.map_or(Reading::Nothing, |f| Reading::FalseFriend(f, None)),
            };
        }
        let best = kept.iter().map(|(r, _)| r.strength).max().unwrap_or(Strength::Weak);
        let mut destinations = Vec::new();
        for strength in [Strength::Strong, Strength::Weak] {
            let of = kept.iter().filter(|(r, _)| r.strength == strength);
            if destinations.is_empty() {
                for d in of.flat_map(|(r, _)| r.destinations.iter()) {
                    peer::add(&mut destinations, d.clone());
                }
            }
        }
        let first = kept.iter().position(|(r, _)| r.strength == best).unwrap_or(0);
        let (mut refused, _) = kept.swap_remove(first);
        refused.destinations = destinations;
        self.complete(&mut refused);
        if self.probe {
            return Reading::FalseFriend(FalseFriend::KubeletProbe, Some(refused));
        }
        let friend = friends::by_destination(&refused);
        let friend = friend.or(wait.then_some(FalseFriend::WaitLoop));
        match friend {
            Some(friend) => Reading::FalseFriend(friend, Some(refused)),
            None => Reading::Refused(refused),
        }
    }

    /// Fills in the address from pieces and earlier lines.
    fn complete(&mut self, refused: &mut Refused) {
        if !refused.destinations.is_empty() {
            return;
        }
        for host in std::mem::take(&mut self.hosts) {
            peer::add(&mut refused.destinations, Destination { host, port: self.port });
        }
        if refused.destinations.is_empty() {
            refused.destinations = std::mem::take(&mut self.earlier);
        }
    }
}
