//! Rust text as words and signs, each with its line: enough to see paths, and nothing of what is
//! in comments and literals.
//!
//! Not a parser: the arguments of a macro are no syntax to one, and they hold paths all the same.

/// A word or a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// An identifier (without `r#`), `::`, or one character.
    pub(super) text: &'a str,
    pub(super) line: usize,
}

impl Token<'_> {
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(begins_word)
    }
}

/// All words and signs of a file.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        let piece = if let Some(length) = left_out(rest) {
            &rest[..length]
        } else {
            let raw = if rest.starts_with("r#") { "r#".len() } else { 0 };
            let length = match word(&rest[raw..]) {
                0 if rest.starts_with("::") => "::".len(),
                0 => first.len_utf8(),
                length => raw + length,
            };
            let text = &rest[..length];
            found.push(Token { text: text.strip_prefix("r#").unwrap_or(text), line });
            text
        };
        line += piece.matches('\n').count();
        rest = &rest[piece.len()..];
    }
    found
}

/// The length of a blank, a comment, a literal or a lifetime, where the text begins with one.
fn left_out(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    if first.is_whitespace() {
        return Some(first.len_utf8());
    }
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if first.is_ascii_digit() {
        return Some(word(rest));
    }
    ["", "b", "c", "r", "br", "cr"].iter().find_map(|prefix| {
        let quoted = rest.strip_prefix(prefix)?;
        let length = match prefix.ends_with('r') {
            true => raw_string(quoted),
            false => string(quoted).or_else(|| character(quoted)),
        };
        Some(prefix.len() + length?)
    })
}

/// Comments of this kind are nested.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str) -> Option<usize> {
    rest.starts_with('"').then(|| 1 + up_to(&rest[1..], '"'))
}

/// The length up to and with a closing quote that no backslash stands before.
fn up_to(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let inside = rest[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", &rest[..hashes]);
    let end = inside.find(&close).map_or(inside.len(), |at| at + close.len());
    Some(hashes + 1 + end)
}

/// A character, or a lifetime, which begins as one.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let mut chars = inside.chars();
    let (first, second) = (chars.next()?, chars.next());
    if first == '\\' || second == Some('\'') {
        return Some(1 + up_to(inside, '\''));
    }
    Some(1 + word(inside))
}

/// How long a word the text begins with.
fn word(rest: &str) -> usize {
    let more = |c: char| c.is_alphanumeric() || c == '_';
    rest.find(|c| !more(c)).unwrap_or(rest.len())
}

fn begins_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).into_iter().filter(Token::is_word).map(|token| token.text).collect()
    }

    #[test]
    fn what_is_in_comments_and_literals_is_not_code() {
        for (text, want) in [
            ("a // b\nc", vec!["a", "c"]),
            ("a /* b /* c */ d */ e", vec!["a", "e"]),
            (r#"a("b\"c", d)"#, vec!["a", "d"]),
            (r##"r"a\" b r#"c" d"# b"\"e" f"##, vec!["b", "f"]),
            (r"'a' b '\'' c b'd' '\u{65}' e", vec!["b", "c", "e"]),
            ("fn a<'b>(c: &'b str)", vec!["fn", "a", "c", "str"]),
            ("0xff_u8 1..a.b r#type", vec!["a", "b", "type"]),
            ("'\u{e9}' \"\u{e9}\" \u{e9}t\u{e9}", vec!["\u{e9}t\u{e9}"]),
            ("\"never closed", vec![]),
            ("/* never closed", vec![]),
        ] {
            assert_eq!(words(text), want, "{text}");
        }
    }

    #[test]
    fn a_word_knows_its_line() {
        let lines: Vec<(&str, usize)> =
            tokens("a\n\"b\nc\" d /*\n*/ e::f").iter().map(|t| (t.text, t.line)).collect();
        assert_eq!(lines, [("a", 1), ("d", 3), ("e", 4), ("::", 4), ("f", 4)]);
    }
}
