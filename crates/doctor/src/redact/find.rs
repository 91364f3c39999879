//! Where in a text something is to be replaced: words that are known, and forms that secrets,
//! addresses and hosts have. Sooner too much than too little.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

use crate::rules::rules;

use super::class::Class;
use super::disguise;
use super::forms::{FORMS, Unless, is_said};
use super::kept::IMAGES;
use super::known;
use super::span::{Span, stands_alone};
use super::words::Words;

/// Bytes of what was found that are looked through once more.
const AGAIN_MAX: usize = 64;

/// Keys that Istio, Kubernetes and the like define, our own words, versions of APIs.
static KEPT: LazyLock<Regex> = LazyLock::new(|| {
    let text = r"\b(?:[a-z0-9-]+\.)*(?:istio|k8s|kubernetes|prometheus|sigstore)\.io(?:/[\w.-]+)?|\b(?:sunup\.dev|vault\.hashicorp\.com|sunup\.doctor)/[\w.-]+|\bnet\.ipv[46]\.[\w.]+";
    Regex::new(text).expect("a pattern that tests run")
});

/// What is to be replaced, in order, without overlaps; what escapes hide, too.
pub(super) fn spans(text: &str, words: &Words) -> Vec<Span> {
    let mut found = open(text, words);
    if let Some(plain) = disguise::plain(text) {
        let hidden = open(plain.text(), words).into_iter();
        found.extend(hidden.map(|span| Span { range: plain.place(&span.range), ..span }));
    }
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

/// What stands in a text as it is.
fn open(text: &str, words: &Words) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    words.find(text, &mut found);
    forms(text, FORMS.gates.open(text), &mut found);
    if found.iter().all(|span| span.class.is_secret() && span.class != Class::Value) {
        return found;
    }
    let kept: Vec<Range<usize>> = KEPT.find_iter(text).map(|hit| hit.range()).collect();
    let ids = own_ids(text);
    found.retain(|span| {
        // A key may hold a name of somebody's; what is secret is so everywhere.
        span.class.is_secret() && span.class != Class::Value
            || !(meets(&kept, &span.range) || holds(&ids, &span.range))
    });
    found
}

/// Whether one of some places, which are in order and apart, meets this one.
fn meets(places: &[Range<usize>], range: &Range<usize>) -> bool {
    let next = places.partition_point(|place| place.end <= range.start);
    places.get(next).is_some_and(|place| place.start < range.end)
}

/// Whether one of some places has all of this one in it. They are in the order of their beginnings, and
/// each ends where the longest so far does.
fn holds(places: &[Range<usize>], range: &Range<usize>) -> bool {
    let behind = places.partition_point(|place| place.start <= range.start);
    behind.checked_sub(1).is_some_and(|last| places[last].end >= range.end)
}

/// What has one of the forms whose gates are open.
fn forms(text: &str, mut gates: u128, found: &mut Vec<Span>) {
    while gates != 0 {
        let form = &FORMS.all[gates.trailing_zeros() as usize];
        gates &= gates - 1;
        let mut at = 0;
        // Patterns look at the sign before and after, and what was found may be the name of what is
        // behind it: the search goes on within the group, if that is short, else behind it.
        while let Some(hit) = form.regex.captures_at(text, at) {
            let Some(hit) = hit.iter().skip(1).flatten().next() else { break };
            at = if hit.len() <= AGAIN_MAX { hit.start() } else { hit.end() }.max(at + 1);
            while !text.is_char_boundary(at.min(text.len())) {
                at += 1;
            }
            let passed = match form.unless {
                Unless::Never => false,
                Unless::Said => is_said(hit.as_str()) || known::is_common(hit.as_str()),
                Unless::Row => !is_row(hit.as_str()),
                Unless::Number => is_number(hit.as_str()),
                Unless::Image => IMAGES.is_match(hit.as_str()),
            };
            if !passed && is_meant(form.class, text, hit.range()) {
                found.push(Span { range: hit.range(), class: form.class });
            }
            if at >= text.len() {
                break;
            }
        }
    }
}

