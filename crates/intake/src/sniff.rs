//! What a file is, from its first bytes.

use serde_json::value::RawValue;
use sunup_logs::scan::Layout;

use crate::colours::plain;
use crate::export::{answers, envelope, journal};
use crate::form::{self, Form};
use crate::known::{ANSWER, JOURNAL, NODE_STATUS, READERS, Reader, Way};
use crate::{front, lists, text, time};

/// How many lines of the head are looked at.
const LINES: usize = 200;

/// What a file is.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    /// Nothing in it but white space.
    Empty,
    /// A tar archive.
    Tar,
    /// A zip archive.
    Zip,
    /// Bytes that are no text, by what they are.
    Binary(&'static str),
    /// Log entries or objects as JSON, in this layout.
    Json(Layout),
    /// One JSON object, or a list of objects, to be cut in memory.
    Documents,
    /// YAML documents.
    Yaml,
    /// A form that has a reader of its own.
    Known(&'static Reader),
    /// Lines of a log.
    Log(&'static Form),
    /// Text that shows no sign of being a log.
    Timeless,
}

impl Format {
    /// Whether a text is one that people may have copied out of something: no manifest, and nothing
    /// that only programs write.
    pub(crate) fn is_loose(self) -> bool {
        match self {
            Format::Log(_) | Format::Timeless => true,
            Format::Known(reader) => matches!(reader.read, Way::Parts | Way::Whole(_)),
            _ => false,
        }
    }

    /// The form that a text of this format is counted as, where it holds anything.
    pub(crate) fn form(self, head: &[u8]) -> &'static Form {
        match self {
            Format::Json(_) if is_log_entry(head.trim_ascii_start()) => &form::CLOUD_LOGGING,
            Format::Json(_) => &form::LOG_JSON,
            Format::Documents => &form::OBJECTS_JSON,
            Format::Yaml => &form::OBJECTS_YAML,
            Format::Known(reader) => reader.form,
            Format::Log(form) => form,
            Format::Empty | Format::Tar | Format::Zip | Format::Binary(_) | Format::Timeless => {
                &form::LOG
            }
        }
    }
}

/// Recognises a part of a text that holds several things: one of them, and no such text again.
pub(crate) fn part(head: &[u8]) -> Format {
    match one(head, true, |reader| !matches!(reader.read, Way::Parts)) {
        Format::Tar | Format::Zip => Format::Timeless,
        format => format,
    }
}

/// Recognises a file by its head; `whole` says that the head is all of it.
pub(crate) fn format(head: &[u8], whole: bool) -> Format {
    one(head, whole, |_| true)
}

fn one(head: &[u8], whole: bool, among: impl Fn(&Reader) -> bool) -> Format {
    let body = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    if body.trim_ascii().is_empty() && whole {
        return Format::Empty;
    }
    if let Some(format) = archive(head) {
        return format;
    }
    if let Some(what) = binary(body) {
        return Format::Binary(what);
    }
    if let Some(format) = json(body, whole) {
        return format;
    }
    let lossy = String::from_utf8_lossy(body);
    let text = plain(&lossy);
    if is_manifests(&text) {
        return Format::Yaml;
    }
    if let Some(reader) = READERS.iter().find(|reader| among(reader) && (reader.is)(&text)) {
        return Format::Known(reader);
    }
    if is_yaml(&text) {
        return Format::Yaml;
    }
    if is_log(&text) { Format::Log(log_form(&text)) } else { Format::Timeless }
}

/// Whether a text is objects of Kubernetes and nothing else, as a repository's files are: readers of
/// what people paste need not be asked then. At the margin stand only the keys that objects have, the
/// marks between documents, and comments; a list of objects is left to the readers.
fn is_manifests(text: &str) -> bool {
    let mut margin = text.lines().filter(|line| {
        let first = line.as_bytes().first();
        first.is_some_and(|b| !matches!(b, b' ' | b'#' | b'\r'))
    });
    let mut begins = margin.by_ref().skip_while(|line| line.trim_end() == "---");
    let first = begins.next().and_then(key_of);
    matches!(first, Some("apiVersion" | "kind"))
        && begins.all(|line| {
            line.trim_end() == "---" || key_of(line).is_some_and(|key| OBJECT_KEYS.contains(&key))
        })
}

/// The key that a line at the margin of a YAML document has.
fn key_of(line: &str) -> Option<&str> {
    let (key, rest) = line.split_once(':')?;
    (rest.is_empty() || rest.starts_with([' ', '\r'])).then_some(key)
}

/// What objects have beside their own `data` and `spec`.
const OBJECT_KEYS: &[&str] = &[
    "apiVersion",
    "binaryData",
    "data",
    "imagePullSecrets",
    "kind",
    "metadata",
    "roleRef",
    "rules",
    "secrets",
    "spec",
    "status",
    "stringData",
    "subjects",
    "type",
    "webhooks",
];

/// Which tool wrote the lines of a log, by the first of them that say it.
fn log_form(text: &str) -> &'static Form {
    for line in text.lines().filter(|line| !line.trim().is_empty()).take(LINES) {
        if line.starts_with("[pod/") {
            return &form::LOG_PREFIXED;
        }
        if text::is_stern(line) {
            return &form::LOG_STERN;
        }
        if front::is_cri(line) {
            return &form::LOG_CRI;
        }
        if line.starts_with("{\"") {
            return &form::LOG_JSON;
        }
    }
    &form::LOG
}

