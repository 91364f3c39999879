//! A line of evidence as a compiler would show it: place, gutter, the telling words underlined.

use std::ops::Range;

use sunup_api::report::{EvidenceItem, Finding};
use sunup_api::show::{line as one_line, text as clean};

use super::look::Look;
use super::paint::{BOLD, DIM, FRAME, RED, Signs, char_width, paint, signs, width};

/// Words that say what went wrong, the most telling first. Where several are in a line, the first
/// of this list is underlined, together with others of it that are near.
const TELLING: [&str; 24] = [
    "connection refused",
    "econnrefused",
    "connectionrefused",
    "actively refused",
    "cannot bind",
    "permission denied",
    "probe failed",
    "probe errored",
    "not ready",
    "already in use",
    "back-off",
    "crashloopbackoff",
    "oomkilled",
    "i/o timeout",
    "timed out",
    "deadline exceeded",
    "connection reset",
    "failed calling webhook",
    "denied the request",
    "forbidden",
    "no such host",
    "refused",
    "fatal",
    "error",
];

/// The last of [`TELLING`], which say little by themselves and are not joined to others.
const VAGUE: [&str; 3] = ["refused", "fatal", "error"];

/// How far apart two telling words may be to be underlined as one, bytes.
const NEAR: usize = 24;

/// How many lines of one piece of evidence are shown when everything is asked for.
const LINES_MAX: usize = 12;

/// A piece of evidence with its gutter, as lines.
pub(super) fn snippet(item: &EvidenceItem, finding: &Finding, look: &Look) -> Vec<String> {
    let signs = signs(look.ascii);
    let (_, number) = place(&item.source);
    let number = number.unwrap_or("");
    let margin = number.len().max(2);
    let text = clean(&item.text);
    let mut lines = vec![format!(
        "{:margin$}{} {}",
        "",
        paint(FRAME, "-->"),
        paint(BOLD, one_line(&item.source))
    )];
    let bar = format!("{:margin$} {}", "", paint(FRAME, "|"));
    lines.push(bar.clone());

    let shown: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let telling = shown.iter().position(|line| telling(line).is_some()).unwrap_or(0);
    let room = look.width.saturating_sub(margin + 5).max(20);
    let mut number = number;
    for (i, line) in shown.iter().enumerate() {
        if i != telling && (!look.verbose || i >= LINES_MAX) {
            continue;
        }
        let marks = if i == telling { marks(line, finding) } else { Vec::new() };
        let excerpt = cut(line.trim_end(), &marks, room, signs);
        let head = paint(FRAME, format_args!("{number:>margin$} |"));
        lines.push(format!("{head} {}", excerpt.text));
        number = "";
        if !excerpt.marks.is_empty() {
            let label = label(item, finding, &text);
            lines.push(format!("{bar} {}", underline(&excerpt, label, room)));
        }
    }
    lines
}

/// Splits `file:line`.
fn place(source: &str) -> (&str, Option<&str>) {
    match source.rsplit_once(':') {
        Some((file, line)) if !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()) => {
            (file, Some(line))
        }
        _ => (source, None),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// What went wrong: `^^^^`.
    Primary,
    /// What it happened to: `----`.
    Secondary,
}

pub(super) fn telling(line: &str) -> Option<Range<usize>> {
    // ASCII lower case keeps byte offsets.
    let lower = line.to_ascii_lowercase();
    let find = |words: &&str| lower.find(*words).map(|at| at..at + words.len());
    let mut span = TELLING.iter().find_map(find)?;
    for other in TELLING.iter().filter(|words| !VAGUE.contains(words)).filter_map(find) {
        let gap = other.start.saturating_sub(span.end).max(span.start.saturating_sub(other.end));
        if gap <= NEAR {
            span = span.start.min(other.start)..span.end.max(other.end);
        }
    }
    Some(span)
}

/// What two pieces of evidence have in common that say the same at different times.
pub(super) fn sameness(item: &EvidenceItem) -> String {
    let text = clean(&item.text);
    let line = text.lines().find(|line| telling(line).is_some()).unwrap_or(&text);
    line.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// What to underline: the telling words, and whatever address or quoted name of the summary is in
/// the line.
fn marks(line: &str, finding: &Finding) -> Vec<(Range<usize>, Mark)> {
    let mut marks: Vec<(Range<usize>, Mark)> =
        telling(line).map(|span| (span, Mark::Primary)).into_iter().collect();
    let named = finding.summary.split_whitespace().map(|word| {
        word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '[' | ']' | '/'))
    });
    for word in named.filter(|w| w.len() > 3 && w.contains(|c: char| c.is_ascii_digit())) {
        if let Some(at) = line.find(word) {
            let span = at..at + word.len();
            if marks.iter().all(|(other, _)| span.end <= other.start || span.start >= other.end) {
                marks.push((span, Mark::Secondary));
                break;
            }
        }
    }
    marks.sort_by_key(|(span, _)| span.start);
    marks
}

struct Excerpt {
    text: String,
    /// Column, columns, kind.
    marks: Vec<(usize, usize, Mark)>,
}

