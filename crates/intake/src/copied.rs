//! How a text was copied: marks that a mail, a chat, an editor or a terminal put at every one of its
//! lines, and where it broke them. Taken off before anybody asks what the text is; each line keeps its
//! number in the file.
//!
//! Looks at the whole of a text, which people who paste keep short. Must not know what a line means.

use std::borrow::Cow;

use crate::parts;

/// A text as it was before it was copied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) text: String,
    /// The line of the file that each line of the text begins in.
    pub(crate) lines: Vec<u64>,
}

/// A line, and where it begins.
type Line<'t> = (u64, Cow<'t, str>);

/// What a copy may be dressed in, one over the other.
const LAYERS: usize = 4;
/// Lines by which a dress is known; a text with fewer is read as it stands.
const LEAST: usize = 3;
/// Lines that are looked at before all of them are.
const SAMPLE: usize = 60;
/// No window and no page is narrower.
const WINDOW: usize = 40;

/// Takes off what copying put there; `None` where that is nothing.
pub(crate) fn undressed(text: &str) -> Option<Copied> {
    let one = one_string(text);
    let whole = one.as_deref().unwrap_or(text);
    let breaks = if whole.contains('\n') { '\n' } else { '\r' };
    let mut lines: Vec<Line<'_>> = whole
        .split(breaks)
        .zip(1..)
        .map(|(line, number)| (if one.is_some() { 1 } else { number }, line.into()))
        .collect();
    let mut changed = one.is_some() || breaks == '\r' && lines.len() > LEAST;
    for _ in 0..LAYERS {
        let worn = [
            beheaded(&mut lines),
            entities(&mut lines),
            colours(&mut lines),
            invisible(&mut lines),
            front(&mut lines),
            doubled(&mut lines),
            wrapped(&mut lines),
        ];
        let any = worn.contains(&true);
        changed |= any;
        if !any {
            break;
        }
    }
    changed.then(|| {
        let (lines, texts): (Vec<u64>, Vec<Cow<'_, str>>) = lines.into_iter().unzip();
        Copied { text: texts.join("\n"), lines }
    })
}

/// A text as one JSON string: `"line\nline\n"`.
fn one_string(text: &str) -> Option<String> {
    let body = text.trim();
    if !body.starts_with('"') || !body.ends_with('"') || body.matches("\\n").count() < LEAST {
        return None;
    }
    serde_json::from_str(body).ok()
}

/// A list of JSON objects that begins in the middle of one: the first that is whole begins the list.
fn beheaded(lines: &mut Vec<Line<'_>>) -> bool {
    let member = |line: &str| {
        let line = line.trim_start();
        line.starts_with('"') && line.contains("\": ")
            || matches!(line.trim_end(), "}," | "}" | "],")
    };
    let begins = |line: &str| line.trim() == "{" && line.len() - line.trim_start().len() <= 4;
    let Some(first) = lines.iter().position(|(_, line)| begins(line)).filter(|at| *at > 1) else {
        return false;
    };
    // The first line may be cut anywhere.
    let whole = lines[1..first].iter().all(|(_, line)| member(line));
    let above = lines[first - 1].1.trim() == "},";
    if !whole || !above || lines[0].1.trim_start().starts_with(['{', '[']) {
        return false;
    }
    lines.drain(..first);
    lines[0].1 = "[{".into();
    true
}

/// Lines that say something.
fn spoken<'l, 't>(lines: &'l [Line<'t>]) -> impl Iterator<Item = &'l str> + use<'l, 't> {
    lines.iter().map(|(_, line)| &**line).filter(|line| !line.trim().is_empty())
}