fn archive(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(Format::Zip);
    }
    (head.get(257..262) == Some(b"ustar") || is_old_tar(head)).then_some(Format::Tar)
}

/// A header of Unix version 7, which has no magic: its checksum tells.
fn is_old_tar(head: &[u8]) -> bool {
    let Some(header) = head.get(..512) else { return false };
    if header[0] == 0 || header[124] == 0 {
        return false;
    }
    let field = String::from_utf8_lossy(&header[148..156]).into_owned();
    let Ok(want) = u32::from_str_radix(field.trim_matches(['\0', ' ']), 8) else { return false };
    let sum: u32 = header
        .iter()
        .enumerate()
        .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) })
        .sum();
    sum == want
}

/// What bytes that are no text are.
fn binary(body: &[u8]) -> Option<&'static str> {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"\x7fELF", "an ELF program"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF", "a PDF document"),
        (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
        (b"Rar!", "a RAR archive: unpack it first"),
        (b"\x04\x22\x4d\x18", "LZ4-compressed: decompress it first (lz4 -d)"),
        (b"SQLite format", "an SQLite database"),
    ];
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| body.starts_with(magic)) {
        return Some(what);
    }
    let sample = &body[..body.len().min(8192)];
    let control = sample.iter().filter(|b| **b < 9 || (14..32).contains(*b) && **b != 27).count();
    // A log may hold a few control bytes; text of no encoding holds as many.
    (control * 20 > sample.len()).then_some("binary data, not text")
}

/// Brackets that a file may begin with, one inside the other.
const NESTING_MAX: usize = 200;

fn json(body: &[u8], whole: bool) -> Option<Format> {
    let text = body.trim_ascii_start();
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return None;
    }
    let opening = text.iter().filter(|b| !b.is_ascii_whitespace());
    if opening.take(NESTING_MAX + 1).filter(|b| matches!(b, b'[' | b'{')).count() > NESTING_MAX {
        return Some(Format::Binary("begins with more than 200 brackets: nested too deeply"));
    }
    if envelope::of(text).is_some() {
        return Some(Format::Known(&ANSWER));
    }
    if std::str::from_utf8(&text[..text.len().min(4 << 10)]).is_ok_and(journal::is_json) {
        return Some(Format::Known(&JOURNAL));
    }
    let begins = String::from_utf8_lossy(&text[..text.len().min(256)]);
    if (NODE_STATUS.is)(&begins) {
        return Some(Format::Known(&NODE_STATUS));
    }
    if answers::is(text) {
        return Some(Format::Documents);
    }
    let layout = Layout::of(body);
    if layout == Layout::Lines {
        return json_lines(text, whole);
    }
    if text[0] == b'{' && layout != Layout::Pages {
        // YAML in flow style and templates may begin with a brace too.
        if !matches!(text[1..].trim_ascii_start().first(), Some(b'"' | b'}') | None) {
            return None;
        }
        if lists::is_list(text) || !is_log_entry(text) {
            return Some(Format::Documents);
        }
    }
    Some(Format::Json(layout))
}

