//! Puts together the lines of one error that a log shipper took apart.
//!
//! Must not know files or readers: it gets lines of one container in order, with their times.

use std::collections::VecDeque;

use super::line::{self, Line, Piece};
use super::message::read;
use super::plain::{Plain, parts};
use super::reading::{Destination, FalseFriend, Host, Reading, Refused, Strength};
use super::{friends, literals, peer};

/// Lines further apart than this tell of different errors.
const TOGETHER_NS: i64 = 1_000_000_000;

/// One error, from however many lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The caller's tag of the first line.
    pub tag: u64,
    /// The error; its span lies in the first line.
    pub refused: Refused,
    /// Why it is to be set aside, where it is.
    pub false_friend: Option<FalseFriend>,
}

/// An error whose lines are still coming.
struct Open {
    tag: u64,
    at: Option<i64>,
    refused: Refused,
    friend: Option<FalseFriend>,
    hosts: Vec<Host>,
    port: Option<u16>,
    /// A chain marker came: the next error is this one, told again.
    chain: bool,
    /// Opened by a field of Node's object dump, so a second such dump is another error.
    fields: bool,
}

/// An error already given out, whose further lines are not errors of their own.
struct Given {
    at: Option<i64>,
    destinations: Vec<Destination>,
    chain: bool,
}

/// What went wrong, told by a line that is no refusal; words that only repeat it are none either.
#[derive(Clone, Copy)]
struct Explained {
    at: Option<i64>,
    friend: FalseFriend,
    /// A chain marker came: the next error is this one, told again.
    chain: bool,
}

impl Explained {
    fn why(self, refused: &Refused) -> Option<FalseFriend> {
        let weak = refused.strength == Strength::Weak;
        let again = refused.echoes() || self.chain && weak;
        (again && (weak || self.friend == FalseFriend::Answered)).then_some(self.friend)
    }
}

/// Joins lines of one container that belong to one error: `Caused by:` and `--->` children,
/// AggregateError's, psycopg2's three lines, Node's object dumps, Python's chained tracebacks.
///
/// Feed it lines in time order, all of them or only those with one of [`super::LITERALS`]: the
/// others change nothing. Lines belong together within one second, or where no time is known,
/// as neighbours. Memory is bounded by one open error. An error with its own address stands
/// alone at once; N repeated errors give N [`Joined`]. False friends are given out too, named;
/// words that are merely quoted are not.
#[derive(Default)]
pub struct Joiner {
    open: Option<Open>,
    given: Option<Given>,
    explained: Option<Explained>,
    out: VecDeque<Joined>,
}

impl Joiner {
    /// A joiner for one container.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one line; gives an error that is complete, if any (perhaps an earlier one).
    pub fn push(&mut self, tag: u64, at_ns: Option<i64>, text: &str) -> Option<Joined> {
        if let Some(first) = literals::hits(text).next() {
            self.expire(at_ns);
            if text.trim_end().contains('\n') {
                self.message(tag, at_ns, text);
            } else {
                self.line(tag, at_ns, text, first);
            }
        }
        self.out.pop_front()
    }

    /// Gives what is left; call it until it gives nothing.
    pub fn flush(&mut self) -> Option<Joined> {
        self.close();
        self.given = None;
        self.out.pop_front()
    }

    /// A message of several lines is complete by itself.
    fn message(&mut self, tag: u64, at: Option<i64>, text: &str) {
        let (refused, false_friend) = match read(text) {
            Reading::Refused(refused) => (refused, None),
            Reading::FalseFriend(friend, Some(refused)) => (refused, Some(friend)),
            Reading::FalseFriend(_, None) | Reading::Nothing => return,
        };
        self.close();
        self.given = Some(Given { at, destinations: refused.destinations.clone(), chain: false });
        self.out.push_back(Joined { tag, refused, false_friend });
    }

