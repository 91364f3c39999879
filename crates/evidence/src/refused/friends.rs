//! False friends: the words of a refusal that say nothing about this pod's start.
//!
//! Works on ASCII-lowercase text. Must not know addresses beyond what it is given.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::reading::{FalseFriend, Refused};
use super::telling::{head, tail};

/// Ports of the sidecar itself that start-up scripts and hooks poll (RULES.md 1.1).
const SIDECAR_PORTS: &[u16] = &[15000, 15020, 15021];
/// Refused on these only ever seen against the pod itself.
const CAPTURE_PORTS: &[u16] = &[15001, 15004, 15006, 15053, 15090];

const SETTINGS: &[&str] = &[
    "retryon",
    "retry_on",
    "retry-on",
    "retry on",
    "retries on",
    "retryable_errors",
    "retryableerrors",
    "retryable errors",
    "retrycodes",
    "retry_codes",
    "retryable codes",
    "retry if",
    "retrywhen",
    "retry-on",
    "error codes",
    "errorcodes",
    "error_codes",
    "ignored errors",
    "ignorederrors",
    "ignore_errors",
    "retry policy",
    "retrypolicy",
];
const ADVICE: &[&str] = &[
    "e.g.",
    "for example",
    "such as",
    "if you see",
    "if you get",
    "if you receive",
    "in case of",
    "to avoid",
    "to prevent",
    "troubleshoot",
    "usage:",
    "example:",
    "errors like",
    "what does",
    "how to",
    "on connection-refused",
    "when the connection is",
    "means that the",
    "may result in",
    "could cause",
    "will cause",
    "can cause",
];
const SUCCESS: &[&str] = &[
    "connected after",
    "connected successfully",
    "successfully connected",
    "reconnected",
    "recovered after",
    "recovered from connection",
    "succeeded after",
    "success after",
    "connection established after",
    "connection restored",
    "connection re-established",
    "is back",
    "back online",
    "healthy again",
    "available again",
    "ready after",
    "resolved:",
];
const PROBES: &[&str] = &[
    "readiness probe failed",
    "liveness probe failed",
    "startup probe failed",
    "readiness probe errored",
    "liveness probe errored",
    "startup probe errored",
    "probe failed\" probetype",
    "probe to app failed",
    "request to probe app failed",
    "failed to probe",
    "probetype=",
];
const OTHER_NUMBERS: &[&str] = &[
    "10061",
    "0x274d",
    "actively refused",
    "wsaeconnrefused",
    "errno 61]",
    "os error 61)",
    "(61)",
    "errno: -61",
    "errno\":-61",
    "errno\": -61",
    "errno: -4078",
    "errno\":-4078",
    "errno=61",
    "errno 61 ",
    "errno: 61",
    "exception (61)",
    "code=61 ",
    "code: 61",
    "(113:",
    "(113,",
    "(110,",
    "errno 113",
    "os error 113",
    "(110:",
    "errno 110",
    "os error 110",
    "connect error: 113",
    "connect error: 110",
];
const WAIT_HOOK: &[&str] = &["pilot-agent wait", "waiting for envoy proxy to be ready"];

/// All words that decide by merely being in a line, searched for in one pass.
static SUSPICIOUS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let all = [SETTINGS, ADVICE, SUCCESS, PROBES, OTHER_NUMBERS, WAIT_HOOK].concat();
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .build(all)
        .expect("a few dozen short words fit any automaton")
});

/// Whether a line holds any word that could make it a false friend; most hold none.
pub(super) fn suspicious(lower: &str) -> bool {
    SUSPICIOUS.is_match(lower)
}

/// What the destination says: the sidecar's own readiness poll, or a local server.
pub(super) fn by_destination(refused: &Refused) -> Option<FalseFriend> {
    let sidecar = |port: u16| {
        SIDECAR_PORTS.contains(&port) || (CAPTURE_PORTS.contains(&port) && refused.loopback())
    };
    let known = &refused.destinations;
    if !known.is_empty() && known.iter().all(|d| d.port.is_some_and(sidecar)) {
        return Some(FalseFriend::WaitLoop);
    }
    refused.loopback().then_some(FalseFriend::Loopback)
}

/// Whether the words at `span` are quoted: code, configuration, a query, a pattern, a metric.
pub(super) fn quoted(lower: &str, span: &Range<usize>, suspicious: bool) -> bool {
    let before = tail(&lower[..span.start], 160);
    let after = head(&lower[span.end..], 120);
    source_code(before, after)
        || request_path(before)
        || bare_item(before, after)
        || explained(before, after)
        || query(before, after)
        || listed(before, after)
        || counted(after)
        || suspicious && (setting(before) || advice(before))
}

