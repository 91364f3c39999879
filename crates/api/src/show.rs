//! Text of evidence made fit for people's eyes, the one way there is: nothing of it may steer a
//! terminal or a runner of CI, read other than it is written, or stand where a line of ours would.
//!
//! # Sources
//! GitHub's runner, `ActionCommand.cs` (a command begins a line, or is `##[…]` anywhere), and the
//! agent of Azure Pipelines, `Command.cs` (`##vso[…]` anywhere): whatever a step prints is looked
//! through for them. ECMA-48 (control functions, C1); Unicode, UAX 9 (directional formatting) and UTR 36; xterm,
//! "Control Sequences", for strings that end with BEL or ST.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// Text without control sequences, which could repaint a terminal; other control characters become
/// spaces. Line breaks stay.
#[must_use]
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_csi(&mut chars),
            '\n' => out.push('\n'),
            '\u{2028}' | '\u{2029}' => out.push(' '),
            c if is_hidden(c) => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    match says_commands(&out) {
        true => disarmed(&out, "# #", ": :"),
        false => out,
    }
}

/// The same in one line: a name, a path, a message that stands within a sentence of ours.
#[must_use]
pub fn line(words: &str) -> String {
    text(words).replace('\n', " ")
}

/// Text of several lines of which none but the first begins where a line of ours would.
#[must_use]
pub fn indented(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for (number, line) in text(words).split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
            out.push_str(if line.is_empty() || line.starts_with(' ') { "" } else { "  " });
        }
        out.push_str(line);
    }
    out
}

/// One line in which nothing is left out: what would not be seen is written as an escape. For lines
/// that are one entry each.
#[must_use]
pub fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        if c.is_control() || is_hidden(c) || is_break(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    match says_commands(&out) {
        true => disarmed(&out, "#\\u{23}", ":\\u{3a}"),
        false => out,
    }
}

/// JSON as a terminal may be given it: what JSON itself lets stand and a terminal obeys is written
/// as an escape, which reads back as the same text.
#[must_use]
pub fn json(json: &str) -> Cow<'_, str> {
    let raw = |c: char| is_hidden(c) || ('\u{7f}'..='\u{9f}').contains(&c) || is_break(c);
    if !json.contains(raw) && !json.contains("##") {
        return Cow::Borrowed(json);
    }
    // Only strings have such signs, and no line begins with what is in a string.
    let json = &json.replace("##", "#\\u0023");
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if raw(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Commands that a runner of GitHub takes from the beginning of a line, however far it is indented.
const COMMANDS: [&str; 17] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "internal-set-repo-path",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
    "pause-logging",
];

/// Whether a runner may find a command in a text.
fn says_commands(text: &str) -> bool {
    text.contains("##") || text.contains("::")
}

/// A text in which no runner finds a command, wherever its lines are broken at a blank.
fn disarmed(text: &str, hashes: &str, colons: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    // One look at the text for both pairs: of either there may be as many as signs.
    while let Some(at) = rest.find(['#', ':']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let first = out.chars().next_back().is_none_or(char::is_whitespace);
        let instead = match (rest.strip_prefix("##"), rest.strip_prefix("::")) {
            (Some(word), _) if begins(word, "", "[") || begins(word, "vso", "[") => hashes,
            (_, Some(word)) if first && COMMANDS.iter().any(|c| begins(word, c, ": ")) => colons,
            // The second sign may begin another pair.
            _ => {
                out.push_str(&rest[..1]);
                rest = &rest[1..];
                continue;
            }
        };
        out.push_str(instead);
        rest = &rest[2..];
    }
    out + rest
}

/// Whether a text begins with a word, however it is written, and one of the signs behind it.
fn begins(text: &str, word: &str, signs: &str) -> bool {
    let own = text.get(..word.len()).is_some_and(|own| own.eq_ignore_ascii_case(word));
    own && text[word.len()..].starts_with(|c| signs.contains(c))
}

