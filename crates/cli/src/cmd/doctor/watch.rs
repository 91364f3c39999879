//! `--watch`: judges again whenever a file grows, shrinks, comes or goes.
//!
//! Everything is read again: a log costs no memory however long it is, a rotated or truncated file
//! is nothing special, and the judgement is the one that a plain run gives. Where reading takes
//! long, the pauses are longer too.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use sunup_api::report::Finding;

use super::args::Args;
use super::examine::{Examined, examine};
use super::render::render;
use crate::global::Global;
use crate::out;

/// How often the files are looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// Reading takes at most one part in so many of the time.
const SHARE: u32 = 4;
/// Nested directories are followed this far, as reading does.
const DEPTH_MAX: usize = 32;
/// Clears the screen and what was scrolled off it, and goes to its top (ECMA-48 ED, CUP).
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// Watches until it is interrupted, or nobody reads any more.
pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let terminal = std::io::stdout().is_terminal();
    let mut seen = files(&args.paths);
    let mut before: Option<Vec<Finding>> = None;
    loop {
        let began = Instant::now();
        let examined = examine(args, global, None)?;
        let took = began.elapsed();
        let findings = &examined.diagnosis.report.findings;
        if terminal {
            screen(args, global, &examined)?;
        } else if let Some(text) = changes(args, before.as_deref(), &examined) {
            out::print(global, &text)?;
        }
        before = Some(findings.clone());
        std::thread::sleep(PAUSE.max(took * (SHARE - 1)));
        loop {
            let now = files(&args.paths);
            if now != seen {
                seen = now;
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn screen(args: &Args, global: &Global, examined: &Examined) -> anyhow::Result<()> {
    let report = render(args, examined);
    // Not through `out`: with NO_COLOR it would drop what is no colour either.
    std::io::stdout().write_all(CLEAR.as_bytes())?;
    out::print(global, &format!("{report}\nWatching; Ctrl-C ends it.\n"))?;
    Ok(())
}

/// What is new, what reads differently now, and what is gone; at first, everything.
fn changes(args: &Args, before: Option<&[Finding]>, examined: &Examined) -> Option<String> {
    let report = &examined.diagnosis.report;
    let Some(before) = before else {
        return Some(match report.findings.as_slice() {
            [] => "nothing found yet\n".to_owned(),
            _ => render(args, examined),
        });
    };
    let same = |a: &Finding, b: &Finding| {
        let whose = |f: &Finding| (f.subject.namespace.clone(), f.subject.container.clone());
        a.rule == b.rule
            && a.cause == b.cause
            && a.subject.kind == b.subject.kind
            && a.subject.name == b.subject.name
            && whose(a) == whose(b)
    };
    let mut text = String::new();
    for gone in before.iter().filter(|old| !report.findings.iter().any(|new| same(old, new))) {
        text.push_str(&format!("no longer found: {}\n", sunup_doctor::report::headline(gone)));
    }
    // A finding whose evidence has grown is the same one; its verdict, pods or words are news.
    let told = |f: &Finding| (f.verdict, f.subject.pods.clone(), f.summary.clone());
    let news: Vec<bool> = report
        .findings
        .iter()
        .map(|new| {
            before.iter().find(|old| same(old, new)).is_none_or(|old| told(old) != told(new))
        })
        .collect();
    if news.contains(&true) {
        let mut examined = examined.clone();
        examined.keep(&news);
        let report = &mut examined.diagnosis.report;
        report.cleared.clear();
        report.unknown.clear();
        report.unreadable.clear();
        text.push_str(&render(args, &examined));
    }
    (!text.is_empty()).then_some(text)
}

/// What shows that a file has changed.
type Stamp = (u64, Option<SystemTime>);

/// Every file below the paths.
fn files(paths: &[PathBuf]) -> BTreeMap<PathBuf, Stamp> {
    let mut found = BTreeMap::new();
    for path in paths {
        look(path, 0, &mut found);
    }
    found
}

fn look(path: &Path, depth: usize, found: &mut BTreeMap<PathBuf, Stamp>) {
    let Ok(meta) = fs::metadata(path) else { return };
    if !meta.is_dir() {
        found.insert(path.to_owned(), stamp(&meta));
        return;
    }
    // A link to a directory above would lead around in a circle: reading stops there, too.
    let Ok(entries) = fs::read_dir(path) else { return };
    if depth < DEPTH_MAX {
        for entry in entries.filter_map(Result::ok) {
            let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if !(link && entry.path().is_dir()) {
                look(&entry.path(), depth + 1, found);
            }
        }
    }
}

fn stamp(meta: &Metadata) -> Stamp {
    (meta.len(), meta.modified().ok())
}
