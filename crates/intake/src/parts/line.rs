//! Lines that part a text: fences, titles, the first lines of an output.

use sunup_evidence::line::ContainerKey;

use super::command::Command;
use crate::attribution::is_name;
use crate::{alien, text, time};

/// A line that opens or closes a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence<'t> {
    mark: &'static str,
    /// What stands behind the mark.
    pub(super) language: &'t str,
}

impl Fence<'_> {
    /// Whether it opens a block where none is open, or closes the one that is.
    pub(super) fn fits(self, inside: Option<Fence<'_>>) -> bool {
        match inside {
            Some(open) => open.mark == self.mark && self.language.is_empty(),
            None => !self.mark.starts_with("</"),
        }
    }
}

/// Markdown's fences, Jira's, HTML's.
pub(super) fn fence(line: &str) -> Option<Fence<'_>> {
    let line = line.trim_start_matches('>').trim_start_matches(' ').trim_end();
    for mark in ["```", "~~~"] {
        if let Some(rest) = line.strip_prefix(mark) {
            let language = rest.trim_start_matches(['`', '~']).trim();
            return (!language.contains('`')).then_some(Fence { mark, language });
        }
    }
    for mark in ["{code", "{noformat"] {
        let rest = line.strip_prefix(mark).and_then(|rest| rest.strip_suffix('}'));
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(':')) {
            return Some(Fence { mark, language: rest.trim_start_matches(':') });
        }
    }
    match line {
        "<pre>" | "<code>" | "<pre><code>" | "</pre>" | "</code>" | "</code></pre>" => {
            Some(Fence { mark: "<pre>", language: "" })
        }
        _ => None,
    }
}

/// A line that names what stands below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Title<'t> {
    pub(super) text: &'t str,
    /// Whether it is one wherever it stands.
    pub(super) certain: bool,
}

/// `==> web-0.app.log <==` of tail and head; `=== kubectl get pods ===`, `--- pod/web-0 ---`.
pub(super) fn title(line: &str) -> Option<Title<'_>> {
    let line = line.trim();
    if let Some(text) = line.strip_prefix("==> ").and_then(|rest| rest.strip_suffix(" <==")) {
        return Some(Title { text, certain: true });
    }
    let mark = line.chars().next().filter(|c| "=-#*~+_".contains(*c))?;
    let text = line.trim_matches(|c| c == mark || c == ' ');
    let front = line.len() - line.trim_start_matches(mark).len();
    if front < 3 || text.is_empty() || text.len() > 200 {
        return None;
    }
    let closed = line.ends_with(mark);
    let told = Command::bare(text).is_some() || named(text) != ContainerKey::default();
    (told && (closed || front >= 3))
        .then_some(Title { text, certain: closed || Command::bare(text).is_some() })
}

/// `pod/web-0 container app`, `pod web-0, namespace shop`: names behind the words that say what they
/// are the names of.
pub(super) fn named(text: &str) -> ContainerKey {
    let mut key = ContainerKey::default();
    let mut words = text
        .split([' ', '\t', '/', ',', ':', '=', '(', ')', '[', ']'])
        .filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let slot = match word.to_ascii_lowercase().as_str() {
            "pod" => &mut key.pod,
            "container" => &mut key.container,
            "namespace" | "ns" => &mut key.namespace,
            "previous" => {
                key.previous = true;
                continue;
            }
            _ => continue,
        };
        if let Some(name) = words.next().filter(|name| is_name(name)) {
            *slot = Some(name.to_owned());
        }
    }
    // A word alone is not a title.
    if key.pod.is_none() && key.container.is_none() { ContainerKey::default() } else { key }
}

/// How an output begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Table,
    Describe,
    Yaml,
    Json,
}

/// Whether an output begins with this line; the next one helps to tell.
pub(super) fn start(line: &str, next: &str) -> Option<Start> {
    let line = line.trim_end();
    if is_table_head(line) {
        return Some(Start::Table);
    }
    // Copied out of a page, a description may be indented.
    let (bare, next_bare) = (line.trim_start(), next.trim_start());
    let described = |key: &str| next_bare.starts_with(key);
    if bare.starts_with("Name:")
        && ["Namespace:", "Roles:", "Labels:", "Priority:"].iter().any(|key| described(key))
        || line.split_whitespace().eq(["Type", "Reason", "Age", "From", "Message"])
        || bare == "Events:" && next.split_whitespace().next() == Some("Type")
        || is_of_container(line)
    {
        return Some(Start::Describe);
    }
    if line.starts_with("apiVersion:") || line == "---" && next.starts_with("apiVersion:") {
        return Some(Start::Yaml);
    }
    let object =
        ["{\"apiVersion\"", "{\"kind\"", "[{\""].iter().any(|begin| line.starts_with(begin));
    let open = matches!(line, "{" | "[") && next.trim_start().starts_with(['"', '{', '}', ']']);
    (object || open).then_some(Start::Json)
}

/// A field of a described container, as kubectl aligns it: what a description whose head is gone begins
/// with.
pub(crate) fn is_of_container(line: &str) -> bool {
    const FIELDS: [&str; 5] =
        ["Container ID:  ", "Image ID:  ", "Restart Count:  ", "State:     ", "Last State:     "];
    let field = line.trim_start();
    line.len() - field.len() >= 4 && FIELDS.iter().any(|name| field.starts_with(name))
}

/// Names in capitals, at least two spaces apart, as kubectl and its like print them.
fn is_table_head(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    let known =
        matches!(first, "NAME" | "NAMESPACE" | "LAST" | "POD" | "CONTAINER" | "KIND" | "OBJECT");
    let capital = |cell: &str| {
        cell.len() > 1
            && cell.starts_with(|c: char| c.is_ascii_uppercase())
            && cell
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_()/%:# ".contains(c))
    };
    let cells: Vec<&str> = line
        .split("  ")
        .flat_map(|cell| cell.split('\t'))
        .map(str::trim)
        .filter(|c| !c.is_empty())
        .collect();
    let wide = line.contains("  ") || line.contains('\t');
    cells.len() >= 2
        && wide
        && cells.iter().all(|cell| capital(cell))
        && (known || cells.len() >= 3)
}

/// Whether a line is one of a log by what stands in front of it.
pub(super) fn timed(line: &str) -> bool {
    line.starts_with("[pod/")
        || line.starts_with("{\"")
        || time::rfc3339(line).is_some()
        || time::of_text(line).is_some()
        || alien::is_klog(line)
        || text::is_stern(line)
}
