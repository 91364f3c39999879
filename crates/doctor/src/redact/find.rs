//! Where in a text something is to be replaced: words that are known, and forms that secrets,
//! addresses and hosts have. Sooner too much than too little.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

use crate::rules::rules;

use super::class::Class;
use super::known::{self, Known};

/// A place, and what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) range: Range<usize>,
    pub(super) class: Class,
}

/// What has a form of its own: the group that is replaced is named by its class.
static FORMS: LazyLock<Vec<(Class, Regex)>> = LazyLock::new(|| {
    let form = |class, text: &str| (class, Regex::new(text).expect("a pattern that tests run"));
    vec![
        // Keys in PEM, whole or begun.
        form(Class::Token, r"(?s)-----BEGIN [A-Z ]*KEY-----(.+?)(?:-----END|\z)"),
        // JSON web tokens (RFC 7519): a header in base64 begins with `{"`.
        form(Class::Token, r"\b(eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?)"),
        // Tokens with a prefix of their maker's.
        form(
            Class::Token,
            r"\b((?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk-|sk_live_|rk_live_|AIza|ya29\.|hv[sbr]\.|s\.(?:[A-Za-z0-9]{20})|dop_v1_|npm_|pypi-)[A-Za-z0-9_./+-]{4,}|A(?:KIA|SIA)[0-9A-Z]{16})",
        ),
        form(Class::Token, r"(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/=-]{6,})"),
        // `password=…`, `"token": "…"`.
        form(
            Class::Token,
            r#"(?i)\b[\w.-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)[\w.-]*\\?["']?\s?=\s?\\?["']?([^\s"'\\,;&<>{}()\[\]]{3,})"#,
        ),
        form(
            Class::Token,
            r#"(?i)\b[\w.-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)[\w.-]*\\?["']?\s?:\s?\\?["']?([^\s"'\\,;&<>{}()\[\]/]*[0-9$!#%^*+~][^\s"'\\,;&<>{}()\[\]/]*)"#,
        ),
        // The name and word before the host of a URL.
        form(Class::Token, r"://([^\s/@:'\x22]+:[^\s/@'\x22]*)@"),
        form(
            Class::Email,
            r"(?:^|[^:A-Za-z0-9._%+-])([A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})",
        ),
        // Long rows of letters and digits: hashes, identifiers, keys.
        form(Class::Token, r"(?:^|[^A-Za-z0-9+_=])([A-Za-z0-9+_]{32,}={0,2})"),
        form(
            Class::Ip,
            r"(?:^|[^0-9A-Za-z.])((?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:/[0-9]{1,2})?)(?:$|[^0-9A-Za-z])",
        ),
        form(
            Class::Ip,
            r"(?:^|[^0-9A-Za-z:.])([0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:/[0-9]{1,3})?)",
        ),
        // Hosts: after a scheme or a word that announces one; or with a domain that is one.
        form(
            Class::Host,
            r#"(?i)(?:://(?:[^\s/@'"]*@)?|\blookup |\bhost[=:]\s?"?|\bserver[=:]\s?"?|dial tcp:? (?:lookup )?)([A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9_-]+)*)"#,
        ),
        form(
            Class::Host,
            r"(?:^|[^A-Za-z0-9._/@-])((?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?\.)+(?:svc(?:\.cluster\.local)?|com|net|org|io|dev|cloud|local|internal|intranet|corp|lan|app|ai|co|de|eu|fr|uk|us|ch|at|nl|in|jp|cn|br|info|biz|example|test|tech|systems))(?:$|[^A-Za-z0-9_(/.-]|\.(?:$|\s))",
        ),
        // With a port, any domain is one; a file with a line is none.
        form(
            Class::Host,
            r"(?:^|[^A-Za-z0-9._/@-])((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z](?:[a-z0-9-]*[a-z0-9])?):[0-9]{2,5}(?:$|[^0-9])",
        ),
        form(
            Class::Host,
            r"\b((?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?\.)+(?:com|net|org|io|dev|cloud|internal|example))/",
        ),
    ]
});

/// Keys that Istio, Kubernetes and the like define, our own words, versions of APIs.
static KEPT: LazyLock<Regex> = LazyLock::new(|| {
    let text = r"\b(?:[a-z0-9-]+\.)*(?:istio|k8s|kubernetes|prometheus|sigstore)\.io(?:/[\w.-]+)?|\b(?:sunup\.dev|vault\.hashicorp\.com|sunup\.doctor)/[\w.-]+|\bnet\.ipv[46]\.[\w.]+";
    Regex::new(text).expect("a pattern that tests run")
});

