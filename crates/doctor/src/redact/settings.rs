//! YAML and JSON that are not read as a whole, line by line: broken ones, templates, what stands in a
//! ticket. Each value by the key before it; what has no key is removed.

use std::sync::LazyLock;

use regex::Regex;

use super::at::{At, Values, nobody};
use super::class::Class;

/// What earlier lines have opened.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// A block of text goes on as long as lines are deeper than this.
    block: Option<usize>,
    /// What the map calls itself whose `value` may follow.
    name: Option<String>,
}

static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    let text = r#"^(\s*(?:- +)*)("?[\w./$-]+"?)(\s*:)(\s+|$)(.*?)(,?\s*)$"#;
    Regex::new(text).expect("a pattern that tests run")
});
/// A word of a list or map in one line, with the key before it.
static INLINE: LazyLock<Regex> = LazyLock::new(|| {
    let text =
        r#"(?:("?[\w./$-]+"?)\s*:\s+)?("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,{}\[\]"'#][^,{}\[\]\r\n#]*)"#;
    Regex::new(text).expect("a pattern that tests run")
});

/// Whether a line may be one of YAML's at its left edge.
pub(super) fn goes_on(line: &str) -> bool {
    let bare = line.trim_end();
    bare.is_empty()
        || bare.starts_with([' ', '\t', '{', '}', '[', ']', '#'])
        || bare == "---"
        || bare.starts_with("- ")
        || PAIR.is_match(line)
}

impl Settings {
    /// One line with its end.
    pub(super) fn line(&mut self, redactor: &mut dyn Values, line: &str) -> String {
        let bare = line.trim_start_matches(' ');
        let indent = line.len() - bare.len();
        let end = &line[line.trim_end_matches(['\r', '\n']).len()..];
        if bare.trim().is_empty() {
            return line.to_owned();
        }
        if self.block.is_some_and(|depth| indent > depth) {
            let told = redactor.removed(Class::Value, bare.trim());
            return format!("{}{told}{end}", &line[..indent]);
        }
        self.block = None;
        if line.contains("{{") {
            return redactor.text(line);
        }
        if bare.starts_with('#') {
            let told = if bare.starts_with("# Source:") {
                redactor.text(line.trim_end())
            } else {
                "#".to_owned()
            };
            return format!("{told}{end}");
        }
        let Some(pair) = PAIR.captures(line) else {
            return self.inline(redactor, line);
        };
        let (lead, key, value) = (&pair[1], pair[2].trim_matches('"').to_owned(), &pair[5]);
        let value = value.split(" #").next().unwrap_or(value).trim_end();
        let told = match value.chars().next() {
            None => String::new(),
            // Lines that are folded into one, or kept: all that is deeper.
            Some('|' | '>') => {
                self.block = Some(lead.len());
                value.chars().take_while(|c| "|>+-0123456789".contains(*c)).collect()
            }
            Some('{' | '[' | '}' | ']' | '&' | '*') => self.inline(redactor, value),
            Some(_) => self.value(redactor, &key, value),
        };
        format!("{lead}{}{}{}{told}{}", redactor.key(&pair[2]), &pair[3], &pair[4], &pair[6])
    }

    fn value(&mut self, redactor: &mut dyn Values, key: &str, raw: &str) -> String {
        let quoted = raw.starts_with(['"', '\'']);
        let bare = match raw.starts_with('"') {
            true => serde_json::from_str(raw).unwrap_or_else(|_| raw.trim_matches('"').to_owned()),
            false => raw.trim_matches('\'').to_owned(),
        };
        let told = match (key, self.name.as_deref()) {
            ("value", Some(name)) => {
                let sysctl =
                    ["net.", "kernel.", "fs.", "vm."].iter().any(|root| name.starts_with(root));
                let path = if sysctl { ["sysctls", "value"] } else { ["env", "value"] };
                redactor.value(&bare, At { path: &path, name: Some(name), says: nobody })
            }
            // A number in quotes is a text of somebody's.
            _ if quoted && bare.len() > 3 && bare.parse::<f64>().is_ok() => "0".to_owned(),
            _ => redactor.value(&bare, At { path: &[key], name: None, says: nobody }),
        };
        if key == "name" {
            self.name = Some(bare.clone());
        }
        match told == bare {
            true => raw.to_owned(),
            false if quoted => serde_json::Value::from(told).to_string(),
            false => told,
        }
    }

    /// Words within braces and brackets, and lines that have no key.
    fn inline(&mut self, redactor: &mut dyn Values, line: &str) -> String {
        let mut out = String::with_capacity(line.len());
        let mut last = 0;
        let words: Vec<_> = INLINE
            .captures_iter(line)
            .filter_map(|word| {
                let value = word.get(2)?;
                let key = word.get(1).map(|key| key.as_str().trim_matches('"').to_owned());
                Some((value.range(), value.as_str().to_owned(), key))
            })
            .collect();
        for (range, value, key) in words {
            let value_end = value.trim_end().len();
            let bare = value.trim_end();
            out.push_str(&redactor.text(&line[last..range.start]));
            // `- `, `---`: no words.
            let sign = bare.chars().all(|c| "-:&*|>?!".contains(c));
            let told = match key {
                _ if sign => bare.to_owned(),
                Some(key) => self.value(redactor, &key, bare),
                None => {
                    let (sign, word) =
                        bare.strip_prefix("- ").map_or(("", bare), |word| ("- ", word));
                    format!("{sign}{}", redactor.word(word.trim_matches(['"', '\''])))
                }
            };
            out.push_str(&told);
            last = range.start + value_end;
        }
        out + &line[last..]
    }
}
