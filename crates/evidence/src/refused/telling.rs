//! The telling words of one line: errno words and numbers in context, else the weaker families.
//!
//! Works on ASCII-lowercase text. Must not know whole sentences of any library, nor addresses.

use std::ops::Range;

use super::reading::Strength;
use super::weaker;

/// At most this many places per line are looked at.
const PLACES_MAX: usize = 32;

/// Words that say "connection refused" (or would, were they not part of something else).
#[derive(Debug, Clone)]
pub(super) struct Telling {
    pub(super) span: Range<usize>,
    pub(super) form: &'static str,
    pub(super) strength: Strength,
}

impl Telling {
    /// "Connection to db:5432 refused" has its address inside.
    pub(super) fn holds_address(&self) -> bool {
        matches!(self.form, "refused-between" | "refused-near")
    }
}

/// Words that look telling and are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoy {
    /// An identifier, a metric, a policy name.
    Name,
    /// A server that answered, and said no; or a server that says it sent someone away.
    Answered,
}

/// All telling words of a line, strong ones first found; weak ones only where none is strong.
pub(super) fn find(lower: &str) -> (Vec<Telling>, Option<Decoy>) {
    let mut found = Vec::new();
    let mut decoy = None;
    for (at, _) in lower.match_indices("refused").take(PLACES_MAX) {
        match refused(lower, at) {
            Ok(Some(telling)) => found.push(telling),
            Ok(None) => {}
            Err(why) => decoy = decoy.or(Some(why)),
        }
    }
    for (at, _) in lower.match_indices("111").take(PLACES_MAX) {
        if let Some(telling) = number(lower, at)
            && !found.iter().any(|f: &Telling| gap(&f.span, &telling.span) < 32)
        {
            found.push(telling);
        }
    }
    for words in TRANSLATIONS {
        if let Some(at) = lower.find(words) {
            found.push(strong(at..at + words.len(), "translated"));
        }
    }
    found.sort_by_key(|t| t.span.start);
    if found.is_empty() && decoy.is_none() {
        let weak = |(span, form)| Telling { span, form, strength: Strength::Weak };
        found = weaker::find(lower).map(weak).collect();
    }
    (found, decoy)
}

/// glibc's ECONNREFUSED in languages whose words the prefilter lets through; for the others
/// the number counts.
const TRANSLATIONS: &[&str] = &["connexion refus"];

fn strong(span: Range<usize>, form: &'static str) -> Telling {
    Telling { span, form, strength: Strength::Strong }
}

fn gap(a: &Range<usize>, b: &Range<usize>) -> usize {
    b.start.saturating_sub(a.end).max(a.start.saturating_sub(b.end))
}

/// Reads one place of the word "refused".
fn refused(lower: &str, at: usize) -> Result<Option<Telling>, Decoy> {
    let end = at + "refused".len();
    let (before, after) = (&lower[..at], &lower[end..]);
    let next = after.chars().next().unwrap_or(' ');
    if let Some(head) = before.strip_suffix("econn") {
        if next.is_alphanumeric() || next == '_' {
            return Err(Decoy::Name);
        }
        let form = if head.ends_with("aggregateerror [") {
            "aggregate-error"
        } else if head.ends_with("connect ") {
            "node-connect"
        } else {
            "errno-word"
        };
        return Ok(Some(strong(head.len()..end, form)));
    }
    if let Some(head) = before.strip_suffix("connection") {
        let rest = after.strip_prefix("error").or(after.strip_prefix("exception")).unwrap_or(after);
        if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return Err(Decoy::Name);
        }
        // An MQTT client's `ConnectionRefused(NotAuthorized)`: the broker answered.
        if answered(rest) {
            return Err(Decoy::Answered);
        }
        return Ok(Some(strong(head.len()..end, "kind-word")));
    }
    for lead in ["connection", "connect", "conn"] {
        for separator in [" ", "_", "-"] {
            let head = before.strip_suffix(separator).and_then(|b| b.strip_suffix(lead));
            let Some(head) = head else { continue };
            if next.is_alphanumeric() || ((next == '_' || next == '-') && !after.starts_with("--"))
            {
                return Err(Decoy::Name);
            }
            // `backend_connect_refused{…} 3` is a metric; Chrome's ERR_CONNECTION_REFUSED is not.
            let longer = head.ends_with('_') || head.ends_with(|c: char| c.is_alphanumeric());
            if longer && separator != " " && !head.ends_with("err_") && !head.ends_with("error_") {
                return Err(Decoy::Name);
            }
            if answered(after) {
                return Err(Decoy::Answered);
            }
            return Ok(Some(strong(head.len()..end, phrase_form(head, after))));
        }
    }
    loose(lower, at, end)
}

/// The family of the plain phrase, from the words right before it.
fn phrase_form(head: &str, after: &str) -> &'static str {
    let near = tail(head, 200);
    let udp = ["read udp", "write udp", "dial udp", "udp://", "sendto", "sendmsg"];
    if near.contains("lookup ") && near.contains("->")
        || near.contains("read udp") && near.contains(":53:")
    {
        "dns-udp"
    } else if udp.iter().any(|u| near.contains(u)) {
        "udp"
    } else if near.contains("dial tcp") {
        "go-dial"
    } else if near.ends_with("could not connect to server: ") {
        "psycopg-old"
    } else if near.contains("connection to server at") {
        "psycopg"
    } else if near.ends_with("(111: ") || near.ends_with("(111)") {
        "errno-paren"
    } else if after.starts_with(" (os error 111") {
        "rust-io"
    } else {
        "refused-phrase"
    }
}