pub(crate) fn is_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Characters that nobody sees and that make a line read other than it is: directions, joints that
/// break no line or every one, tags, annotations, the mark of an order of bytes.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn skip_escape(chars: &mut Peekable<Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_csi(chars);
        }
        // A string (title, hyperlink …) up to BEL or ST, but never past the line.
        Some(']' | 'P' | '^' | '_' | 'X') => {
            while let Some(&c) = chars.peek() {
                if c == '\n' {
                    return;
                }
                chars.next();
                if c == '\u{7}' || c == '\u{9c}' {
                    return;
                }
                if c == '\u{1b}' && chars.peek() == Some(&'\\') {
                    chars.next();
                    return;
                }
            }
        }
        Some('\n') | None => {}
        Some(_) => {
            chars.next();
        }
    }
}

fn skip_csi(chars: &mut Peekable<Chars<'_>>) {
    while let Some(&c) = chars.peek() {
        if c == '\n' {
            return;
        }
        chars.next();
        if ('\u{40}'..='\u{7e}').contains(&c) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_of_it() {
        for (evil, shown) in [
            ("a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{9b}31md", "abcd"),
            ("a\u{1b}]8;;http://x\u{1b}\\b", "ab"),
            ("a\rb\tc\u{8}d\u{7f}e\u{85}f\u{0}g", "a b c d e f g"),
            ("ab\u{202e}cd\u{2066}e\u{200f}f\u{61c}g\u{e0041}h", "abcdefgh"),
            ("a\u{2028}b\u{2029}c", "a b c"),
            ("a\nb", "a\nb"),
            ("\u{1b}]0;never\nends", "\nends"),
            ("é 日本 👩‍💻", "é 日本 👩‍💻"),
        ] {
            assert_eq!(text(evil), shown, "{evil:?}");
        }
        // Two words that look alike are shown alike, and a shell gets them with their difference.
        assert_eq!(text("we\u{200b}b\u{2060}-\u{ad}0"), "web-0");
        assert_eq!(crate::shell::word("we\u{200b}b"), "$'we\\342\\200\\213b'");
        assert_eq!(line("web\nerror[x] y"), "web error[x] y");
        assert_eq!(escaped("a\nb\u{9b}1\u{202e}é"), "a\\nb\\u{9b}1\\u{202e}é");
        assert_eq!(indented("web\nerror[x] y\n  z"), "web\n  error[x] y\n  z");
    }

    #[test]
    fn a_runner_obeys_nothing_of_it() {
        for (evil, shown) in [
            ("::error::x", ": :error::x"),
            ("a\n  ::add-mask::x", "a\n  : :add-mask::x"),
            // A line may be broken anywhere.
            ("a ::SET-output name=x::y", "a : :SET-output name=x::y"),
            (
                "a ##[group]b ##vso[task.setvariable variable=x]y",
                "a # #[group]b # #vso[task.setvariable variable=x]y",
            ),
            ("###[x] ###VSO[x] :::error::", "## #[x] ## #VSO[x] :::error::"),
            (
                "::1 ::ffff:10.0.0.1 std::error::Error a::b # ## #! ::errors::",
                "::1 ::ffff:10.0.0.1 std::error::Error a::b # ## #! ::errors::",
            ),
            ("::é ##", "::é ##"),
        ] {
            assert_eq!(text(evil), shown, "{evil:?}");
        }
        // What is nothing but pairs costs its length: by its square this would take minutes.
        for long in [":".repeat(1 << 20), "#".repeat(1 << 20)] {
            assert_eq!(text(&long), long);
        }
        assert_eq!(escaped("x ##vso[y] ::error::"), "x #\\u{23}vso[y] :\\u{3a}error::");
        let written = serde_json::to_string("##vso[x] ## ###").expect("JSON");
        assert!(!json(&written).contains("##"));
        assert_eq!(
            serde_json::from_str::<String>(&json(&written)).expect("JSON"),
            "##vso[x] ## ###"
        );
    }

    #[test]
    fn json_says_the_same_in_escapes() {
        let evil = "a\u{9b}b\u{202e}c\u{7f}d\u{2028}e\u{e0041}f\n\u{1b}é";
        let written = serde_json::to_string(&evil).expect("JSON");
        let shown = json(&written);
        assert!(shown.chars().all(|c| !c.is_control() && !is_hidden(c) && !is_break(c)), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), evil);
        assert!(matches!(json("{\"a\": \"é\"}"), Cow::Borrowed(_)));
    }
}