/// Ends of files' names, which look like domains.
const FILES: [&str; 58] = [
    "bat",
    "c",
    "cc",
    "cfg",
    "conf",
    "cpp",
    "crt",
    "cs",
    "css",
    "csv",
    "env",
    "go",
    "gz",
    "h",
    "hcl",
    "html",
    "ini",
    "java",
    "js",
    "json",
    "jsonl",
    "key",
    "kt",
    "lock",
    "log",
    "lua",
    "md",
    "mjs",
    "mk",
    "ml",
    "pem",
    "php",
    "pid",
    "pl",
    "properties",
    "proto",
    "ps",
    "py",
    "rb",
    "rs",
    "service",
    "sh",
    "so",
    "sock",
    "socket",
    "sql",
    "tar",
    "tf",
    "tmpl",
    "toml",
    "tpl",
    "ts",
    "tsx",
    "txt",
    "xml",
    "yaml",
    "yml",
    "zip",
];

/// Whether a row of letters and digits is chosen by a machine.
pub(super) fn is_row(text: &str) -> bool {
    let count = |what: fn(&u8) -> bool| text.bytes().filter(what).count();
    let (digits, capitals) = (count(u8::is_ascii_digit), count(u8::is_ascii_uppercase));
    let joined = text.contains(['/', '-', '_']);
    // Chance changes between small, large and digits every other sign; words within a name do not.
    let kind = |b: &u8| (b.is_ascii_digit(), b.is_ascii_uppercase(), b.is_ascii_lowercase());
    let changes = text.as_bytes().windows(2).filter(|two| kind(&two[0]) != kind(&two[1])).count();
    let chance = capitals > 2 && changes * 10 >= text.len() * 3;
    chance || digits >= 3 && !(joined && capitals < 2)
}

/// Whether a value of a query is a number or a length of time.
fn is_number(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    text.len() - digits.len() <= 2
        && !digits.is_empty()
        && digits.len() <= 6
        && digits.bytes().all(|b| b.is_ascii_digit())
        || matches!(text, "true" | "false")
}

/// What only has the form of something.
fn is_meant(class: Class, text: &str, range: Range<usize>) -> bool {
    let (before, found, after) = (&text[..range.start], &text[range.clone()], &text[range.end..]);
    match class {
        Class::Ip => {
            let address = found.split('/').next().unwrap_or(found);
            address.parse::<std::net::IpAddr>().is_ok()
        }
        // A digest behind the name of an image is no host behind a word.
        Class::Token => !(known::is_public(found) || after.starts_with("@sha")),
        Class::Host => {
            let port = after
                .strip_prefix(':')
                .is_some_and(|p| p.starts_with(|c: char| c.is_ascii_digit()));
            let number = found.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let word =
                !found.contains(['.', '-']) && !port && !found.bytes().any(|b| b.is_ascii_digit());
            let lower = found.to_ascii_lowercase();
            let one = found.matches('.').count() == 1;
            let file = lower.rsplit_once('.').is_some_and(|(_, end)| FILES.contains(&end));
            // `host: connection refused` announces no host.
            !(number
                || file && (one || !port) && !after.starts_with('/')
                || known::is_public(&lower)
                || word && known::is_common(&lower))
        }
        Class::Email => is_email(before, found),
        _ => true,
    }
}

fn is_email(before: &str, found: &str) -> bool {
    let word =
        before.rfind(|c: char| c.is_whitespace() || "\"'<>(".contains(c)).map_or(0, |at| at + 1);
    // The word before the host of a URL has a form of its own.
    if before.get(word..).is_some_and(|word| word.contains("://")) {
        return false;
    }
    let domain = found.rsplit_once('@').map_or("", |(_, domain)| domain);
    let last = domain.rsplit('.').next().unwrap_or_default();
    let named = last.chars().all(char::is_alphabetic) && last.chars().count() >= 2;
    let digest = matches!(domain, "sha" | "latest" | "main" | "master");
    named && !digest
}