/// Lines that begin with a brace: at least half of them must be JSON.
fn json_lines(text: &[u8], whole: bool) -> Option<Format> {
    // `kubectl get -o json | jq -c`: an object, or one on each line.
    let of_kubectl = text.starts_with(b"{\"apiVersion\"") || text.starts_with(b"{\"kind\"");
    if lists::is_list(text) || of_kubectl && !is_log_entry(text) {
        return Some(Format::Documents);
    }
    let end = if whole { text.len() } else { memchr::memrchr(b'\n', text).unwrap_or(text.len()) };
    let lines: Vec<&[u8]> = text[..end]
        .split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(LINES)
        .collect();
    let good = lines
        .iter()
        .filter(|line| {
            let line = line.strip_suffix(b",").unwrap_or(line);
            line.starts_with(b"{") && serde_json::from_slice::<&RawValue>(line).is_ok()
        })
        .count();
    // One cut-off or overlong line is still an entry of an export.
    let looks = good * 2 >= lines.len().max(1) || lines.len() <= 1 && text.starts_with(b"{\"");
    looks.then_some(Format::Json(Layout::Lines))
}

fn is_log_entry(text: &[u8]) -> bool {
    let head = &text[..text.len().min(16 << 10)];
    [
        b"\"logName\"".as_slice(),
        b"\"insertId\"",
        b"\"textPayload\"",
        b"\"jsonPayload\"",
        b"\"resource\"",
    ]
    .iter()
    .any(|key| memchr::memmem::find(head, key).is_some())
        && memchr::memmem::find(head, b"\"apiVersion\"").is_none_or(|at| {
            memchr::memmem::find(head, b"\"jsonPayload\"").is_some_and(|payload| payload < at)
        })
}

/// Keys at the start of a line that manifests begin with, or a document's mark.
fn is_yaml(text: &str) -> bool {
    let mut keys = 0;
    let mut marks = 0;
    for line in text.lines().take(LINES) {
        let line = line.trim_start_matches('\u{feff}');
        if line.starts_with("---")
            && matches!(line[3..].chars().next(), None | Some(' ' | '\t' | '\r'))
        {
            marks += 1;
            continue;
        }
        let first = line.trim_start_matches("- ").split_once(':').map(|(key, _)| unquoted(key));
        if matches!(first, Some("apiVersion" | "kind")) {
            return true;
        }
        if line.starts_with("%YAML") {
            return true;
        }
        let key = line.split_once(':').filter(|(key, rest)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
            let key = unquoted(key);
            !key.is_empty() && key.chars().all(plain) && (rest.is_empty() || rest.starts_with(' '))
        });
        let nested =
            line.starts_with([' ', '#']) || line.starts_with("- ") || line.trim().is_empty();
        if key.is_some() {
            keys += 1;
        } else if !nested && !line.starts_with("{{") {
            return false;
        }
    }
    // One key and a colon is how many a sentence begins.
    keys >= 2 || keys + marks >= 2
}

/// A key without its quotes.
fn unquoted(key: &str) -> &str {
    let bare = |quote| key.strip_prefix(quote).and_then(|k| k.strip_suffix(quote));
    bare('"').or_else(|| bare('\'')).unwrap_or(key)
}

/// Times, kubectl's prefix, CRI's mark or JSON in front of at least every fourth line.
fn is_log(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).take(LINES).collect();
    let like = |line: &&&str| {
        line.starts_with("[pod/")
            || time::rfc3339(line).is_some()
            || time::of_text(line).is_some()
            || text::is_stern(line)
            || line.starts_with("{\"")
    };
    let timed = lines.iter().filter(like).count();
    timed > 0 && timed * 4 >= lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repositorys_manifests_are_known_without_asking_the_readers() {
        let object = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n\
                      data:\n  log: |\n    $ kubectl get pods\n    NAME   READY   STATUS\n";
        let after = |text: &str| format!("{object}{text}");
        assert!(is_manifests(&format!(
            "# Licence\n---\n{}",
            after("---\nkind: Service\nspec: {}\n")
        )));
        for other in [
            after("$ kubectl get pods\nNAME   READY   STATUS\n"),
            after("```\n2026-11-03 started\n"),
            after("Logs:\n  connection refused\n"),
            format!("The manifest:\n{object}"),
            "kind of late: dial tcp: connection refused\n".to_owned(),
            "kind: x\n2026-11-03T08:14:05Z level=error\n".to_owned(),
            "apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n".to_owned(),
            String::new(),
        ] {
            assert!(!is_manifests(&other), "{other}");
        }
    }
}
