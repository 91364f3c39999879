//! Several things in one text: what people type and what comes back, tickets with fences, outputs one
//! below the other. Cuts a text into its parts and says of each what the text around it says: the
//! command that printed it, the title above it. What a part is, is recognised by itself afterwards.

pub(crate) mod command;
mod line;
mod prompt;

use std::sync::Arc;

use sunup_evidence::line::ContainerKey;

use crate::alien::{self, Shape};
use crate::attribution;
use command::{Command, Verb};
pub(crate) use line::is_of_container;
use line::{Fence, Start, fence, start, timed, title};
use prompt::{goes_on, prompt};

/// Lines of a head that are searched for marks.
const LINES: usize = 2000;

/// A longer text is no ticket: prose around a log is looked for in short ones alone.
const MIXED_MAX: usize = 64 << 10;

/// One of several things in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part<'t> {
    pub(crate) text: &'t str,
    /// Lines in front of it.
    pub(crate) lines_before: u64,
    /// What printed it.
    pub(crate) command: Option<Arc<Command>>,
    /// What stands above it: a file's name or a container's.
    pub(crate) title: Option<&'t str>,
    /// It is fenced off: with the language it is said to be in, which may be none.
    pub(crate) fenced: Option<&'t str>,
}

impl Part<'_> {
    /// Whose log it is, by its command and its title, over what the file's path says.
    pub(crate) fn whose(&self, known: &ContainerKey, names: &attribution::Names) -> ContainerKey {
        let mut whose = known.clone();
        if let Some(title) = self.title {
            let told = attribution::of_path(title, 0, names);
            let told = if told == ContainerKey::default() { line::named(title) } else { told };
            if told.pod.is_some() || told.container.is_some() {
                whose =
                    ContainerKey { namespace: told.namespace.or(known.namespace.clone()), ..told };
            }
        }
        match &self.command {
            Some(command) => command.whose(&whose),
            None => whose,
        }
    }
}

/// Whether a text holds commands and their output, fences, or titles between its parts.
pub(crate) fn is_marked(head: &str) -> bool {
    if head.starts_with("#!") || is_manifest(head) {
        return false;
    }
    let mut fences = 0;
    let mut comments = 0;
    for line in head.lines().take(LINES) {
        fences += u32::from(fence(line).is_some());
        if fences > 1 || title(line).is_some_and(|title| title.certain) {
            return true;
        }
        match prompt(line).filter(|prompt| prompt.certain) {
            // A manifest may begin with the command that made it.
            Some(_) if line.starts_with('#') => comments += 1,
            Some(_) => return !is_script(head),
            None => {}
        }
    }
    comments > 0
}

/// Whether a short text has paragraphs of a person's words beside evidence of some form, or a log below
/// a description.
pub(crate) fn is_mixed(head: &str) -> bool {
    if head.len() > MIXED_MAX || is_manifest(head) {
        return false;
    }
    let (mut prose, mut evidence) = (false, false);
    let (mut described, mut logged) = (false, false);
    for lines in paragraphs(head) {
        let next = |at: usize| lines.get(at + 1).copied().unwrap_or_default();
        let begins = |at: usize| start(lines[at], next(at)) == Some(Start::Describe);
        described |= (0..lines.len()).any(begins);
        logged |= lines.iter().all(|line| timed(line));
        let comment = lines.iter().all(|line| line.starts_with('#'));
        let here = lines.iter().enumerate().any(|(i, line)| {
            timed(line) || start(line, lines.get(i + 1).copied().unwrap_or_default()).is_some()
        });
        evidence |= here;
        let lead = leading_prose(&lines);
        prose |= !comment && (lead > 0 && (lead == lines.len() || here));
    }
    prose && evidence || described && logged
}

/// Whether a line begins something by itself: it is no rest of the line above.
pub(crate) fn begins(line: &str) -> bool {
    let field = line.split_once(':').is_some_and(|(key, _)| {
        let word = |c: char| c.is_ascii_alphabetic() || matches!(c, ' ' | '-');
        key.starts_with(|c: char| c.is_ascii_uppercase()) && key.len() < 30 && key.chars().all(word)
    });
    field
        || line.starts_with("  ")
        || line.starts_with('\t')
        || timed(line)
        || prompt(line).is_some_and(|found| found.certain)
        || title(line).is_some()
        || fence(line).is_some()
        || start(line, "").is_some()
}