/// What is to be replaced, in order, without overlaps.
pub(super) fn spans(text: &str, known: &[Known], words: &AhoCorasick) -> Vec<Span> {
    let mut found: Vec<Span> = words
        .find_overlapping_iter(text)
        .filter_map(|hit| {
            let class = known[hit.pattern().as_usize()].class;
            let range = hit.start()..hit.end();
            stands_alone(text, &range, class).then_some(Span { range, class })
        })
        .collect();
    forms(text, &mut found);
    if found.is_empty() {
        return found;
    }
    let kept: Vec<Range<usize>> = KEPT.find_iter(text).map(|hit| hit.range()).collect();
    let ids = own_ids(text);
    found.retain(|span| {
        let meets =
            |kept: &Range<usize>| kept.start < span.range.end && span.range.start < kept.end;
        let holds =
            |kept: &Range<usize>| kept.start <= span.range.start && span.range.end <= kept.end;
        // A key may hold a name of somebody's; what is secret is so everywhere.
        span.class.is_secret() || !(kept.iter().any(meets) || ids.iter().any(holds))
    });
    // The longest of those that begin together, then what overlaps is one with what is before it.
    found.sort_by_key(|span| (span.range.start, std::cmp::Reverse(span.range.end)));
    let mut out: Vec<Span> = Vec::new();
    for span in found {
        match out.last_mut() {
            Some(last) if span.range.start < last.range.end => {
                last.range.end = last.range.end.max(span.range.end);
            }
            _ => out.push(span),
        }
    }
    out
}

fn forms(text: &str, found: &mut Vec<Span>) {
    for (class, form) in FORMS.iter() {
        let mut at = 0;
        // Patterns look at the sign before and after: the search goes on behind the group alone.
        while let Some(hit) = form.captures_at(text, at).and_then(|hit| hit.get(1)) {
            at = hit.end().max(at + 1);
            while !text.is_char_boundary(at.min(text.len())) {
                at += 1;
            }
            if is_meant(*class, hit.as_str(), &text[hit.end()..]) {
                found.push(Span { range: hit.range(), class: *class });
            }
            if at >= text.len() {
                break;
            }
        }
    }
}

/// Ends of files' names, which look like domains.
const FILES: [&str; 26] = [
    "c",
    "cc",
    "conf",
    "cpp",
    "cs",
    "go",
    "h",
    "java",
    "js",
    "json",
    "jsonl",
    "kt",
    "log",
    "lua",
    "md",
    "mjs",
    "php",
    "pid",
    "properties",
    "py",
    "rb",
    "rs",
    "ts",
    "txt",
    "yaml",
    "yml",
];

/// What only has the form of something.
fn is_meant(class: Class, text: &str, after: &str) -> bool {
    match class {
        Class::Ip => {
            let address = text.split('/').next().unwrap_or(text);
            address.parse::<std::net::IpAddr>().is_ok()
        }
        Class::Token => {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let row =
                text.len() >= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            // A long identifier of a program is no token.
            !(known::is_public(text) || row && digits < 3)
        }
        Class::Host => {
            let port = after
                .strip_prefix(':')
                .is_some_and(|p| p.starts_with(|c: char| c.is_ascii_digit()));
            let number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let word =
                !text.contains(['.', '-']) && !port && !text.bytes().any(|b| b.is_ascii_digit());
            // `host: connection refused` announces no host.
            let file = text.rsplit_once('.').is_some_and(|(_, end)| FILES.contains(&end));
            !(number || file || known::is_public(text) || word && known::is_common(text))
        }
        _ => true,
    }
}

/// Whether a known word is a word here: names are not replaced inside of other words.
fn stands_alone(text: &str, range: &Range<usize>, class: Class) -> bool {
    if class.is_secret() && range.len() >= 8 {
        return true;
    }
    let part = |c: char| c.is_alphanumeric();
    let before = text[..range.start].chars().next_back();
    let after = text[range.end..].chars().next();
    !before.is_some_and(part) && !after.is_some_and(part)
}

/// Ids of rules and names that everybody knows, which may have somebody's name in them.
fn own_ids(text: &str) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    for id in rules().map(|meta| meta.id).chain(known::public_phrases()) {
        let places = text.match_indices(id).map(|(at, id)| at..at + id.len());
        all.extend(places.filter(|range| stands_alone(text, range, Class::Object)));
    }
    all
}