    fn line(&mut self, tag: u64, at: Option<i64>, text: &str, first: usize) {
        let Some(part) = parts(text, literals::hits(text)).into_iter().next() else { return };
        debug_assert!(part.start <= first, "the first part holds the first hit");
        let plain = Plain::new(text, part);
        if plain.text.trim_end().contains('\n') {
            return self.message(tag, at, text);
        }
        match line::read(&plain.text, &plain.lower) {
            Line::Error { mut refused, friend, beside } => {
                refused.span = plain.original(refused.span);
                let child = continues(&plain.lower);
                let known = self.open.as_ref().is_some_and(|o| !o.refused.destinations.is_empty());
                if known && child && !beside {
                    refused.destinations.clear();
                }
                self.error(tag, at, refused, friend, child);
            }
            Line::Piece(piece) => {
                let span = plain.original(0..plain.text.len());
                self.piece(tag, at, piece, span);
            }
            Line::OtherCause => self.other_cause(at, &plain.text),
            Line::Aside(FalseFriend::Answered) => {
                self.explained =
                    Some(Explained { at, friend: FalseFriend::Answered, chain: false });
            }
            Line::Aside(_) | Line::Nothing => {}
        }
    }

    /// The cause of the weaker words right before it, which so were no refusal; unless it speaks of
    /// another far end.
    fn other_cause(&mut self, at: Option<i64>, text: &str) {
        self.explained = Some(Explained { at, friend: FalseFriend::OtherErrno, chain: false });
        if let Some(open) = &mut self.open
            && open.refused.strength == Strength::Weak
            && compatible(&open.refused.destinations, &line::targets(text))
        {
            open.at = at.or(open.at);
            open.friend = Some(FalseFriend::OtherErrno);
            self.close();
        }
    }

    fn error(
        &mut self,
        tag: u64,
        at: Option<i64>,
        refused: Refused,
        friend: Option<FalseFriend>,
        child: bool,
    ) {
        if let Some(open) = &mut self.open {
            let family = open.refused.form == "aggregate-error" && refused.form == "node-connect";
            let same = compatible(&open.refused.destinations, &refused.destinations);
            if family || (child || open.chain) && same {
                open.at = at.or(open.at);
                open.chain = false;
                open.merge(refused, friend);
                if !family && open.complete() {
                    self.close();
                }
                return;
            }
        }
        if self.open.is_none()
            && let Some(given) = &mut self.given
            && (child || given.chain)
            && compatible(&given.destinations, &refused.destinations)
        {
            given.at = at.or(given.at);
            given.chain = false;
            return;
        }
        self.close();
        let friend = friend.or_else(|| self.explained.and_then(|e| e.why(&refused)));
        let open = Open {
            tag,
            at,
            refused,
            friend,
            hosts: Vec::new(),
            port: None,
            chain: false,
            fields: false,
        };
        let complete = open.complete();
        self.open = Some(open);
        if complete {
            self.close();
        }
    }

    fn piece(&mut self, tag: u64, at: Option<i64>, piece: Piece, span: std::ops::Range<usize>) {
        if let Piece::NodeField = piece {
            return self.node_field(tag, at, span);
        }
        if let (Piece::Chain, Some(explained)) = (&piece, &mut self.explained) {
            explained.chain = true;
            explained.at = at.or(explained.at);
        }
        if let (Piece::Chain, None, Some(given)) = (&piece, &self.open, &mut self.given) {
            given.chain = true;
            given.at = at.or(given.at);
            return;
        }
        let Some(open) = &mut self.open else { return };
        open.at = at.or(open.at);
        match piece {
            Piece::Chain => open.chain = true,
            Piece::Hosts(hosts) if open.hosts.is_empty() => open.hosts = hosts,
            Piece::Port(port) if !open.hosts.is_empty() => open.port = Some(port),
            _ => {}
        }
        if open.port.is_some() && open.refused.form != "aggregate-error" {
            self.close();
        }
    }

