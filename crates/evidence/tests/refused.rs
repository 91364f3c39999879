//! The connection-refused recogniser against what programs print, and against everything else.

use std::net::IpAddr;

use sunup_evidence::refused::{Destination, Host, Reading, Refused, Strength, read};

const CORPUS: &str = include_str!("../src/refused/corpus.txt");

/// One case of a corpus file: the line it starts at, what is expected, the message.
struct Case<'a> {
    line: usize,
    expected: Vec<&'a str>,
    text: String,
}

fn cases(corpus: &str) -> Vec<Case<'_>> {
    let mut out: Vec<Case<'_>> = Vec::new();
    for (n, line) in corpus.lines().enumerate() {
        if let Some(head) = line.strip_prefix("> ") {
            let expected = head.split_whitespace().collect();
            out.push(Case { line: n + 1, expected, text: String::new() });
        } else if let Some(case) = out.last_mut()
            && !line.starts_with("# ---")
        {
            case.text.push_str(line);
            case.text.push('\n');
        }
    }
    for case in &mut out {
        let end = case.text.trim_end_matches('\n').len();
        case.text.truncate(end);
    }
    out
}

fn shown(destination: &Destination) -> String {
    let host = match &destination.host {
        Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    destination.port.map_or(host.clone(), |port| format!("{host}:{port}"))
}

fn destinations(refused: &Refused) -> Vec<String> {
    let mut all: Vec<String> = refused.destinations.iter().map(shown).collect();
    all.sort();
    all
}

/// What a reading is, in the corpus's words; `-` where the case does not care.
fn judge(case: &Case<'_>, reading: &Reading) -> Result<(), String> {
    let kind = case.expected[0];
    let (got_kind, got_word, refused) = match reading {
        Reading::Refused(r) if r.strength == Strength::Strong => ("strong", r.form.into(), Some(r)),
        Reading::Refused(r) => ("weak", r.form.to_owned(), Some(r)),
        Reading::FalseFriend(friend, r) => ("friend", format!("{friend:?}"), r.as_ref()),
        Reading::Nothing => ("nothing", String::new(), None),
    };
    let word = case.expected.get(1).copied().unwrap_or("-");
    let told = refused.map(destinations).unwrap_or_default();
    let mut wanted: Vec<String> = case.expected.iter().skip(2).map(|s| (*s).to_owned()).collect();
    wanted.sort();
    let any = wanted == ["-"];
    if kind == got_kind && (word == "-" || word == got_word) && (any || wanted == told) {
        return Ok(());
    }
    Err(format!(
        "line {}: wanted {:?}, got {got_kind} {got_word} {told:?}\n    {}",
        case.line,
        case.expected,
        case.text.lines().next().unwrap_or_default()
    ))
}

fn check(corpus: &str) -> Vec<String> {
    cases(corpus).iter().filter_map(|case| judge(case, &read(&case.text)).err()).collect()
}

#[test]
fn the_corpus_is_read_as_written() {
    let wrong = check(CORPUS);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