/// `except ConnectionRefusedError:`, `err.code === 'ECONNREFUSED'`, `errors.Is(err, …)`.
fn source_code(before: &str, after: &str) -> bool {
    let line = before.trim_start();
    let bare = before.trim_end_matches([' ', '\'', '"', '`', '(', ':', '.']);
    let bare = strip_path(bare);
    const LEADS: &[&str] = &[
        "==",
        "!=",
        "case",
        "except",
        "rescue",
        "catch",
        "errors.is(err, syscall",
        "raise",
        "instanceof",
        "includes",
        "contains",
        "indexof",
        "startswith",
        "endswith",
        "import",
        "matches",
        "throw new",
        "errors.is(err",
        "isinstance(e",
        "expect(err.code).tobe",
        "assertraises",
        "toequal",
        "haserror",
        "strings.contains(err.error(), ",
    ];
    let ends_word = |lead: &str| {
        bare.strip_suffix(lead).is_some_and(|head| {
            !lead.starts_with(|c: char| c.is_alphabetic())
                || !head.ends_with(|c: char| c.is_alphanumeric() || c == '_')
        })
    };
    if LEADS.iter().any(|lead| ends_word(lead)) {
        // Ruby's and others' "rescue in connect: Connection refused" keeps its space and colon.
        return !before.ends_with(": ");
    }
    // `at com.example.ConnectionRefused(…)`, `from x import y`, a comment line.
    line.starts_with("at ") && after.starts_with(['.', '(', '$'])
        || line.starts_with("# ")
        || line.starts_with("// ")
        || line.starts_with("/* ")
}

/// Drops `syscall.`, `Errno::`, `std::io::ErrorKind::` before a name.
fn strip_path(bare: &str) -> &str {
    let keep =
        bare.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '.' || c == ':');
    // Only a path that is glued to the name by its last separator.
    match &bare[keep.len()..] {
        path if path.contains("errno")
            || path.contains("syscall")
            || path.contains("errorkind") =>
        {
            keep.trim_end_matches([' ', '(', ','])
        }
        _ => bare,
    }
}

/// Part of a path that somebody asked for: `GET /errors/econnrefused 200`.
fn request_path(before: &str) -> bool {
    let token = before.rfind([' ', '"']).map_or(0, |n| n + 1);
    let method = before[..token].trim_end_matches([' ', '"']);
    before[token..].starts_with('/')
        && ["get", "head", "post", "put", "delete", "patch", "options"].iter().any(|m| {
            method.strip_suffix(m).is_some_and(|h| !h.ends_with(|c: char| c.is_alphanumeric()))
        })
}

/// The word and nothing else as an item of a list: `- ECONNREFUSED` on a line of its own,
/// `["ECONNREFUSED"]`. A list of errors would say more than their name.
fn bare_item(before: &str, after: &str) -> bool {
    let line = &before[before.rfind('\n').map_or(0, |n| n + 1)..];
    let rest = &after[..after.find('\n').unwrap_or(after.len())];
    let alone = line.trim_start().strip_prefix('-').is_some_and(|dash| {
        dash.starts_with([' ', '\t']) && dash.trim_matches([' ', '\t', '\'', '"']).is_empty()
    });
    alone && rest.trim_matches([' ', '\t', '\r', '\'', '"']).is_empty()
        || line.ends_with("[\"") && rest.starts_with("\"]")
}

/// Said of the words rather than with them: `"connection refused" means …`, a handler that is
/// registered for them.
fn explained(before: &str, after: &str) -> bool {
    let of_words = after.trim_start_matches(['"', '\'', '`', '”', '’']);
    let quoted = of_words.len() < after.len();
    after.starts_with(" troubleshooting")
        || before.ends_with("docs: see ")
        || quoted && (of_words.starts_with(" means") || of_words.starts_with(" usually means"))
        || before.contains("handler for ")
}

/// SQL, log filters, regular expressions.
fn query(before: &str, after: &str) -> bool {
    const LEADS: &[&str] = &[
        "like '%",
        "like \"%",
        "=~ \"",
        "=~ '",
        "=~\"",
        "!~ \"",
        "|= \"",
        "|~ \"",
        "textpayload:\"",
        "message:\"",
        "textpayload=~\"",
        "grep ",
        "grep -i ",
        "grep -e ",
        "grep -q ",
        "grep '",
        "grep \"",
        "grep -i '",
        "grep -i \"",
        "grep -q \"",
        "pattern: ",
        "pattern: \"",
        "regex: ",
        "regex=\"",
        "pattern=\"",
        "regexp: ",
        "match: \"",
        "matches '",
        "matches \"",
        "filter: \"",
    ];
    if LEADS.iter().any(|lead| before.ends_with(lead)) {
        return true;
    }
    before.ends_with(".*")
        || after.starts_with(".*")
        || after.starts_with('%')
        || after.starts_with("\\b")
        || before.ends_with("\\b")
        || before.ends_with("(?i)")
        || before.ends_with('/') && after.starts_with("/i")
}