    /// `code: 'ECONNREFUSED'` on a line of its own: of the error before it, or an error itself.
    fn node_field(&mut self, tag: u64, at: Option<i64>, span: std::ops::Range<usize>) {
        if let Some(open) = &mut self.open
            && !(open.fields && at.is_none() && open.port.is_some())
        {
            open.at = at.or(open.at);
            open.refused.strength = Strength::Strong;
            return;
        }
        if let Some(given) = &mut self.given {
            given.at = at.or(given.at);
            return;
        }
        let (strength, form) = (Strength::Strong, "node-fields");
        let refused = Refused { strength, destinations: Vec::new(), form, span };
        let (hosts, port) = (Vec::new(), None);
        self.open =
            Some(Open { tag, at, refused, friend: None, hosts, port, chain: false, fields: true });
    }

    /// Ends what lies too far back in time.
    fn expire(&mut self, now: Option<i64>) {
        let far = |at: Option<i64>| match (at, now) {
            (Some(at), Some(now)) => now.abs_diff(at) > TOGETHER_NS.unsigned_abs(),
            _ => false,
        };
        if self.open.as_ref().is_some_and(|open| far(open.at)) {
            self.close();
        }
        if self.given.as_ref().is_some_and(|given| far(given.at)) {
            self.given = None;
        }
        if self.explained.is_some_and(|e| far(e.at)) {
            self.explained = None;
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let fields = open.fields;
        let (at, chain) = (open.at, open.chain);
        let joined = open.finish();
        let destinations = joined.refused.destinations.clone();
        self.given = (!fields).then_some(Given { at, destinations, chain });
        self.out.push_back(joined);
    }
}

impl Open {
    fn merge(&mut self, child: Refused, friend: Option<FalseFriend>) {
        if child.strength > self.refused.strength {
            self.refused.strength = child.strength;
            // What seemed to be another cause was only told along with this one.
            self.friend = self.friend.filter(|f| *f != FalseFriend::OtherErrno);
            if self.refused.form != "aggregate-error" {
                self.refused.form = child.form;
            }
        }
        for destination in child.destinations {
            peer::add(&mut self.refused.destinations, destination);
        }
        self.friend = self.friend.or(friend);
    }

    /// Nothing that could still come would change it.
    fn complete(&self) -> bool {
        self.refused.strength == Strength::Strong
            && !self.refused.destinations.is_empty()
            && self.refused.form != "aggregate-error"
            && !self.chain
    }

    fn finish(mut self) -> Joined {
        if self.refused.destinations.is_empty() {
            for host in self.hosts {
                peer::add(&mut self.refused.destinations, Destination { host, port: self.port });
            }
        }
        let by_words = |f: FalseFriend| !matches!(f, FalseFriend::Loopback | FalseFriend::WaitLoop);
        let false_friend =
            self.friend.filter(|f| by_words(*f)).or_else(|| friends::by_destination(&self.refused));
        Joined { tag: self.tag, refused: self.refused, false_friend }
    }
}

/// Whether a line says of itself that it continues the error before it.
fn continues(lower: &str) -> bool {
    let line = lower.trim_start();
    const LEADS: &[&str] = &[
        "caused by",
        "--->",
        "[cause]:",
        "cause:",
        "suppressed:",
        "inner exception",
        "wrapped by:",
        "nested exception",
        "\u{2514}",
        "\u{2570}",
        "\u{251c}",
        "because",
        "... caused by",
        "[errors]:",
    ];
    if LEADS.iter().any(|lead| line.starts_with(lead)) {
        return true;
    }
    // anyhow and eyre number their causes: `    0: tcp connect error: …`.
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    line.len() < lower.len() && (1..=2).contains(&digits) && line[digits..].starts_with(": ")
}

/// Whether two lines may speak of one connection: one of them names no address, they share one,
/// or the one gives the name and the other the IP on the same port.
fn compatible(a: &[Destination], b: &[Destination]) -> bool {
    let mixed = |x: &Host, y: &Host| matches!(x, Host::Ip(_)) != matches!(y, Host::Ip(_));
    let fits = |x: &Destination, y: &Destination| {
        let ports = x.port == y.port || x.port.is_none() || y.port.is_none();
        ports && (x.host == y.host || mixed(&x.host, &y.host))
    };
    a.is_empty() || b.is_empty() || a.iter().any(|x| b.iter().any(|y| fits(x, y)))
}
