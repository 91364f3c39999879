//! Words of commands that people paste, quoted in the one way there is: whatever a name holds, the
//! shell sees one word and carries nothing of it out.

use crate::show;

/// A word as a POSIX shell reads it back.
#[must_use]
pub fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    // `=name` is a path in zsh.
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('=') {
        return word.to_owned();
    }
    if word.chars().any(is_unseen) {
        return coded(word);
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The name of an object as a word of a command. One that begins with `-` would be an option, and is
/// no name that Kubernetes takes: `NAME` stands for it, as where a name is not known.
#[must_use]
pub fn name(name: &str) -> String {
    if name.starts_with('-') { "NAME".to_owned() } else { word(name) }
}

/// What a terminal obeys, or nobody sees.
fn is_unseen(c: char) -> bool {
    c.is_control() || show::is_hidden(c) || show::is_break(c)
}

/// `$'…'` (POSIX 2024, bash, zsh, ksh): a line break in quotes would begin a line of its own.
fn coded(word: &str) -> String {
    let mut out = "$'".to_owned();
    for c in word.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\'' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            // In octal, always three digits: what follows can't be taken for one more.
            c if is_unseen(c) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("\\{byte:03o}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_the_word_and_nothing_more() {
        for (given, written) in [
            ("web-0", "web-0"),
            ("", "''"),
            ("web-0; touch x #", "'web-0; touch x #'"),
            ("it's", "'it'\\''s'"),
            ("$(id)", "'$(id)'"),
            ("`id`", "'`id`'"),
            ("=id", "'=id'"),
            ("~root", "'~root'"),
            ("a\nb\u{1b}[1m'\\", "$'a\\nb\\033[1m\\'\\\\'"),
            ("a\u{9b}1", "$'a\\302\\2331'"),
            ("a\u{202e}b", "$'a\\342\\200\\256b'"),
        ] {
            assert_eq!(word(given), written);
        }
        assert_eq!(name("--kubeconfig=x"), "NAME");
        assert_eq!(name("web-0"), "web-0");
    }

    #[cfg(unix)]
    #[test]
    fn bash_says_so() {
        for evil in ["web-0; touch x #", "it's", "$(id)", "a\nb\t\u{1b}[1m'\\", "é\u{9b}1 \"x\" !h"]
        {
            let line = format!("printf %s {}", word(evil));
            let run = std::process::Command::new("bash").args(["-c", &line]).output();
            let Ok(run) = run else { return };
            assert_eq!(String::from_utf8(run.stdout).expect("UTF-8"), evil, "{line}");
        }
    }
}