/// One of several names in a list, as settings and patterns have them.
fn listed(before: &str, after: &str) -> bool {
    const NAMES: &[&str] = &[
        "econn",
        "etimedout",
        "epipe",
        "enotfound",
        "eai_",
        "ehost",
        "enet",
        "esocket",
        "timeout",
        "timed out",
        "reset",
        "broken pipe",
        "no route",
        "eof",
        "unavailable",
        "connection reset",
        "connect-failure",
        "connection timed",
        "i/o timeout",
        "5xx",
        "gateway-error",
    ];
    let name = |text: &str| {
        let text = text.trim_start_matches("syscall.").trim_start_matches("errno::");
        NAMES.iter().any(|n| text.starts_with(n))
    };
    let next = after.trim_start_matches(['\'', '"', '`', ' ']);
    let quote = after.starts_with(['\'', '"', '`']);
    let follows = next.strip_prefix(['|', ',']).map(|rest| {
        // An unquoted comma is punctuation: "connection refused, timed out after 3 tries".
        (quote || next.starts_with('|') || !rest.starts_with(' '))
            && name(rest.trim_start_matches([' ', '\'', '"', '`', '|']))
    });
    let prior = before.trim_end_matches(['\'', '"', '`', ' ']);
    let leads = prior.strip_suffix(['|', ',']).map(|rest| {
        let quoted = before.ends_with(['\'', '"', '`']);
        let rest = rest.trim_end_matches(['\'', '"', '`', ' ']);
        let word =
            &rest[rest.rfind([',', '|', '[', '(', '\'', '"', '`', '=']).map_or(0, |n| n + 1)..];
        (quoted || prior.ends_with('|') || !before.ends_with(' ')) && name(word.trim_start())
    });
    follows == Some(true) || leads == Some(true)
}

/// A counter: `connection refused: 0`, `connection_refused=12`.
fn counted(after: &str) -> bool {
    let value = after.trim_start_matches(['"', '\'', ' ']);
    let Some(value) = value.strip_prefix([':', '=']) else { return false };
    let value = value.trim_start_matches(['"', ' ', '=']);
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &value[digits..];
    let number = &value[..digits];
    digits > 0
        && number != "111"
        && !rest.starts_with(|c: char| c == '.' || c == ':' || c == '-' || c.is_alphanumeric())
}

/// Names of settings right before the words: `retryOn:`, `retry_on_status`, `--retry-…`.
fn setting(before: &str) -> bool {
    let near = tail(before, 60);
    // The setting and the words must belong together: no other sentence in between.
    let near = &near[near.rfind(['.', '\n']).map_or(0, |n| n + 1)..];
    SETTINGS.iter().any(|n| near.contains(n))
}

/// Help texts, documentation and comments.
fn advice(before: &str) -> bool {
    let near = tail(before, 80);
    // Whole words only: `vault.acme.example:8200` is a host.
    let starts_word = |n: usize| {
        n == 0 || !near[..n].ends_with(|c: char| c.is_ascii_alphanumeric() || ".-_/".contains(c))
    };
    ADVICE.iter().any(|lead| near.match_indices(lead).any(|(n, _)| starts_word(n)))
}

/// A connection that came up in the end, told with its last error.
pub(super) fn recovered(lower: &str, span: &Range<usize>) -> bool {
    let before = tail(&lower[..span.start], 300);
    let success = SUCCESS.iter().any(|s| {
        before.find(s).is_some_and(|n| {
            let head = before[..n].trim_end();
            let denied = ["not", "never", "can't be", "n't"].iter().any(|no| head.ends_with(no));
            !denied && !before[..n].ends_with("dis")
        })
    });
    success && !before.contains("recovered from panic")
}

/// The kubelet's probes, and pilot-agent's on its behalf.
pub(super) fn probe(lower: &str) -> bool {
    PROBES.iter().any(|w| lower.contains(w))
}

/// The wait hook of Istio's own agent.
pub(super) fn wait_hook(lower: &str) -> bool {
    WAIT_HOOK.iter().any(|w| lower.contains(w))
}

/// Numbers of other systems (Windows 10061, macOS and BSD 61, Node's -4078) or other errors.
pub(super) fn other_number(lower: &str) -> bool {
    OTHER_NUMBERS.iter().any(|w| lower.contains(w))
}

/// A Unix socket as the peer: it never leaves the container.
pub(super) fn unix_socket(lower: &str, span: &Range<usize>) -> bool {
    let from = span.start.saturating_sub(300);
    let from = (from..=span.start).find(|i| lower.is_char_boundary(*i)).unwrap_or(span.start);
    let near = &lower[from..];
    let near = head(near, 700);
    let file = near
        .match_indices(".sock")
        .any(|(n, w)| !near[n + w.len()..].starts_with(|c: char| c.is_alphanumeric()));
    file || ["dial unix", "unix:/", "unix domain socket", "unix socket", "on socket \"/"]
        .iter()
        .any(|w| near.contains(w))
}
