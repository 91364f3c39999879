//! Regular expressions in RE2's syntax, compiled by the `regex` crate. Knows no fields.
//!
//! The two are one family; what differs is translated here. RE2: `\d`, `\w`, `\s`, `\b` are
//! ASCII only, `\Q…\E` quotes, brackets and `&&` inside a class are plain characters, `\<` is
//! a plain `<`, and a repetition counts to 1000 at most.
//!
//! # Sources
//! <https://github.com/google/re2/wiki/Syntax>

use std::iter::Peekable;
use std::str::CharIndices;

use regex::Regex;

/// Compiles `pattern`.
///
/// # Errors
/// One line that says what is wrong with the pattern.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern)?;
    Regex::new(&translated).map_err(|error| {
        let text = error.to_string();
        // The crate's message draws the pattern over several lines; its last one is the reason.
        let reason = text.lines().last().unwrap_or_default();
        reason.trim_start_matches("error: ").to_owned()
    })
}

pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if pattern[at..].starts_with("\\Q") => {
                let rest = &pattern[at + 2..];
                let end = rest.find("\\E").unwrap_or(rest.len());
                out.push_str(&regex::escape(&rest[..end]));
                let behind = at + 2 + end + 2;
                while chars.peek().is_some_and(|(next, _)| *next < behind) {
                    chars.next();
                }
            }
            '\\' => escape(&mut chars, &mut out, false)?,
            '[' => class(pattern, &mut chars, &mut out)?,
            '{' => {
                repetition(&pattern[at..])?;
                // Without a count a brace is a plain character in RE2.
                out.push_str(if counts(&pattern[at..]) { "{" } else { "\\{" });
            }
            '}' if !closes_count(&pattern[..at]) => out.push_str("\\}"),
            '(' if pattern[at..].starts_with("(?") => {
                flags(&pattern[at..])?;
                out.push('(');
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

type Chars<'a> = Peekable<CharIndices<'a>>;

/// The count of `{n}`, `{n,}` or `{n,m}` at the start, as text.
fn count(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('{')?;
    let inside = &inside[..inside.find('}')?];
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    (!low.is_empty() && digits(low) && digits(high)).then_some(inside)
}

fn counts(text: &str) -> bool {
    count(text).is_some()
}

fn closes_count(before: &str) -> bool {
    before.rfind('{').is_some_and(|open| counts(&format!("{}}}", &before[open..])))
}

fn repetition(text: &str) -> Result<(), String> {
    let Some(inside) = count(text) else { return Ok(()) };
    let too_many =
        inside.split(',').any(|part| part.parse::<u32>().map_or(!part.is_empty(), |n| n > 1000));
    if too_many {
        return Err(format!("RE2 repeats 1000 times at most: {{{inside}}}"));
    }
    Ok(())
}

fn flags(text: &str) -> Result<(), String> {
    let flags = &text[2..text.find([':', ')']).unwrap_or(text.len()).max(2)];
    if ["=", "!", "<=", "<!"].iter().any(|look| flags.starts_with(look)) {
        return Err("RE2 has no look-around: leave (?= (?! (?<= (?<! out".to_owned());
    }
    if !flags.contains('<') && flags.contains(['x', 'u', 'R']) {
        return Err(format!("RE2 has no flag in (?{flags}): it knows i, m, s and U"));
    }
    Ok(())
}

fn escape(chars: &mut Chars<'_>, out: &mut String, in_class: bool) -> Result<(), String> {
    let Some((_, c)) = chars.next() else {
        return Err("a backslash at the end quotes nothing: write \\\\\\\\ for one".to_owned());
    };
    let bare = match c {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\x0C\\r ",
        'D' => return push_negated(out, "0-9"),
        'W' => return push_negated(out, "0-9A-Za-z_"),
        'S' => return push_negated(out, "\\t\\n\\x0C\\r "),
        'b' if !in_class => {
            out.push_str("(?-u:\\b)");
            return Ok(());
        }
        // The crate's `(?-u:\B)` may match inside a character; on ASCII texts both agree.
        'B' if !in_class => {
            out.push_str("\\B");
            return Ok(());
        }
        '0'..='7' => return octal(c, chars, out),
        'C' => return Err("\\C, a single byte, is not supported: use .".to_owned()),
        '8' | '9' => return Err(format!("RE2 has no back-references: \\{c}")),
        'A' | 'z' | 'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' => {
            out.push('\\');
            out.push(c);
            return Ok(());
        }
        c if c.is_ascii_alphanumeric() => return Err(format!("RE2 has no escape \\{c}")),
        c => {
            push_literal(out, c);
            return Ok(());
        }
    };
    if in_class {
        out.push_str(bare);
    } else {
        out.push('[');
        out.push_str(bare);
        out.push(']');
    }
    Ok(())
}

fn push_negated(out: &mut String, class: &str) -> Result<(), String> {
    // Nested classes are the crate's own syntax, which makes this valid in both places.
    out.push_str("[^");
    out.push_str(class);
    out.push(']');
    Ok(())
}

fn octal(first: char, chars: &mut Chars<'_>, out: &mut String) -> Result<(), String> {
    let mut digits = String::from(first);
    while digits.len() < 3
        && let Some((_, c @ '0'..='7')) = chars.peek().copied()
    {
        digits.push(c);
        chars.next();
    }
    if first != '0' && digits.len() < 3 {
        return Err(format!("RE2 has no back-references: \\{digits}"));
    }
    let code = u32::from_str_radix(&digits, 8).unwrap_or_default();
    out.push_str(&format!("\\x{{{code:X}}}"));
    Ok(())
}

fn push_literal(out: &mut String, c: char) {
    let mut utf8 = [0; 4];
    out.push_str(&regex::escape(c.encode_utf8(&mut utf8)));
}

fn class(pattern: &str, chars: &mut Chars<'_>, out: &mut String) -> Result<(), String> {
    out.push('[');
    if let Some((_, '^')) = chars.peek() {
        chars.next();
        out.push('^');
    }
    let mut first = true;
    while let Some((at, c)) = chars.next() {
        match c {
            ']' if !first => {
                out.push(']');
                return Ok(());
            }
            '\\' => escape(chars, out, true)?,
            '[' if pattern[at..].starts_with("[:") && pattern[at..].contains(":]") => {
                let end = at + pattern[at..].find(":]").unwrap_or_default() + 2;
                out.push_str(&pattern[at..end]);
                while chars.peek().is_some_and(|(next, _)| *next < end) {
                    chars.next();
                }
            }
            '[' | ']' | '&' | '~' | '^' => {
                out.push('\\');
                out.push(c);
            }
            // `--` is the crate's set difference; a range keeps its single hyphen.
            '-' if pattern[at + 1..].starts_with('-') || first => out.push_str("\\-"),
            _ => out.push(c),
        }
        first = false;
    }
    Err("a character class is never closed: ] is missing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(text)
    }

    #[test]
    fn what_differs_from_the_crate_is_re2s() {
        for (pattern, yes, no) in [
            (r"^\d+$", "17", "١٧"),
            (r"^\w$", "x", "é"),
            (r"^\W$", "é", "x"),
            (r"^[\D]$", "a", "1"),
            (r"^[^\s]$", "a", " "),
            (r"\bfoo\b", "a foo b", "afoo"),
            (r"\Qa.b\E+", "a.bb", "axb"),
            (r"^\Q.", ".", "x"),
            (r"^[a[b]$", "[", "c"),
            (r"^[a&&b]$", "&", "c"),
            (r"^[[:digit:]x]$", "7", "y"),
            (r"^[]a]$", "]", "b"),
            (r"^[^]a]$", "b", "]"),
            (r"^\<b\>$", "<b>", "b"),
            (r"^a{2}$", "aa", "a"),
            (r"^{a}$", "{a}", "a"),
            (r"^\101$", "A", "1"),
            (r"^\x41\x{42}$", "AB", "ab"),
            (r"(?i)refused", "REFUSED", "accepted"),
            (r"^(?P<n>a)(?:b)(?<m>c)$", "abc", "ab"),
            (r"^\pL$", "é", "1"),
            (r"^[a\-z]$", "-", "b"),
            (r"^\/\-\_$", "/-_", "/"),
        ] {
            assert!(matches(pattern, yes), "{pattern} on {yes}");
            assert!(!matches(pattern, no), "{pattern} on {no}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused_with_a_reason() {
        for (pattern, reason) in [
            ("a(?=b)", "look-around"),
            (r"(a)\1", "back-references"),
            ("a{1001}", "1000 times"),
            ("(?x)a", "flag"),
            ("[a", "]"),
            ("(a", "unclosed group"),
            ("\\", "backslash"),
            (r"\y", "escape"),
        ] {
            let error = compile(pattern).err().unwrap_or_else(|| panic!("{pattern} compiled"));
            assert!(error.contains(reason), "{pattern}: {error}");
        }
    }
}
