//! Styles, signs, widths and line breaks of the text report. Knows no finding.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const fn coloured(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(color)))
}

pub(super) const ERROR: Style = coloured(AnsiColor::Red).bold();
pub(super) const WARNING: Style = coloured(AnsiColor::Yellow).bold();
pub(super) const INFO: Style = coloured(AnsiColor::Cyan).bold();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const FRAME: Style = coloured(AnsiColor::Blue).bold();
pub(super) const RED: Style = coloured(AnsiColor::Red);
pub(super) const GREEN: Style = coloured(AnsiColor::Green);
pub(super) const YELLOW: Style = coloured(AnsiColor::Yellow);
pub(super) const CYAN: Style = coloured(AnsiColor::Cyan);
pub(super) const PLAIN: Style = Style::new();

/// A piece of text in a style.
pub(super) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The signs a report draws with.
#[derive(Debug)]
pub(super) struct Signs {
    pub(super) error: &'static str,
    pub(super) ok: &'static str,
    pub(super) open: &'static str,
    pub(super) inside: &'static str,
    pub(super) close: &'static str,
    pub(super) outside: &'static str,
    pub(super) not_ready: &'static str,
    pub(super) ready: &'static str,
    pub(super) onward: &'static str,
    pub(super) tick: &'static str,
    pub(super) cut: &'static str,
    pub(super) at_least: &'static str,
    pub(super) at_most: &'static str,
    pub(super) until: &'static str,
    pub(super) separator: &'static str,
}

const UNICODE: Signs = Signs {
    error: "✗",
    ok: "✓",
    open: "┌",
    inside: "│",
    close: "└",
    outside: "·",
    not_ready: "░",
    ready: "━",
    onward: "▶",
    tick: "╵",
    cut: "…",
    at_least: "≥ ",
    at_most: "≤ ",
    until: "…",
    separator: " · ",
};

const ASCII: Signs = Signs {
    error: "x",
    ok: "-",
    open: ",",
    inside: "|",
    close: "'",
    outside: ".",
    not_ready: ":",
    ready: "=",
    onward: ">",
    tick: "'",
    cut: "~",
    at_least: ">=",
    at_most: "<=",
    until: "..",
    separator: ", ",
};

pub(super) fn signs(ascii: bool) -> &'static Signs {
    if ascii { &ASCII } else { &UNICODE }
}

/// Columns that unstyled text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Columns that a character takes.
pub(super) fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Breaks text at spaces into lines of at most `columns`. A longer word (an address, a path) has
/// a line of its own, whole, because it will be copied. Line breaks of the text are kept.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    lines
}

/// Cuts text to `columns`, marking the cut.
pub(super) fn fit(text: &str, columns: usize, cut: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = width(cut);
    for c in text.chars() {
        used += char_width(c);
        if used > columns {
            break;
        }
        out.push(c);
    }
    out + cut
}

/// `120331` as `120,331`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2 files`, `3 entries`.
pub(super) fn counted(number: u64, what: &str) -> String {
    let plural = match what.strip_suffix('y') {
        _ if number == 1 => what.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{what}s"),
    };
    format!("{} {plural}", thousands(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(fit("日本語のログ", 7, "…"), "日本語…");
        assert_eq!(wrap("日本 語の ログ", 5), ["日本", "語の", "ログ"]);
    }

    #[test]
    fn long_words_stay_whole() {
        assert_eq!(
            wrap("see https://example.org/a/long/path now", 10),
            ["see", "https://example.org/a/long/path", "now"]
        );
    }

    #[test]
    fn counts_read_as_people_write_them() {
        assert_eq!(counted(1, "entry"), "1 entry");
        assert_eq!(counted(1_234_567, "entry"), "1,234,567 entries");
        assert_eq!(counted(999, "log line"), "999 log lines");
    }
}
