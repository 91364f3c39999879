//! One line read, and the lines of one message put together.
//!
//! Must not know where lines come from; `join` puts together lines that came apart.

use std::ops::Range;

use super::address::{self, Address, Side};
use super::plain::Plain;
use super::reading::{Destination, FalseFriend, Host, Reading, Refused, Strength};
use super::telling::{self, Decoy, Telling};
use super::{friends, peer, weaker};

/// At most this many telling lines of one message are put together.
const LINES_MAX: usize = 64;

/// What one line says.
#[derive(Debug, Clone)]
pub(super) enum Line {
    /// Telling words, perhaps a false friend's; and whether the destinations stand beside them.
    Error { refused: Refused, friend: Option<FalseFriend>, beside: bool },
    /// Words that only look telling, with nothing to join.
    Aside(FalseFriend),
    /// What went wrong with a connection, and it was no refusal: weaker words beside it mean this.
    OtherCause,
    /// A piece of an error told over several lines.
    Piece(Piece),
    /// Neither.
    Nothing,
}

impl Refused {
    /// Whether it only repeats in other words what another line says better: "Connection refused:
    /// not authorised", and then "the connection was refused".
    pub(super) fn echoes(&self) -> bool {
        let loose = self.strength == Strength::Weak || self.form == "refused-near";
        loose && self.destinations.is_empty()
    }
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
            None if weaker::is_other_cause(lower) => Line::OtherCause,
            None => Line::Nothing,
        };
    };
    let strength = tellings.iter().map(|t| t.strength).max().unwrap_or(first.strength);
    let best = tellings.iter().find(|t| t.strength == strength).unwrap_or(first);
    if strength == Strength::Weak && weaker::names_other_cause(lower) {
        return Line::OtherCause;
    }
    let (span, form) = (best.span.clone(), best.form);
    let found = address::find(text);
    let peer::Chosen { destinations, beside } = peer::choose(lower, &tellings, &found);
    let refused = Refused { strength, destinations, form, span: span.clone() };
    let friend = friend(lower, &span, &refused, suspicious);
    Line::Error { refused, friend, beside }
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
    // telnet's `Trying 10.0.0.1...`, which a pipe has it print last.
    if line.len() <= 60 && line.starts_with("trying ") && line.trim_end().ends_with("...") {
        let ips: Vec<Host> = hosts(text).into_iter().filter(|h| matches!(h, Host::Ip(_))).collect();
        return (!ips.is_empty()).then_some(Piece::Hosts(ips));
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

/// The far ends that a line names.
pub(super) fn targets(text: &str) -> Vec<Destination> {
    let far = address::find(text).into_iter().filter(|a| a.side != Side::Own && !a.bare);
    far.map(|a| Destination { host: a.host, port: a.port }).take(8).collect()
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
    /// A line names another cause.
    other_cause: bool,
    /// An address stands beside telling words.
    beside: bool,
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
                Line::Error { mut refused, friend, beside } => {
                    let span = start + refused.span.start..start + refused.span.end;
                    refused.span = plain.original(span);
                    // A line of the same error that has its address beside it says better where.
                    if beside && !self.beside {
                        self.errors.iter_mut().for_each(|(r, _)| r.destinations.clear());
                    } else if self.beside && !beside {
                        refused.destinations.clear();
                    }
                    self.beside |= beside;
                    self.errors.push((refused, friend));
                }
                Line::Aside(friend) => self.aside = self.aside.or(Some(friend)),
                Line::Piece(piece) => self.piece(piece, plain, start..start + lower.len()),
                Line::OtherCause => {
                    self.other_cause = true;
                    self.aside = self.aside.or(Some(FalseFriend::OtherErrno));
                    self.earlier(text, lower);
                }
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
        let found = address::find(text).into_iter().filter(|a| a.side != Side::Own);
        // DB-Library tells no port: `Unable to connect: … (10.0.0.1)`.
        let bracketed = |a: &Address| {
            let around = (text[..a.at.start].ends_with('('), text[a.at.end..].trim_end());
            a.port.is_none() && around == (true, ")") && lower.contains("connect")
        };
        for a in found.filter(|a| !a.bare && a.port.is_some() || bracketed(a)).take(2) {
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
        let explained = self.other_cause && best == Strength::Weak;
        let answered =
            self.aside == Some(FalseFriend::Answered) && kept.iter().all(|(r, _)| r.echoes());
        if explained || answered {
            let friend = if explained { FalseFriend::OtherErrno } else { FalseFriend::Answered };
            return Reading::FalseFriend(friend, Some(kept.swap_remove(0).0));
        }
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
