//! What a line of a text begins and does not end: a block below `password: |`, a value below its name,
//! a quote, the input of a command, a row in base64 that was cut into lines, a line that was wrapped
//! within a secret. A state ends where the text is indented as its key was, and at a limit: a sign that
//! nobody closes takes nothing else along.

use std::sync::LazyLock;

use regex::Regex;

use super::at::Values;
use super::class::Class;
use super::find::is_row;
use super::forms::is_secret_name;
use super::lead;

/// Lines that a quote or the input of a command may have.
const LINES_MAX: usize = 200;
/// Signs from which on a line may have been cut by who showed it.
const WRAPPED_MIN: usize = 64;
/// Signs of base64 at the end of a line from which on it may go on in the next (RFC 7468, RFC 2045).
const ROW_MIN: usize = 48;

/// What is open, and how the line that opened it began.
#[derive(Debug)]
pub(super) struct Opened {
    kind: Kind,
    /// What stood before the text of the line, with digits alike.
    lead: String,
    /// How far the text was indented behind that.
    depth: usize,
    lines: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// All that is deeper.
    Block,
    /// A value, deeper or alone in its line.
    Below,
    /// The first word, whatever it is.
    Next,
    /// Until the sign, where that is deeper; at the left edge in settings of a shell.
    Quote { sign: char, edge: bool },
    /// Until the word.
    Input { end: String },
    /// As long as lines are rows.
    Rows,
    /// The first word, where the line can be the rest of another.
    Wrapped,
}

/// A key at the end of a line.
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    let text = r#"(?:^|[\s,{;"'(\[])["']?([A-Za-z][\w./-]*)\\*["']?\s*[:=]\s*(?:[!&]\S+\s+)*(?:([|>][0-9+-]{0,2})\s*(?:#.*)?|\\)?\s*$"#;
    Regex::new(text).expect("a pattern that tests run")
});

/// A value in quotes that a line does not close.
static QUOTE: LazyLock<Regex> = LazyLock::new(|| {
    let text = r#"(?:^|[\s,{;"'(\[])["']?([A-Za-z][\w./-]*)["']?\s*[:=]\s*(?:(")(?:[^"\\]|\\.)*\\?|(')[^']*)$"#;
    Regex::new(text).expect("a pattern that tests run")
});

/// A command that takes the lines below it.
static INPUT: LazyLock<Regex> = LazyLock::new(|| {
    // `<< endl` is C++.
    let text = r#"<<-?(?:\s*\\?["']?([A-Z_][A-Z0-9_]*)|\\?["']?([A-Za-z_]\w*))["']?"#;
    Regex::new(text).expect("a pattern that tests run")
});

/// Words that say that what a command is given is secret.
static COMMANDS: LazyLock<Regex> = LazyLock::new(|| {
    let text = r"(?i)\b(?:passwd|chpasswd|htpasswd|login|vault|secrets?|kubeseal|gpg|openssl|sops)\b|-stdin\b|[\w.-]*(?:password|passwd|secret|token|credential)[\w.-]*";
    Regex::new(text).expect("a pattern that tests run")
});

/// A line that gives a key, be its value there or below: what a map has.
static ENTRY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\s*(?:- +)?["']?[\w./-]+["']?\s*:(?:\s|$)"#).expect("a pattern that tests run")
});

