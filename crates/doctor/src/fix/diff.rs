//! Unified diffs as `diff -u` and `patch` know them.

use similar::TextDiff;
use sunup_api::show;
use sunup_yaml::Edited;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Lines around the edited piece that are compared too: where lines repeat, a change may be shown
/// some lines further on than it was made.
const AROUND: usize = 16;

/// What is looked at before and behind an edited piece to find where its lines begin and end: a list
/// of thousands of objects may be one line, which each of their fixes would repeat.
pub(crate) const LINE_MAX: usize = 16 << 10;

/// The diff of two texts.
#[must_use]
pub fn unified(before: &str, after: &str, label: &str) -> String {
    // A line break in a name would begin a line of the diff.
    let label = show::line(label);
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&format!("a/{label}"), &format!("b/{label}"))
        .to_string()
}

/// The diff of a text of which a piece was edited, at the price of that piece; `None` where a line of
/// it is too long to be shown.
pub(crate) fn unified_at(text: &str, edited: &Edited, label: &str) -> Option<String> {
    // The lines around a change may lie before the piece or behind it.
    let (mut start, mut lines_before) = (edited.range.start, edited.lines_before);
    let first = text.floor_char_boundary(start.saturating_sub(LINE_MAX));
    let begins = |at: usize| match text[first..at].rfind('\n') {
        Some(line) => Some(first + line + 1),
        None => (first == 0).then_some(0),
    };
    // A piece in brackets may begin within a line.
    start = begins(start)?;
    for _ in 0..AROUND {
        let Some(line) = start.checked_sub(1).and_then(begins) else { break };
        (start, lines_before) = (line, lines_before - 1);
    }
    let mut end = edited.range.end;
    let last = text.ceil_char_boundary(end.saturating_add(LINE_MAX).min(text.len()));
    for n in 0..=AROUND {
        // The piece's own last line, if it has not ended, and then those behind it.
        if n == 0 && (end == 0 || text[..end].ends_with('\n')) {
            continue;
        }
        match text[end..last].find('\n') {
            Some(line) => end += line + 1,
            None if last == text.len() => end = last,
            None if n == 0 => return None,
            None => break,
        }
    }
    let around = [&text[start..edited.range.start], &text[edited.range.end..end]];
    let after = [around[0], &edited.text, around[1]].concat();
    let diff = unified(&text[start..end], &after, label);
    Some(diff.split_inclusive('\n').map(|line| moved(line, lines_before)).collect())
}

/// A line of a diff; where it heads a hunk (`@@ -1,7 +1,7 @@`), with the lines counted from where
/// they stand in the whole text. No other line of a diff begins so.
fn moved(line: &str, lines_before: u64) -> String {
    let places = line.strip_prefix("@@ -").and_then(|rest| rest.trim_end().strip_suffix(" @@"));
    let moved = |place: &str| {
        let (first, count) = place.split_once(',').unwrap_or((place, ""));
        let comma = if count.is_empty() { "" } else { "," };
        Some(format!("{}{comma}{count}", first.parse::<u64>().ok()? + lines_before))
    };
    let head = places.and_then(|places| {
        let (old, new) = places.split_once(" +")?;
        Some(format!("@@ -{} +{} @@\n", moved(old)?, moved(new)?))
    });
    head.unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_gives_the_diff_that_the_whole_text_gives() {
        let lines: Vec<String> = (1..30).map(|i| format!("line {i}\n")).collect();
        let text = lines.concat();
        for (from, to) in [(0, 1), (0, 29), (3, 9), (12, 12), (12, 20), (27, 29), (28, 29)] {
            for piece in ["", "new\n", "line 13\nnew\nline 15\n"] {
                let start = lines[..from].concat().len();
                let range = start..start + lines[from..to].concat().len();
                let after = [&text[..range.start], piece, &text[range.end..]].concat();
                let edited = Edited { range, lines_before: from as u64, text: piece.to_owned() };
                let whole = unified(&text, &after, "a b.yaml");
                let at = unified_at(&text, &edited, "a b.yaml");
                assert_eq!(at.as_deref(), Some(whole.as_str()), "{from}..{to} {piece:?}");
            }
        }
    }

    #[test]
    fn a_piece_within_a_line_is_shown_with_its_line_unless_that_is_long() {
        let text =
            format!("{{\n\"a\": [{{\"b\": 1}}, {{\"b\": 2}}],\n\"c\": 3\n}}\n{}", "x\n".repeat(40));
        let at = text.find("{\"b\": 2}").expect("there");
        let edited = Edited { range: at..at + 8, lines_before: 1, text: "{\"b\": 9}".to_owned() };
        let whole = unified(&text, &text.replace('2', "9"), "m.json");
        assert_eq!(unified_at(&text, &edited, "m.json"), Some(whole));
        let long = "x".repeat(LINE_MAX + 1);
        for text in [format!("{long}{{}}"), format!("{{}}{long}"), format!("{{}}{long}\n")] {
            let at = text.find('{').expect("there");
            let edited = Edited { range: at..at + 2, lines_before: 0, text: "[]".to_owned() };
            assert_eq!(unified_at(&text, &edited, "m.json"), None);
        }
    }
}