/// A script prints nothing here: its commands are not prompts.
fn is_script(head: &str) -> bool {
    let lines: Vec<&str> = head.lines().filter(|l| !l.trim().is_empty()).take(200).collect();
    // Every line that could be output would make it a transcript.
    let control = |line: &&&str| {
        let line = line.trim();
        line.starts_with("set -")
            || matches!(line, "fi" | "done" | "esac" | "then" | "else" | "}" | "do")
            || line.ends_with("; then")
            || line.ends_with("; do")
            || line.starts_with("function ")
    };
    lines.iter().filter(control).count() > 1
}

/// A text whose first lines that are no comments are those of a manifest: most files of a repository,
/// so it is asked first.
fn is_manifest(head: &str) -> bool {
    let mut lines = head.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
    let first = lines.find(|line| line.trim_end() != "---");
    first.is_some_and(|line| {
        ["apiVersion:", "kind:", "metadata:", "- apiVersion:"]
            .iter()
            .any(|key| line.starts_with(key))
    })
}

/// The parts of a text in their order; prompts and prose are none.
pub(crate) fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for region in regions(text) {
        region.cut(text, &mut parts);
    }
    parts
}

/// A line with its place.
#[derive(Debug, Clone, Copy)]
struct Line<'t> {
    /// Without its end.
    text: &'t str,
    start: usize,
    end: usize,
    before: u64,
}

fn numbered(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut at = 0;
    text.split_inclusive('\n').enumerate().map(move |(index, raw)| {
        let start = at;
        at += raw.len();
        let text = raw.trim_end_matches(['\n', '\r']);
        Line { text, start, end: at, before: index as u64 }
    })
}

/// What lies between two marks.
#[derive(Debug, Default, Clone)]
struct Region<'t> {
    lines: Vec<Line<'t>>,
    command: Option<Arc<Command>>,
    title: Option<&'t str>,
    fenced: Option<&'t str>,
}

/// Cuts a text at fences, titles and prompts.
fn regions(text: &str) -> Vec<Region<'_>> {
    let mut done: Vec<Region<'_>> = Vec::new();
    let mut open = Region::default();
    let mut inside: Option<Fence<'_>> = None;
    let mut prompted = false;
    let mut lines = numbered(text);
    while let Some(line) = lines.next() {
        let next = if let Some(found) = fence(line.text).filter(|found| found.fits(inside)) {
            inside = if inside.is_some() { None } else { Some(found) };
            let command = inside.and(open.quoted());
            Region { fenced: inside.map(|fence| fence.language), command, ..Region::default() }
        } else if let Some(title) = title(line.text).filter(|t| t.certain || inside.is_some()) {
            let command = Command::parse(title.text).map(Arc::new);
            let title = Some(title.text);
            Region { fenced: open.fenced, title, command, ..Region::default() }
        } else if let Some(found) = prompt(line.text).filter(|p| p.certain || prompted) {
            prompted = true;
            let typed = whole(found.typed, &mut lines);
            let known = Command::parse(&typed);
            // What is not known is something else's output all the same.
            let command = known.or((!typed.trim().is_empty()).then(Command::default)).map(Arc::new);
            Region { fenced: open.fenced, command, ..Region::default() }
        } else {
            open.lines.push(line);
            continue;
        };
        done.push(std::mem::replace(&mut open, next));
    }
    done.push(open);
    done
}

/// A command line with those in which it goes on.
fn whole<'t>(typed: &str, lines: &mut impl Iterator<Item = Line<'t>>) -> String {
    let mut typed = typed.to_owned();
    while goes_on(&typed)
        && let Some(next) = lines.next()
    {
        let front = typed.trim_end().trim_end_matches(['\\', '`', '^']).len();
        typed.truncate(front);
        typed.push(' ');
        typed.push_str(next.text.trim_start_matches(['>', ' ', '\t']));
    }
    typed
}

