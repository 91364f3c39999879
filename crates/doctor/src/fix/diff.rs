//! Unified diffs as `diff -u` and `patch` know them.

use similar::TextDiff;
use sunup_api::show;
use sunup_yaml::Edited;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Lines around the edited piece that are compared too: where lines repeat, a change may be shown
/// some lines further on than it was made.
const AROUND: usize = 16;

/// The diff of two texts.
pub(crate) fn unified(before: &str, after: &str, label: &str) -> String {
    // A line break in a name would begin a line of the diff.
    let label = show::line(label);
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&format!("a/{label}"), &format!("b/{label}"))
        .to_string()
}

/// The diff of a text of which a piece was edited, at the price of that piece.
pub(crate) fn unified_at(text: &str, edited: &Edited, label: &str) -> String {
    // The lines around a change may lie before the piece or behind it.
    let (mut start, mut lines_before) = (edited.range.start, edited.lines_before);
    for _ in 0..AROUND {
        if let Some(line) = text[..start].strip_suffix('\n') {
            start = line.rfind('\n').map_or(0, |at| at + 1);
            lines_before -= 1;
        }
    }
    let mut end = edited.range.end;
    for _ in 0..AROUND {
        end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
    }
    let around = [&text[start..edited.range.start], &text[edited.range.end..end]];
    let after = [around[0], &edited.text, around[1]].concat();
    let diff = unified(&text[start..end], &after, label);
    diff.split_inclusive('\n').map(|line| moved(line, lines_before)).collect()
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
                assert_eq!(unified_at(&text, &edited, "a b.yaml"), whole, "{from}..{to} {piece:?}");
            }
        }
    }
}