/// Whether nine of ten lines are so, and enough of them.
fn most(lines: &[Line<'_>], is: impl Fn(&str) -> bool) -> bool {
    let enough = |all: usize, so: usize| so >= LEAST && so * 10 >= all * 9;
    let count = |lines: &mut dyn Iterator<Item = &str>| {
        lines.fold((0, 0), |(all, so), line| (all + 1, so + usize::from(is(line))))
    };
    let (all, so) = count(&mut spoken(lines).take(SAMPLE));
    if !enough(all, so) {
        return false;
    }
    let (all, so) = count(&mut spoken(lines));
    enough(all, so)
}

/// `&quot;`, `&gt;`: the source of a page.
fn entities(lines: &mut [Line<'_>]) -> bool {
    if !lines.iter().any(|(_, line)| line.contains('&')) {
        return false;
    }
    const NAMES: &[(&str, &str)] =
        &[("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " ")];
    let count =
        |what: &str| lines.iter().map(|(_, line)| line.matches(what).count()).sum::<usize>();
    // What is escaped has none of the characters that would have been.
    let escaped = count("&gt;") + count("&lt;") + count("&quot;") >= LEAST && count("<") == 0;
    if !escaped {
        return false;
    }
    for (_, line) in lines.iter_mut().filter(|(_, line)| line.contains('&')) {
        let mut text = line.to_string();
        for (name, is) in NAMES {
            text = text.replace(name, is);
        }
        *line = text.replace("&amp;", "&").into();
    }
    true
}

/// Colours that lost their escape on the way, or bear it as text: `[31m`, `^[[31m`.
fn colours(lines: &mut [Line<'_>]) -> bool {
    let ends = |line: &str| line.contains("[0m") || line.contains("[m");
    let bare = |line: &str| ends(line) && !line.contains('\u{1b}');
    if lines.iter().filter(|(_, line)| bare(line)).count() < LEAST {
        return false;
    }
    let mut any = false;
    for (_, line) in lines.iter_mut() {
        if let Some(plain) = colourless(line) {
            *line = plain.into();
            any = true;
        }
    }
    any
}

fn colourless(line: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = line;
    let mut found = false;
    while let Some(at) = rest.find('[') {
        let behind = &rest[at + 1..];
        let codes = behind.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
        if behind[codes..].starts_with('m') && codes < 20 {
            plain.push_str(&rest[..at]);
            let marks = ["^[", "\\x1b", "\\u001b", "\\033", "\\e", "␛"];
            if let Some(cut) = marks.iter().find_map(|mark| plain.strip_suffix(mark)) {
                plain.truncate(cut.len());
            }
            rest = &behind[codes + 1..];
            found = true;
        } else {
            plain.push_str(&rest[..=at]);
            rest = behind;
        }
    }
    plain.push_str(rest);
    found.then_some(plain)
}

/// Characters without width, which chats and word processors put into what they show.
fn invisible(lines: &mut [Line<'_>]) -> bool {
    let is = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    if !most(lines, |line| line.contains(is)) {
        return false;
    }
    for (_, line) in lines.iter_mut().filter(|(_, line)| line.contains(is)) {
        *line = line.replace(is, "").into();
    }
    true
}

/// What stands in front of, or around, every line.
fn front(lines: &mut [Line<'_>]) -> bool {
    let marks = [quoted, boxed, told_of_file];
    let worn = marks.into_iter().find(|mark| most(lines, |line| mark(line).is_some()));
    if let Some(off) = worn {
        return take(lines, off);
    }
    counted(lines) && take(lines, |line| numbered(line).map(|(_, rest)| rest))
}

/// Lines that wear nothing are whoever copied the others: their words stay.
fn take(lines: &mut [Line<'_>], off: impl Fn(&str) -> Option<&str>) -> bool {
    for (_, line) in lines.iter_mut() {
        if let Some(rest) = off(line) {
            *line = rest.to_owned().into();
        }
    }
    true
}

/// `> text` of a mail or a chat, as often as it was passed on.
fn quoted(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(' ').strip_prefix(['>', '┃'])?;
    let rest = rest.trim_start_matches('>');
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// `│ text │` of a pane, `| text |` of a cell.
fn boxed(line: &str) -> Option<&str> {
    let line = line.trim();
    let bar = line.chars().next().filter(|c| matches!(c, '│' | '║' | '|'))?;
    let inside = line.strip_prefix(bar)?.strip_suffix(bar)?;
    // A row of several cells is a table's.
    let row = bar == '|' && inside.contains(" | ");
    (!row).then(|| inside.strip_prefix(' ').unwrap_or(inside).trim_end())
}

/// `session.txt:12:text` and, of the lines around a hit, `session.txt-12-text`: grep's.
fn told_of_file(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(['.', '/'])?;
    let end = rest.find([':', '-', ' '])?;
    let mark = rest[end..].chars().next().filter(|c| *c != ' ')?;
    let (number, text) = rest[end + 1..].split_once(mark)?;
    let fits = !name.contains(' ') && name.len() < 60;
    (fits && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

/// `  12  text`, `12: text`, `12 | text`: an editor's, a pager's, `cat -n`.
fn numbered(line: &str) -> Option<(u64, &str)> {
    let line = line.trim_start();
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let number = line[..digits].parse().ok()?;
    let rest = &line[digits..];
    let off = ["\t", ": ", " | ", " │ ", "  ", ":", "|", "│", " "];
    let text =
        off.iter().find_map(|mark| rest.strip_prefix(mark)).or(rest.is_empty().then_some(""));
    Some((number, text?))
}

/// Whether the numbers in front of the lines count them.
fn counted(lines: &[Line<'_>]) -> bool {
    if !most(lines, |line| numbered(line).is_some()) {
        return false;
    }
    let numbers = || spoken(lines).filter_map(|line| Some(numbered(line)?.0));
    let pairs = numbers().zip(numbers().skip(1));
    let (all, next) = pairs.fold((0, 0), |(all, next), (a, b)| {
        // Lines with nothing on them may have lost their number.
        (all + 1, next + usize::from(b > a && b - a <= 3))
    });
    all > 1 && next * 10 >= all * 9
}

/// An empty line below each line.
fn doubled(lines: &mut Vec<Line<'_>>) -> bool {
    let blank = |line: &Line<'_>| line.1.trim().is_empty();
    let first = usize::from(lines.first().is_some_and(blank));
    let pairs = || lines[first..].chunks_exact(2);
    let all = pairs().filter(|pair| blank(&pair[1])).count();
    let full = pairs().filter(|pair| !blank(&pair[0])).count();
    if pairs().count() < 4 || all < pairs().count() || full * 10 < all * 9 {
        return false;
    }
    let mut at = 0;
    lines.retain(|_| {
        at += 1;
        (at - 1 - first) % 2 == 0 || at <= first
    });
    true
}

/// Lines that were broken where a window or a page ended: at the same width, or behind the last word
/// that fitted.
fn wrapped(lines: &mut Vec<Line<'_>>) -> bool {
    let widths: Vec<usize> = lines.iter().map(|(_, line)| line.chars().count()).collect();
    // A word that is longer than a line stands by itself, beyond the page's edge.
    let broken = |at: &usize| lines[*at].1.trim().contains(' ');
    let most = (0..lines.len()).filter(broken).map(|at| widths[at]).max();
    let Some(most) = most.filter(|most| *most >= WINDOW) else { return false };
    if lines.iter().take(SAMPLE * 8).all(|(_, line)| parts::begins(line)) {
        return false;
    }
    // A row of a table has several gaps; what a break leaves of one, at most a few.
    let row =
        |line: &str| line.trim().split("  ").filter(|cell| !cell.trim().is_empty()).count() > 2;
    let begins: Vec<bool> =
        lines.iter().map(|(_, line)| row(line) || parts::begins(line)).collect();
    let mut joins: Vec<bool> = vec![false; lines.len()];
    // What the break left would have fitted: then it was no window that broke the lines.
    let mut others = 0;
    for at in 1..lines.len() {
        let (above, line) = (at - 1, &lines[at].1);
        if line.trim().is_empty() || begins[at] || !(joins[above] || begins[above]) {
            continue;
        }
        let word = line.split(' ').next().unwrap_or_default().chars().count();
        joins[at] = widths[above] + 1 + word > most;
        others += usize::from(!joins[at]);
    }
    let count = joins.iter().filter(|join| **join).count();
    if count < LEAST || others * 4 > count {
        return false;
    }
    let full = (1..lines.len()).filter(|at| joins[*at] && widths[at - 1] == most).count();
    let mut whole: Vec<Line<'_>> = Vec::new();
    for (join, line) in joins.into_iter().zip(std::mem::take(lines)) {
        match whole.last_mut().filter(|_| join) {
            Some((_, begun)) => {
                // A window breaks anywhere, a page between words.
                let space = if full * 10 >= count * 9 { "" } else { " " };
                *begun = format!("{begun}{space}{}", line.1).into();
            }
            None => whole.push(line),
        }
    }
    *lines = whole;
    true
}

#[cfg(test)]
mod tests;
