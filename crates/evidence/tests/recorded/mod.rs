//! The recogniser against what real clients printed: `corpus/recorded`, made by
//! `corpus/record/record.py`, never edited.
//!
//! Each client met a port that refuses, and the false friends: a port that never answers, a name
//! that does not exist, a certificate nobody trusts, a password that is wrong. What a recording is
//! worth is judged from its head, which the recorder wrote; nothing here names a client.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sunup_evidence::refused::{Reading, Refused, Strength, read};

use super::{destinations, join};

/// The far ends as `corpus/record/servers.py` names them; the first two refuse.
const ENDS: [&str; 11] = [
    "one.example.net",
    "192.0.2.10",
    "two.example.net",
    "three.example.net",
    "four.example.net",
    "five.example.net",
    "nowhere.invalid",
    "192.0.2.20",
    "192.0.2.30",
    "192.0.2.40",
    "198.51.100.9",
];
const REFUSING: [&str; 2] = [ENDS[0], ENDS[1]];

/// One thing that one client printed at one far end.
struct Recording {
    /// `file:line` of its head.
    place: String,
    ecosystem: String,
    kind: String,
    client: String,
    /// `own` for what the client wrote itself, else how an application wrote its error down.
    section: String,
    port: u16,
    /// Far ends of the other side for which the client prints the same.
    same: Vec<String>,
    versions: String,
    text: String,
    found: Vec<Found>,
}

/// A refusal that was recognised.
struct Found {
    /// Read as one message, or as lines that came one by one.
    how: &'static str,
    /// The number of its line, from 0.
    line: usize,
    refused: Refused,
}

impl Recording {
    fn refusal(&self) -> bool {
        self.kind.starts_with("refused")
    }

    fn strength(&self) -> Option<Strength> {
        self.found.iter().map(|f| f.refused.strength).max()
    }

