//! Filter text to tokens with their places. Knows spelling, no grammar.

use std::ops::Range;

use super::error::FilterError;

/// Longest filter the language allows, in characters.
const CHARS_MAX: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Has,
    Matches,
    NotMatches,
}

impl Op {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Op::Eq => "=",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::Has => ":",
            Op::Matches => "=~",
            Op::NotMatches => "!~",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bare text, dots included.
    Word,
    /// A double-quoted text, still with its escapes.
    Quoted,
    Op(Op),
    Open,
    Close,
    Comma,
    Star,
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Range<usize>,
    /// Nothing stands between this token and the one before it.
    pub(crate) joined: bool,
}

pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, FilterError> {
    if source.chars().count() > CHARS_MAX {
        let place = source.len()..source.len();
        let message = format!("the filter is longer than {CHARS_MAX} characters");
        return Err(FilterError::new(source, place, message));
    }
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let before = lexer.at;
        lexer.skip_space();
        let joined = lexer.at == before && before > 0;
        let start = lexer.at;
        let kind = lexer.token()?;
        let end = kind == Kind::End;
        tokens.push(Token { kind, span: start..lexer.at, joined });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("--") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn error(&self, len: usize, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, self.at..self.at + len, message)
    }

    fn token(&mut self) -> Result<Kind, FilterError> {
        let rest = self.rest();
        for (wrong, right) in
            [("==", "="), ("=>", ">="), ("=<", "<="), ("<>", "!="), ("~=", "=~"), ("!:", "NOT … :")]
        {
            if rest.starts_with(wrong) {
                return Err(self
                    .error(wrong.len(), format!("`{wrong}` is no operator"))
                    .help(format!("write `{right}`")));
            }
        }
        for (spelling, op) in [
            ("=~", Op::Matches),
            ("!~", Op::NotMatches),
            ("!=", Op::Ne),
            ("<=", Op::Le),
            (">=", Op::Ge),
            ("=", Op::Eq),
            ("<", Op::Lt),
            (">", Op::Gt),
            (":", Op::Has),
        ] {
            if rest.starts_with(spelling) {
                self.at += spelling.len();
                return Ok(Kind::Op(op));
            }
        }
        let Some(first) = rest.chars().next() else { return Ok(Kind::End) };
        let single = match first {
            '(' => Kind::Open,
            ')' => Kind::Close,
            ',' => Kind::Comma,
            '*' => Kind::Star,
            '"' => return self.quoted(),
            '\'' | '‘' | '’' | '“' | '”' | '«' | '»' => {
                return Err(self
                    .error(first.len_utf8(), format!("`{first}` does not quote a text"))
                    .help("put texts in straight double quotes: \"…\""));
            }
            '!' => {
                return Err(self
                    .error(1, "`!` negates nothing by itself")
                    .help("write NOT or - before a comparison, or one of != and !~"));
            }
            '~' => {
                return Err(self
                    .error(1, "`~` is no operator")
                    .help("=~ searches for a regular expression, : for a text"));
            }
            _ => return self.word(),
        };
        self.at += first.len_utf8();
        Ok(single)
    }

    fn word(&mut self) -> Result<Kind, FilterError> {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "()=:<>~!\",*".contains(c));
        let word = &rest[..end.unwrap_or(rest.len())];
        let wrong = |right: &str| {
            self.error(word.len(), format!("`{word}` is no operator"))
                .help(format!("write {right}"))
        };
        match word {
            "&&" | "&" => return Err(wrong("AND, or nothing: terms side by side must all hold")),
            "||" | "|" => return Err(wrong("OR")),
            _ => self.at += word.len(),
        }
        Ok(Kind::Word)
    }

    fn quoted(&mut self) -> Result<Kind, FilterError> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    self.at += at + 1;
                    return Ok(Kind::Quoted);
                }
                _ => {}
            }
        }
        Err(self
            .error(1, "this quote is never closed")
            .help("close it with \"; inside a text write \\\" for a quote"))
    }
}

/// The text a quoted token stands for. Escapes the language does not know are kept as they are.
pub(crate) fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            text.push('\\');
            break;
        };
        let simple = match c {
            '"' | '\\' | '\'' | '`' | '?' => Some(c),
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'a' => Some('\x07'),
            'b' => Some('\x08'),
            'f' => Some('\x0c'),
            'v' => Some('\x0b'),
            _ => None,
        };
        if let Some(simple) = simple {
            text.push(simple);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let (skip, digits, radix) = match c {
            'x' | 'X' => (1, 2, 16),
            'u' => (1, 4, 16),
            'U' => (1, 8, 16),
            '0'..='7' => (0, 3, 8),
            _ => (0, 0, 0),
        };
        let code = rest.get(skip..skip + digits).filter(|_| digits > 0);
        let code = code.and_then(|hex| u32::from_str_radix(hex, radix).ok());
        match code.and_then(char::from_u32) {
            Some(decoded) => {
                text.push(decoded);
                rest = &rest[skip + digits..];
            }
            None => text.push('\\'),
        }
    }
    text.push_str(rest);
    text
}

/// The same for a regular expression, where only the quote and the backslash itself are the
/// language's: `\\d` and `\d` both mean a digit, `\b` a word boundary.
pub(crate) fn unescape_regex(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('"' | '\\')) => text.extend(chars.next()),
            _ => text.push(c),
        }
    }
    text
}
