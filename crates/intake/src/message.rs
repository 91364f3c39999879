//! A message on its way to the judge of lines, whatever it was wrapped in.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;
use sunup_evidence::line;
use sunup_evidence::record::{ContainerRef, LogLine};

use crate::colours::plain;
use crate::file::File;
use crate::out::{Item, Out};
use crate::payload;

/// Where a part of a buffer begins in it.
pub(crate) fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// An application's own line: the text of the JSON it may be, and the time that says; without
/// the colours of a terminal.
pub(crate) fn app<'a>(file: &File<'_>, line: &'a str) -> (Option<Timestamp>, Cow<'a, str>) {
    let text = line.trim_end();
    if text.starts_with('{')
        && text.ends_with('}')
        && let Ok(Value::Object(map)) = serde_json::from_str(text)
    {
        return (payload::at(&map), Cow::Owned(payload::text(&map, &|t| file.is_telling(t))));
    }
    (None, plain(text))
}

/// Hands one line to the judge of lines.
pub(crate) fn log(
    file: &File<'_>,
    container: ContainerRef<'_>,
    at: Option<Timestamp>,
    text: Cow<'_, str>,
    at_line: u64,
    out: &mut Out,
) {
    if !file.scope.admits(&container, at) {
        return;
    }
    let key = out.seen(&container, &file.seen);
    let line = LogLine { container, at, text, line: at_line };
    if let Some(noticed) = line::notice_admitted(&line, &key) {
        out.items.push(Item::Line(noticed));
    }
}