fn indent(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// What two lines have in common where only their times differ.
fn alike(lead: &str) -> String {
    lead.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

/// Signs of base64 with which a text ends.
fn row_at_end(text: &str) -> &str {
    let sign = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_');
    let len = text.bytes().rev().take_while(|b| sign(*b)).count();
    &text[text.len() - len..]
}

impl Opened {
    /// What a line opens. `told` is what has become of the line.
    pub(super) fn of(line: &str, told: &str) -> Option<Self> {
        let bare = line.trim_end();
        let last = *bare.as_bytes().last()?;
        let named = match last {
            b'|' | b'>' | b'+' | b'-' | b':' | b'=' | b'\\' | b'1'..=b'9' => Self::key(bare),
            _ if bare.contains(" #") => Self::key(bare),
            _ => None,
        };
        if let Some((kind, at)) = named {
            // Whatever stands before the key may stand before each line.
            let lead = lead::of(line);
            let between = line.get(lead..at).unwrap_or_default();
            let other = between.contains(|c: char| c.is_alphanumeric());
            let lead = if other { at } else { lead };
            let depth = indent(&line[lead..]);
            return Some(Opened { kind, lead: alike(&line[..lead]), depth, lines: 0 });
        }
        let kind = Self::input(bare)
            .or_else(|| Self::quote(bare))
            .or_else(|| Self::row(bare))
            .or_else(|| Self::wrapped(bare, told))?;
        let lead = lead::of(line);
        let depth = indent(&line[lead..]);
        Some(Opened { kind, lead: alike(&line[..lead]), depth, lines: 0 })
    }

    /// What a key at the end of a line opens, and where the key is.
    fn key(bare: &str) -> Option<(Kind, usize)> {
        let found = KEY.captures(bare)?;
        let key = found.get(1)?;
        if !is_secret_name(key.as_str()) {
            return None;
        }
        let before = bare.get(lead::of(bare)..key.start()).unwrap_or_default();
        let kind = match found.get(2) {
            Some(_) => Kind::Block,
            None if bare.ends_with('\\') => Kind::Next,
            // `reading the secret:` is a sentence.
            None if before.contains(char::is_alphanumeric) => return None,
            None => Kind::Below,
        };
        Some((kind, key.start()))
    }

    fn input(bare: &str) -> Option<Kind> {
        if !bare.contains("<<") || bare.contains("<<<") {
            return None;
        }
        let found = INPUT.captures(bare)?;
        let end = found.get(1).or(found.get(2))?.as_str().to_owned();
        COMMANDS.is_match(bare).then_some(Kind::Input { end })
    }

    fn quote(bare: &str) -> Option<Kind> {
        let odd = |sign: u8| bare.bytes().filter(|b| *b == sign).count() % 2 == 1;
        if !odd(b'"') && !odd(b'\'') {
            return None;
        }
        let found = QUOTE.captures(bare)?;
        let key = found.get(1)?;
        let sign = if found.get(2).is_some() { '"' } else { '\'' };
        // In a shell's settings what is quoted goes on at the left edge.
        let before = bare[..key.start()].split_whitespace().next_back();
        let shell = matches!(before, None | Some("export" | "set" | "env" | "$" | "#" | ">" | "%"));
        let edge = shell && bare[key.end()..].starts_with('=');
        is_secret_name(key.as_str()).then_some(Kind::Quote { sign, edge })
    }

    fn row(bare: &str) -> Option<Kind> {
        let row = row_at_end(bare.trim_end_matches(['"', '\'', ',', '\\']));
        (row.len() >= ROW_MIN && is_row(row)).then_some(Kind::Rows)
    }

    /// Where the last word of a long line was removed.
    fn wrapped(bare: &str, told: &str) -> Option<Kind> {
        let (word, now) = (bare.split(' ').next_back()?, told.trim_end().split(' ').next_back()?);
        let stem = now.trim_end_matches(|c: char| c.is_ascii_digit());
        let removed = word != now && (stem.ends_with("token-") || stem.ends_with("value-"));
        (removed && bare.chars().nth(WRAPPED_MIN - 1).is_some()).then_some(Kind::Wrapped)
    }

    /// What becomes of a line if it is a part of what is open, and whether more is; `None` where it is
    /// none.
    pub(super) fn line(&mut self, redactor: &mut dyn Values, line: &str) -> Option<(String, bool)> {
        let from = self.text_from(line);
        let (before, text) = line.split_at(from);
        let own = text.trim_end_matches(['\r', '\n']);
        let bare = own.trim();
        let deep = indent(own);
        self.lines += 1;
        if bare.is_empty() {
            let goes_on = self.lines < LINES_MAX && self.kind != Kind::Wrapped;
            return Some((line.to_owned(), goes_on));
        }
        let mut removed = |word: std::ops::Range<usize>| {
            let told = redactor.removed(Class::Token, &text[word.clone()]);
            let lead = redactor.text(before);
            format!("{lead}{}{told}{}", &text[..word.start], &text[word.end..])
        };
        let whole = deep..deep + bare.len();
        let first = deep..deep + bare.find([' ', '\t']).unwrap_or(bare.len());
        match &self.kind {
            Kind::Block => (deep > self.depth).then(|| (removed(whole), true)),
            Kind::Below if ENTRY.is_match(own) => None,
            Kind::Below if deep > self.depth => {
                self.kind = Kind::Block;
                Some((removed(whole), true))
            }
            Kind::Below => {
                let item = bare.starts_with("- ") && deep == self.depth;
                let one = !bare.contains([' ', '\t']) && before.is_empty();
                (item || one).then(|| (removed(whole), item))
            }
            Kind::Next => Some((removed(first), false)),
            Kind::Quote { sign, edge } => {
                if self.lines > LINES_MAX || !(deep > self.depth || *edge) {
                    return None;
                }
                match text.find(*sign) {
                    Some(end) if end > deep => Some((removed(deep..end), false)),
                    Some(_) => None,
                    None => Some((removed(whole), true)),
                }
            }
            Kind::Input { end } if bare == end.as_str() || self.lines > LINES_MAX => None,
            Kind::Input { .. } => Some((removed(whole), true)),
            Kind::Rows => {
                let bare = bare.trim_end_matches(['"', '\'', ',', '\\']);
                let row = !bare.is_empty() && row_at_end(bare).len() == bare.len();
                row.then(|| (removed(deep..deep + bare.len()), bare.len() >= ROW_MIN))
            }
            Kind::Wrapped => {
                let word = &text[first.clone()];
                let rest = deep == 0 && before.is_empty();
                let other = word.ends_with(':') || word.contains('=') || word.starts_with('{');
                let all = first == whole && bare.chars().nth(WRAPPED_MIN - 1).is_some();
                (rest && !other).then(|| (removed(first), all))
            }
        }
    }

    /// Where the text of a line begins. What stands before it in every line may have no form that is
    /// known, but it looks as it did.
    fn text_from(&self, line: &str) -> usize {
        let lead = lead::of(line);
        let as_before =
            line.get(..self.lead.len()).is_some_and(|before| alike(before) == self.lead);
        if as_before { self.lead.len() } else { lead }
    }
}