/// The part of a line that fits in `room` columns and holds its marks, the primary one first.
fn cut(line: &str, marks: &[(Range<usize>, Mark)], room: usize, signs: &Signs) -> Excerpt {
    let cells: Vec<(usize, char, usize)> =
        line.char_indices().map(|(at, c)| (at, c, char_width(c))).collect();
    let total: usize = cells.iter().map(|cell| cell.2).sum();
    let column = |byte: usize| -> usize {
        cells.iter().take_while(|cell| cell.0 < byte).map(|cell| cell.2).sum()
    };
    let spans: Vec<(usize, usize, Mark)> =
        marks.iter().map(|(span, kind)| (column(span.start), column(span.end), *kind)).collect();
    let (from, to) = if total <= room { (0, total) } else { window(&spans, total, room) };

    let (left, right) = (from > 0, to < total);
    let mut text = String::new();
    if left {
        text.push_str(signs.cut);
    }
    let (lo, hi) = (from + usize::from(left), to - usize::from(right));
    let mut start = None;
    let mut at = 0;
    for &(_, c, w) in &cells {
        if at >= lo && at + w <= hi {
            start.get_or_insert(at);
            text.push(c);
        }
        at += w;
    }
    if right {
        text.push_str(signs.cut);
    }
    let shift = start.unwrap_or(lo);
    let offset = usize::from(left);
    let marks = spans
        .into_iter()
        .filter(|&(a, b, _)| a >= shift && b <= hi)
        .map(|(a, b, kind)| (a - shift + offset, b - a, kind))
        .collect();
    Excerpt { text, marks }
}

/// Which `room` columns of `total` to show.
fn window(spans: &[(usize, usize, Mark)], total: usize, room: usize) -> (usize, usize) {
    let all = spans.iter().map(|s| s.0).min().zip(spans.iter().map(|s| s.1).max());
    let primary = spans.iter().find(|s| s.2 == Mark::Primary).map(|s| (s.0, s.1));
    let wanted = all.filter(|(a, b)| b - a + 2 <= room).or(primary).unwrap_or((0, 0));
    let slack = room.saturating_sub(wanted.1 - wanted.0);
    // Two thirds of the context before: a log line says what was tried before it says it failed.
    let from = wanted.0.saturating_sub(slack * 2 / 3).min(total - room);
    (from, from + room)
}

fn underline(excerpt: &Excerpt, label: Option<String>, room: usize) -> String {
    let mut out = String::new();
    let mut at = 0;
    for &(column, columns, kind) in &excerpt.marks {
        out.push_str(&" ".repeat(column.saturating_sub(at)));
        let (sign, style) = match kind {
            Mark::Primary => ("^", RED.bold()),
            Mark::Secondary => ("-", FRAME),
        };
        out.push_str(&paint(style, sign.repeat(columns)));
        at = column + columns;
    }
    if let Some(label) = label.filter(|label| at + 1 + width(label) <= room) {
        out.push_str(&format!(" {}", paint(RED.bold(), label)));
    }
    out
}

/// What the timeline calls this line, unless the line says the same.
fn label(item: &EvidenceItem, finding: &Finding, text: &str) -> Option<String> {
    // Several points may share a line that was pasted: the one of that time, or the only one.
    let of_source = || finding.timeline.iter().filter(|entry| entry.source == item.source);
    let only = || of_source().next().filter(|_| of_source().count() == 1);
    let entry =
        of_source().find(|entry| entry.at.is_some() && entry.at == item.at).or_else(only)?;
    let what = one_line(&entry.what);
    (!text.contains(&what)).then_some(what)
}

/// One line that says how much evidence was left out.
pub(super) fn more(left_out: usize) -> String {
    paint(DIM, format_args!("{left_out} more with -v"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, room: usize) -> (String, String) {
        let finding = finding("refused by 192.168.9.16:19209, twice");
        let excerpt = cut(line, &marks(line, &finding), room, signs(false));
        let marks = underline(&excerpt, None, room);
        (excerpt.text, anstream::adapter::strip_str(&marks).to_string())
    }

    fn finding(summary: &str) -> Finding {
        Finding {
            rule: "r".into(),
            cause: None,
            severity: sunup_api::report::Severity::Error,
            verdict: sunup_api::report::Verdict::Likely,
            subject: sunup_api::report::Subject::default(),
            summary: summary.into(),
            explanation: String::new(),
            timeline: Vec::new(),
            evidence: Vec::new(),
            consequences: Vec::new(),
            fixes: Vec::new(),
        }
    }

    #[test]
    fn both_the_failure_and_its_destination_are_underlined() {
        let (text, marks) = shown("dial tcp 192.168.9.16:19209: connect: connection refused", 80);
        assert_eq!(text, "dial tcp 192.168.9.16:19209: connect: connection refused");
        assert_eq!(marks, "         ------------------           ^^^^^^^^^^^^^^^^^^");
    }

    #[test]
    fn telling_words_that_belong_together_are_underlined_as_one() {
        let (text, marks) = shown("listener: cannot bind '0.0.0.0:80': Permission denied", 80);
        assert_eq!(text, "listener: cannot bind '0.0.0.0:80': Permission denied");
        assert_eq!(marks, "          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^");
    }

    #[test]
    fn a_long_line_is_cut_around_the_telling_words() {
        let line = format!("{}connect ECONNREFUSED{}", "a ".repeat(100), " b".repeat(100));
        let (text, marks) = shown(&line, 40);
        assert_eq!(width(&text), 40);
        assert!(text.starts_with('…') && text.ends_with('…'), "{text}");
        let at = marks.find('^').expect("marked");
        let under: String = text.chars().skip(at).take(12).collect();
        assert_eq!(under, "ECONNREFUSED");
    }

    #[test]
    fn wide_characters_before_the_words_keep_the_marks_in_place() {
        let (text, marks) = shown("接続エラー: connection refused", 80);
        assert_eq!(
            width(&text[..text.find("connection").expect("there")]),
            marks.find('^').expect("marked")
        );
    }

    #[test]
    fn a_line_at_every_width_stays_within_it() {
        let line = "日本 dial tcp 192.168.9.16:19209: connect: connection refused 日本語のログ";
        for room in 20..100 {
            let (text, marks) = shown(line, room);
            assert!(width(&text) <= room && width(&marks) <= room, "{room}: {text}");
        }
    }
}
