//! Tells a Helm or Go template from plain YAML that only quotes one. Knows no values.

/// Line (from 1) of the first template action that makes the text a template, or `None`.
///
/// An action counts where it stands as YAML: at the start of a line or of a value. Within a
/// plain value, and within quotes, it counts only when it speaks of a chart (`.Values`,
/// `.Release`, `include` …): alert rules quote `{{ $labels.pod }}` in such places. Comments and
/// block scalars never count, nor do strings of several lines (`\n`): those hold a template
/// rather than being one, as a ConfigMap's in JSON does.
#[must_use]
pub fn is_template(text: &str) -> Option<u64> {
    if !text.contains("{{") {
        return None;
    }
    let mut scan = Scan { block: None, quote: None };
    (1..).zip(text.lines()).find_map(|(number, line)| scan.line(line).then_some(number))
}

struct Scan {
    /// Inside of a block scalar: the indentation of the line that opened it.
    block: Option<usize>,
    /// Inside of a quoted scalar that goes on over the line's end.
    quote: Option<u8>,
}

/// Words that only a chart's template has.
const CHART: [&str; 13] = [
    ".Values",
    ".Release",
    ".Chart",
    ".Capabilities",
    ".Files",
    ".Template",
    "include ",
    "tpl ",
    "template ",
    "toYaml",
    "nindent",
    "if ",
    "range ",
];
const CHART_ROOTS: [&str; 5] = [".Values", ".Release.", ".Chart.", ".Capabilities.", "include \""];

fn action_has(line: &str, at: usize, words: &[&str]) -> bool {
    // Actions are short; a bound keeps a huge line from being searched again and again.
    let rest = &line[at + 2..line.floor_char_boundary(at + 2 + 200)];
    let action = &rest[..rest.find("}}").unwrap_or(rest.len())];
    words.iter().any(|w| action.contains(w))
}

impl Scan {
    /// Whether this line makes the text a template.
    fn line(&mut self, line: &str) -> bool {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if let Some(opened) = self.block {
            // A line of a template may stand anywhere; the scalar ends at lesser indentation.
            if line.trim_ascii().is_empty() || indent > opened {
                return false;
            }
            self.block = None;
        }
        let bytes = line.as_bytes();
        let mut at = 0;
        // Where a new value may begin: only there do quotes and actions open one.
        let mut fresh = true;
        while at < bytes.len() {
            if let Some(quote) = self.quote {
                match bytes[at] {
                    b'\\' if quote == b'"' => at += 1,
                    b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') => at += 1,
                    b if b == quote => self.quote = None,
                    b'{' if bytes.get(at + 1) == Some(&b'{')
                        && !line.contains("\\n")
                        && action_has(line, at, &CHART_ROOTS) =>
                    {
                        return true;
                    }
                    _ => {}
                }
                at += 1;
                fresh = false;
                continue;
            }
            match bytes[at] {
                b'#' if at == 0 || matches!(bytes[at - 1], b' ' | b'\t') => return false,
                b'{' if bytes.get(at + 1) == Some(&b'{') => {
                    if fresh || action_has(line, at, &CHART) {
                        return true;
                    }
                    at += 2;
                    continue;
                }
                quote @ (b'"' | b'\'') if fresh => self.quote = Some(quote),
                b'|' | b'>' if fresh && is_header(&line[at..]) => {
                    self.block = Some(opened_at(line, indent));
                    return false;
                }
                b'&' | b'!' if fresh => {
                    // Properties; the value is still to come.
                    while at < bytes.len() && bytes[at] != b' ' {
                        at += 1;
                    }
                    continue;
                }
                b' ' | b'\t' => {}
                b'[' | b'{' | b',' => fresh = true,
                b':' | b'-' | b'?' => {
                    let end = matches!(bytes.get(at + 1), None | Some(b' ' | b'\t'));
                    let quoted_key = at > 0 && bytes[at - 1] == b'"';
                    fresh = end && (bytes[at] == b':' || fresh) || quoted_key;
                }
                _ => fresh = false,
            }
            at += 1;
        }
        false
    }
}

/// `|`, `>-`, `|2+`, and nothing but a comment behind it.
fn is_header(rest: &str) -> bool {
    let tail = rest[1..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
    tail.trim_ascii().is_empty()
        || tail.starts_with([' ', '\t']) && tail.trim_ascii_start().starts_with('#')
}

/// The indentation that a block scalar's lines must exceed: that of its key, past any `- `.
fn opened_at(line: &str, indent: usize) -> usize {
    let mut at = indent;
    let mut rest = &line[indent..];
    while let Some(next) = rest.strip_prefix("- ") {
        let blanks = next.len() - next.trim_start_matches(' ').len();
        let inner = &next[blanks..];
        if inner.starts_with(['|', '>']) {
            break;
        }
        at += 2 + blanks;
        rest = inner;
    }
    at
}
