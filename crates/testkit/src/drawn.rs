//! Drawn text, looked at for what would steer a terminal. Says of its own what that is, and asks
//! nothing of what draws.

/// The first character that steers a terminal, turns the direction of what follows or isn't seen; ends
/// of lines are none.
#[must_use]
pub fn steers(text: &str) -> Option<char> {
    text.chars().find(|&c| c.is_control() && c != '\n' || is_hidden(c))
}

fn is_hidden(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}'
        | '\u{2028}' | '\u{2029}')
}

/// Text without the styles that are set by SGR sequences, which are ours.
#[must_use]
pub fn unstyled(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(part.len());
        match part[end..].strip_prefix('m') {
            Some(rest) => out.push_str(rest),
            None => out.push_str(&format!("\u{1b}[{part}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_are_taken_away_and_nothing_else() {
        assert_eq!(unstyled("\u{1b}[1;31merror\u{1b}[0m x"), "error x");
        assert_eq!(steers(&unstyled("\u{1b}[1mup\u{1b}[2Jx\n")), Some('\u{1b}'));
        assert_eq!(steers("one\ntwo ü"), None);
        assert_eq!(steers("a\u{202e}b"), Some('\u{202e}'));
    }
}