impl<'t> Region<'t> {
    /// The command that the last line quotes, above a fence with its output.
    fn quoted(&self) -> Option<Arc<Command>> {
        let last = self.lines.iter().rev().find(|line| !line.text.trim().is_empty())?;
        last.text.split('`').skip(1).step_by(2).find_map(Command::bare).map(Arc::new)
    }

    fn cut(&self, text: &'t str, parts: &mut Vec<Part<'t>>) {
        let mut open: Option<(Line<'t>, Option<Start>)> = None;
        let mut end = 0;
        let mut close = |open: &mut Option<(Line<'t>, Option<Start>)>, end: usize| {
            let Some((first, _)) = open.take() else { return };
            parts.push(Part {
                text: &text[first.start..end],
                lines_before: first.before,
                command: self.command.clone(),
                title: self.title,
                fenced: self.fenced,
            });
        };
        for paragraph in self.lines.split(|line| line.text.trim().is_empty()) {
            let Some(first) = paragraph.first() else { continue };
            let kind = open.and_then(|(_, kind)| kind);
            let lead = self.prose(paragraph, kind);
            let starts = start_at(paragraph, 0).is_some();
            let ended = match kind {
                Some(Start::Table) => !starts,
                Some(_) => timed(first.text),
                None => false,
            };
            if lead > 0 || ended {
                close(&mut open, end);
            }
            for (i, line) in paragraph.iter().enumerate().skip(lead) {
                let kind = open.and_then(|(_, kind)| kind);
                if let Some(start) = start_at(paragraph, i)
                    && (kind != Some(start) || start == Start::Table)
                {
                    close(&mut open, end);
                    open = Some((*line, Some(start)));
                }
                open.get_or_insert((*line, None));
                end = line.end;
            }
        }
        close(&mut open, end);
    }

    /// How many of a paragraph's first lines are a person's words.
    fn prose(&self, paragraph: &[Line<'_>], kind: Option<Start>) -> usize {
        let lines: Vec<&str> = paragraph.iter().map(|line| line.text).collect();
        if self.fenced.is_some() || start_at(paragraph, 0).is_some() {
            return 0;
        }
        let of_log = self.command.as_ref().is_some_and(|command| command.verb == Verb::Logs);
        let all = leading_prose(&lines);
        if of_log || matches!(kind, Some(Start::Yaml | Start::Json | Start::Describe)) {
            // A log below a description, with a line above that says so.
            if kind == Some(Start::Describe) && lines.get(all).is_some_and(|line| timed(line)) {
                return all;
            }
            let sentences = lines.iter().all(|line| alien::shape(line) == Shape::Sentence);
            return if sentences { lines.len() } else { 0 };
        }
        all
    }
}

fn start_at(paragraph: &[Line<'_>], at: usize) -> Option<Start> {
    start(paragraph[at].text, paragraph.get(at + 1).map_or("", |line| line.text))
}

/// How many of the first lines are a person's words or the marks around them; rows between bars are
/// somebody's table.
fn leading_prose(lines: &[&str]) -> usize {
    let row = |line: &str| line.trim_start().starts_with('|') || line.contains(" | ");
    let own = |line: &str| !timed(line) && !row(line) && alien::shape(line) != Shape::Other;
    // `logs of orders (previous):` is a person's, whatever its shape.
    let announces = |line: &str, next: Option<&&str>| {
        line.trim_end().ends_with(':')
            && line.len() < 80
            && !line.starts_with([' ', '\t'])
            && next.is_some_and(|next| timed(next))
    };
    let mine = |at: &usize| own(lines[*at]) || announces(lines[*at], lines.get(*at + 1));
    (0..lines.len()).take_while(mine).count()
}

/// Runs of lines without an empty one.
fn paragraphs(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let runs = lines.split(|line| line.trim().is_empty());
    runs.filter(|run| !run.is_empty()).map(<[&str]>::to_vec).collect()
}

#[cfg(test)]
mod tests;
