//! What a file is to whoever rewrites it: which shape its values stand in, and what a log service's
//! fields say. Reads nothing.

use sunup_evidence::layout::{Field, Layout};

use crate::export::roles::{self, Role};
use crate::export::table::Table;
use crate::sniff::{self, Format};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Compressed, or an archive.
    Packed,
    /// No text: what it is.
    Binary(&'static str),
    /// A text, and how its values stand in it.
    Text(Layout),
}

/// The shape of a file by its first bytes; `whole` says that they are all of it.
#[must_use]
pub fn shape(head: &[u8], whole: bool) -> Shape {
    if crate::unpack::is_packed(head) {
        return Shape::Packed;
    }
    let body = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let json = match body {
        [b'{', rest @ ..] => {
            rest.trim_ascii_start().starts_with(b"\"") || rest.trim_ascii_start().starts_with(b"}")
        }
        [b'[', rest @ ..] => {
            let rest = rest.trim_ascii_start();
            rest.starts_with(b"{")
                || rest.starts_with(b"\"")
                || rest.starts_with(b"]")
                || rest.is_empty()
        }
        _ => false,
    };
    // JSON behind a mark or a remark is YAML's.
    let lossy = String::from_utf8_lossy(&head[..head.len().min(4 << 10)]);
    let mark = |line: &str| line.starts_with("---") || line.starts_with('#');
    let first = lossy.lines().find(|line| !line.trim().is_empty() && !mark(line));
    let flow = !json && first.is_some_and(|line| line.starts_with('{')) && lossy.lines().any(mark);
    match sniff::format(head, whole) {
        Format::Tar | Format::Zip => Shape::Packed,
        Format::Binary(what) => Shape::Binary(what),
        _ if json => Shape::Text(Layout::Json),
        Format::Yaml => Shape::Text(Layout::Yaml),
        _ if flow => Shape::Text(Layout::Yaml),
        _ => Shape::Text(match Table::of(head, whole) {
            Some(table) => Layout::Table {
                separator: char::from(table.dialect.separator),
                backslash: table.dialect.backslash,
            },
            None => Layout::Text,
        }),
    }
}

/// What a log service says in a field of this name; `None` where nobody reads it.
#[must_use]
pub fn says(name: &str) -> Option<Field> {
    Some(match roles::of(name)?.role {
        Role::Time | Role::First | Role::Last | Role::Count => Field::Time,
        Role::Line | Role::Message | Role::Machine => Field::Text,
        Role::Path => Field::Path,
        Role::Labels | Role::Tags => Field::Pairs,
        Role::Namespace
        | Role::Pod
        | Role::Container
        | Role::Deployment
        | Role::StatefulSet
        | Role::DaemonSet
        | Role::TemplateHash
        | Role::Reason
        | Role::Kind
        | Role::Name
        | Role::FieldPath
        | Role::EventType => Field::Name,
    })
}