/// Ids of rules and names that everybody knows, which may have somebody's name in them, as [`holds`]
/// looks through them.
fn own_ids(text: &str) -> Vec<Range<usize>> {
    static IDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        let ids = rules().map(|meta| meta.id).chain(known::public_phrases());
        AhoCorasick::new(ids).expect("some hundred short names always build")
    });
    let places = IDS.find_overlapping_iter(text).map(|hit| hit.range());
    let alone = places.filter(|range| stands_alone(text, range, Class::Object));
    let mut places: Vec<Range<usize>> = alone.collect();
    places.sort_by_key(|range| range.start);
    let mut end = 0;
    for place in &mut places {
        end = end.max(place.end);
        place.end = end;
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::strategy::{Strategy as _, ValueTree as _};
    use proptest::test_runner::TestRunner;
    use regex_syntax::hir::{Capture, Hir, HirKind, Repetition};

    use super::*;
    use crate::redact::forms::patterns;

    /// A pattern without what it asks of its surroundings, which no text can be made for.
    fn bare(hir: &Hir) -> Hir {
        match hir.kind() {
            HirKind::Look(_) => Hir::empty(),
            HirKind::Repetition(one) => {
                // Some repetitions are enough, and their texts short.
                let max = one.max.unwrap_or(one.min + 3);
                Hir::repetition(Repetition {
                    max: Some(max),
                    sub: Box::new(bare(&one.sub)),
                    ..*one
                })
            }
            HirKind::Capture(one) => {
                Hir::capture(Capture { sub: Box::new(bare(&one.sub)), ..one.clone() })
            }
            HirKind::Concat(parts) => Hir::concat(parts.iter().map(bare).collect()),
            HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(bare).collect()),
            _ => hir.clone(),
        }
    }

    #[test]
    fn a_place_is_met_or_held_as_if_all_were_looked_at() {
        let ids = own_ids("app-before-proxy, istio-proxy; istio-init-before");
        assert!(ids.windows(2).all(|two| two[0].start <= two[1].start && two[0].end <= two[1].end));
        let apart = [1..3, 5..9, 9..10];
        let within = [0..4, 2..4, 6..9];
        for range in (0..12).flat_map(|from| (from + 1..13).map(move |to| from..to)) {
            let one = |p: &Range<usize>| p.start < range.end && range.start < p.end;
            assert_eq!(meets(&apart, &range), apart.iter().any(one), "{range:?}");
            let one = |p: &Range<usize>| p.start <= range.start && range.end <= p.end;
            assert_eq!(holds(&within, &range), within.iter().any(one), "{range:?}");
        }
    }

    #[test]
    fn no_gate_hides_a_form() {
        let mut runner = TestRunner::deterministic();
        let all = (1u128 << FORMS.all.len()) - 1;
        let mut never = Vec::new();
        for pattern in patterns() {
            let hir = bare(&regex_syntax::parse(&pattern.text).expect("it is one"));
            let texts = proptest::string::bytes_regex_parsed(&hir).expect("no surroundings");
            let mut any = false;
            for _ in 0..40 {
                let text = texts.new_tree(&mut runner).expect("a text").current();
                let text = String::from_utf8(text).expect("UTF-8");
                for text in [text.clone(), format!("at {text} it"), text.to_uppercase()] {
                    let (mut asked, mut gated) = (Vec::new(), Vec::new());
                    forms(&text, all, &mut asked);
                    forms(&text, FORMS.gates.open(&text), &mut gated);
                    assert_eq!(asked, gated, "{text:?} of {}", pattern.text);
                    any |= !asked.is_empty();
                }
            }
            if !any {
                never.push(pattern.text);
            }
        }
        assert!(never.len() < 8, "texts of these are never found, so nothing is shown: {never:#?}");
    }
}