/// What PostgreSQL's JDBC driver adds to "Connection to X refused" for every failed `connect`,
/// one that timed out too.
const WHATEVER_HAPPENED: &str = ". check that the hostname and port are correct";

/// "Connection to X refused", "the server refused to connect": the word near a connect-ish one.
fn loose(lower: &str, at: usize, end: usize) -> Result<Option<Telling>, Decoy> {
    let (before, after) = (&lower[..at], &lower[end..]);
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if before.ends_with(inside) || after.starts_with(inside) {
        return if lower.contains("connect") || after.starts_with(['_', '-']) {
            Err(Decoy::Name)
        } else {
            Ok(None)
        };
    }
    // "refused connect from 10.0.0.1" is tcpwrappers speaking of a client.
    if after.starts_with(" connect from") || after.starts_with(" connection from") {
        return Err(Decoy::Answered);
    }
    let clause = &before[before.rfind(['\n', '"', ';']).map_or(0, |n| n + 1)..];
    let clause = tail(clause, 300);
    if let Some(n) = clause.rfind("connection to ") {
        let start = at - clause.len() + n;
        // One target lies between; a second sentence does not.
        if clause[n..].split_whitespace().count() <= 7 && !answered(after) {
            let strength = match after.starts_with(WHATEVER_HAPPENED) {
                true => Strength::Weak,
                false => Strength::Strong,
            };
            return Ok(Some(Telling { span: start..end, form: "refused-between", strength }));
        }
    }
    if let Some(n) = tail(clause, 40).rfind("connect") {
        let start = at - (tail(clause, 40).len() - n);
        return if answered(after) {
            Err(Decoy::Answered)
        } else {
            Ok(Some(strong(start..end, "refused-near")))
        };
    }
    for tail_words in [" to connect", " the connection", " our connection", " connection"] {
        if after.starts_with(tail_words) && !answered(&after[tail_words.len()..]) {
            return Ok(Some(strong(at..end + tail_words.len(), "refused-near")));
        }
    }
    Ok(None)
}

/// What a server says that answered: MQTT's CONNACK codes, connection limits, access lists.
fn answered(after: &str) -> bool {
    let after = head(after, 60).trim_start_matches([':', ',', ' ', '-', '(', '\'', '"', '.']);
    const REASONS: &[&str] = &[
        "not auth",
        "notauth",
        "badusername",
        "badidentifier",
        "bad user",
        "bad credentials",
        "invalid credentials",
        "identifier rejected",
        "unacceptable protocol",
        "too many",
        "by policy",
        "by acl",
        "by rule",
        "by access",
        "due to",
        "authentication",
        "access denied",
        "user is not allowed",
        "from ",
    ];
    REASONS.iter().any(|r| after.starts_with(r))
}

/// Reads one place of the digits 111.
fn number(lower: &str, at: usize) -> Option<Telling> {
    let (before, after) = (&lower[..at], &lower[at + 3..]);
    let next = after.chars().next().unwrap_or(' ');
    if next.is_alphanumeric() || next == '_' || next == '-' {
        return None;
    }
    // "1.111:80" and "111.2" are numbers of another kind.
    if next == '.' && after[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let context = before.trim_end_matches('-');
    let context = context.trim_end_matches([' ', ':', '=', '"', '(', '\'', '[']);
    if context.len() == before.len() || before.len() - context.len() > 6 {
        return None;
    }
    let span = |word: &str| context.len() - word.len()..at + 3;
    if let Some(word) = ["errno", "os error", "socketexception", "econnrefused"]
        .into_iter()
        .find(|w| context.ends_with(w))
    {
        return Some(strong(span(word), "errno-number"));
    }
    if context.ends_with("delayed connect error") {
        return Some(strong(span("delayed connect error"), "envoy-connect-error"));
    }
    let word = ["error code", "errorcode", "error_code", "error", "err", "code", "socket_error"]
        .into_iter()
        .find(|w| context.ends_with(w));
    if let Some(word) = word {
        let head = context[..context.len() - word.len()].trim_end_matches([' ', '_', '"']);
        let other = ["exit", "status", "response", "return", "sql", "exited with", "http"];
        let other = other.iter().any(|o| head.ends_with(o));
        let said = connecting(tail(before, 160)) || connecting(&head_of(after, 80));
        return (!other && said).then(|| strong(span(word), "errno-number"));
    }
    let paren = before.ends_with(['(', '[']) || before.ends_with("(-");
    if paren && after.starts_with([')', ':', ']']) && connecting(tail(before, 200)) {
        let failing = ["can't", "cannot", "could not", "couldn't", "unable", "fail", "error"];
        let near = tail(before, 200);
        return failing.iter().any(|w| near.contains(w)).then(|| strong(at..at + 3, "errno-paren"));
    }
    None
}

fn head_of(text: &str, bytes: usize) -> String {
    head(text, bytes).to_owned()
}

fn connecting(near: &str) -> bool {
    const WORDS: &[&str] =
        &["connect", "socket", "dial", "tcp", "upstream", "reach", "redis", "mysql", "broker"];
    WORDS.iter().any(|w| near.contains(w))
}

/// The last `bytes` of a text, cut at a character.
pub(super) fn tail(text: &str, bytes: usize) -> &str {
    let mut at = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(at) {
        at += 1;
    }
    &text[at..]
}

/// The first `bytes` of a text, cut at a character.
pub(super) fn head(text: &str, bytes: usize) -> &str {
    let mut at = bytes.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    &text[..at]
}