    /// For a list of what is wrong.
    fn told(&self, more: &str) -> String {
        let Recording { place, kind, client, section, text, .. } = self;
        let telling =
            |l: &&str| ["refus", "connect", "111"].iter().any(|w| l.to_lowercase().contains(w));
        let line = text.lines().find(telling).or(text.lines().next()).unwrap_or_default();
        let line: String = line.chars().take(400).collect();
        format!("{place} {kind} {client} {section} {more}: {line}")
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/recorded")
}

static RECORDINGS: LazyLock<Vec<Recording>> = LazyLock::new(|| {
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus())
        .expect("the corpus is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    let mut out: Vec<Recording> = Vec::new();
    for file in files {
        let ecosystem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("the corpus is text");
        for (n, line) in text.lines().enumerate() {
            if let Some(head) = line.strip_prefix("> ") {
                out.push(recording(&ecosystem, n + 1, head));
            } else if let Some(last) = out.last_mut().filter(|last| last.ecosystem == ecosystem) {
                last.text.push_str(line);
                last.text.push('\n');
            }
        }
    }
    for recording in &mut out {
        recording.text.truncate(recording.text.trim_end().len());
        recording.found = found(&recording.text);
    }
    out
});

fn recording(ecosystem: &str, line: usize, head: &str) -> Recording {
    let words: Vec<&str> = head.splitn(6, ' ').collect();
    let [kind, client, section, port, same, versions] = words[..] else {
        panic!("{ecosystem}.txt:{line}: a head has six parts")
    };
    let port = port.strip_prefix("port:").and_then(|p| p.parse().ok()).expect("a port");
    let same = same.strip_prefix("same:").unwrap_or_default();
    Recording {
        place: format!("{ecosystem}.txt:{line}"),
        ecosystem: ecosystem.to_owned(),
        kind: kind.to_owned(),
        client: client.to_owned(),
        section: section.to_owned(),
        port,
        same: same.split(',').filter(|s| *s != "-").map(str::to_owned).collect(),
        versions: versions.to_owned(),
        text: String::new(),
        found: Vec::new(),
    }
}

fn found(text: &str) -> Vec<Found> {
    let mut out = Vec::new();
    if let Reading::Refused(refused) = read(text) {
        let line = text[..refused.span.start].matches('\n').count();
        out.push(Found { how: "whole", line, refused });
    }
    for joined in join(text, false).into_iter().filter(|j| j.false_friend.is_none()) {
        let line = usize::try_from(joined.tag).expect("a recording has few lines");
        out.push(Found { how: "by lines", line, refused: joined.refused });
    }
    out
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A refusal is recognised in what the client wrote itself or in what the application then logs,
/// wherever the two say something else than for a false friend.
#[test]
fn what_clients_say_when_refused_is_recognised() {
    let refusals: Vec<&Recording> = RECORDINGS.iter().filter(|r| r.refusal()).collect();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for run in refusals.chunk_by(|a, b| (&a.client, &a.kind) == (&b.client, &b.kind)) {
        let own = run.iter().filter(|r| r.section == "own").flat_map(|r| &r.found);
        let own: Vec<&Found> = own.collect();
        let alone = run.len() == 1;
        for recording in run.iter().filter(|r| r.same.is_empty() && (alone || r.section != "own")) {
            judged += 1;
            let missing = |how: &&&str| {
                !recording.found.iter().chain(own.iter().copied()).any(|f| f.how == **how)
            };
            wrong.extend(["whole", "by lines"].iter().filter(missing).map(|h| recording.told(h)));
        }
    }
    assert!(judged >= 500, "only {judged} recordings of refusals");
    report(&wrong);
}

/// Words that a client also uses for another failure are never more than weak.
#[test]
fn what_clients_say_of_other_failures_too_is_weak() {
    let strong = |r: &&Recording| !r.same.is_empty() && r.strength() == Some(Strength::Strong);
    let wrong: Vec<String> = RECORDINGS.iter().filter(strong).map(|r| r.told("strong")).collect();
    report(&wrong);
}

/// A false friend is not recognised, unless in a line that the client prints, word by word, when
/// it is refused too; and then it is weak.
#[test]
fn what_clients_say_of_other_failures_is_no_refusal() {
    let mut lines: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for recording in RECORDINGS.iter().filter(|r| r.refusal()) {
        let of = lines.entry((&recording.ecosystem, &recording.client)).or_default();
        of.extend(recording.text.lines().map(gist));
    }
    let mut wrong = Vec::new();
    let others = || RECORDINGS.iter().filter(|r| !r.refusal());
    for recording in others().filter(|r| r.same.is_empty()) {
        let of_refusal = lines.get(&(recording.ecosystem.as_str(), recording.client.as_str()));
        for Found { how, line, refused } in &recording.found {
            let line = recording.text.lines().nth(*line).unwrap_or_default();
            let same = of_refusal.is_some_and(|lines| lines.contains(&gist(line)));
            let Refused { form, strength, .. } = refused;
            if !same || *strength == Strength::Strong {
                wrong.push(recording.told(&format!("{how} {strength:?} {form}")));
            }
        }
    }
    assert!(others().count() >= 1000, "only {} false friends", others().count());
    report(&wrong);
}

/// A line without what differs from run to run: the far end, and longer words with digits.
fn gist(line: &str) -> String {
    let mut line = line.to_owned();
    for end in ENDS {
        line = line.replace(end, "<>");
    }
    // Ids have letters between their digits, times have signs.
    let digit = |c: char| c.is_ascii_hexdigit() || "-:.,".contains(c);
    let mut out = String::new();
    for word in line.split_inclusive(|c: char| !digit(c)) {
        let stem = word.trim_end_matches(|c: char| !digit(c));
        // Short numbers may be the error's own.
        if stem.len() > 3 && stem.contains(|c: char| c.is_ascii_digit()) {
            out.push('#');
            out.push_str(&word[stem.len()..]);
        } else {
            out.push_str(word);
        }
    }
    // Where a name leads nowhere no port is told.
    out.replace("<>#", "<>")
}

/// Where a client prints the address in what is recognised, it is told and no other; with the
/// port, where that is printed beside it.
#[test]
fn addresses_that_clients_print_are_told() {
    let mut wrong = Vec::new();
    for recording in RECORDINGS.iter().filter(|r| r.refusal() && !r.found.is_empty()) {
        let lower = recording.text.to_lowercase();
        if !REFUSING.iter().any(|host| lower.contains(host)) {
            continue;
        }
        let told: Vec<String> =
            recording.found.iter().flat_map(|f| destinations(&f.refused)).collect();
        let beside = format!(":{}", recording.port);
        let printed = REFUSING.iter().any(|host| lower.contains(&format!("{host}{beside}")));
        let ours = |told: &String| REFUSING.iter().any(|host| told.starts_with(host));
        let right = |told: &&String| ours(told) && (!printed || told.ends_with(&beside));
        if !told.iter().any(|t| right(&t)) || !told.iter().all(ours) {
            wrong.push(recording.told(&format!("{told:?}")));
        }
    }
    report(&wrong);
}

/// The list beside the corpus: each client with its version, how surely its refusal is
/// recognised, and in which words. `SUNUP_BLESS=1` rewrites it.
#[test]
fn the_list_of_clients_is_up_to_date() {
    let mut clients: BTreeMap<(&str, &str), Vec<&Recording>> = BTreeMap::new();
    for recording in RECORDINGS.iter().filter(|r| r.refusal()) {
        clients.entry((&recording.ecosystem, &recording.client)).or_default().push(recording);
    }
    let mut rows = String::new();
    let mut counts = BTreeMap::new();
    for ((ecosystem, client), recordings) in &clients {
        let (row, verdict) = row(ecosystem, client, recordings);
        *counts.entry(verdict).or_insert(0) += 1;
        rows.push_str(&row);
    }
    assert!(clients.len() >= 60, "only {} clients are recorded", clients.len());
    let text = list(&rows, clients.len(), &counts);
    let path = corpus().join("README.md");
    if std::env::var_os("SUNUP_BLESS").is_some() {
        std::fs::write(&path, text).expect("the list can be written");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} is not up to date; SUNUP_BLESS=1 rewrites it", path.display());
}

fn row(ecosystem: &str, client: &str, recordings: &[&Recording]) -> (String, &'static str) {
    let short = |r: &Recording| (r.section != "own", std::cmp::Reverse(r.text.len()));
    let best = recordings.iter().max_by_key(|r| (r.strength(), short(r)));
    let verdict = match best.and_then(|r| r.strength()) {
        Some(Strength::Strong) => "strong",
        Some(Strength::Weak) => "weak",
        None => "not told apart",
    };
    let words = best.map_or_else(String::new, |r| telling_words(&r.text));
    let versions = recordings.first().map_or("", |r| r.versions.as_str());
    (format!("| {ecosystem} | {client} | {versions} | {verdict} | `{words}` |\n"), verdict)
}

/// Some words around the telling ones, as a table's cell takes them.
fn telling_words(text: &str) -> String {
    let at = match read(text) {
        Reading::Refused(refused) => refused.span.start,
        _ => 0,
    };
    let line_start = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let from = line_start.max(at.saturating_sub(60)) - line_start;
    let from = (from..line.len()).find(|i| line.is_char_boundary(*i)).unwrap_or(0);
    let words: String = line[from..].chars().take(110).collect();
    words.replace(['`', '|'], "'").trim().to_owned()
}

fn list(rows: &str, clients: usize, counts: &BTreeMap<&str, usize>) -> String {
    let mut text = String::from("# What clients say when a connection is refused\n\n");
    let count = |what: &str| counts.get(what).copied().unwrap_or(0);
    let (strong, weak, apart) = (count("strong"), count("weak"), count("not told apart"));
    let others: Vec<&Recording> = RECORDINGS.iter().filter(|r| !r.refusal()).collect();
    let echoed = others.iter().filter(|r| !r.found.is_empty()).count();
    let refusals = RECORDINGS.len() - others.len();
    let others = others.len();
    let _ = write!(
        text,
        "Generated from the recordings in this folder, by `SUNUP_BLESS=1 cargo test -p \
         sunup-evidence`.\n{clients} clients: {strong} say ECONNREFUSED or its words (strong), \
         {weak} say only that they got no\nconnection (weak: that counts inside the proxy's window \
         only), {apart} print nothing that differs from what\nthey print for another failure.\n\
         {refusals} recordings are of refusals, {others} of other failures. Of these {echoed} are \
         weak, in words that\nthe same client prints when it is refused; the others are not \
         recognised.\n\n| from | client | version | recognised | words |\n|---|---|---|---|---|\n"
    );
    text + rows
}
