//! Where the documents of a text stand, by their marks, and edits of one of them without reading
//! the others. Knows document marks only.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::edit::edit;
use crate::error::EditError;
use crate::layout::is_crlf;
use crate::model::DocEdit;
use crate::parse::{Limits, read_values};
use crate::template::is_template;

/// A document from its mark to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    range: Range<usize>,
    /// Lines of the text before it.
    lines_before: u64,
    /// Whether its lines end as the text's first one does. Where they don't, it can't be edited
    /// alone: new lines end as the first one.
    alike: bool,
}

/// The documents of a text, found once for as many edits as one likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// Empty where the marks alone don't tell.
    windows: Vec<Window>,
    template: Option<u64>,
}

/// What an edit makes of a text: a piece of it, and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The piece, in bytes of the text.
    pub range: Range<usize>,
    /// Lines of the text before the piece.
    pub lines_before: u64,
    /// What stands there now.
    pub text: String,
}

impl Marks {
    /// The marks of a text.
    #[must_use]
    pub fn of(text: &str) -> Marks {
        Marks { windows: windows(text).unwrap_or_default(), template: is_template(text) }
    }

    /// Where a document stands that can be edited alone.
    fn window(&self, document: usize) -> Option<&Window> {
        self.windows.get(document).filter(|window| window.alike)
    }

    /// Whether there are several documents, and the marks tell where they stand.
    #[must_use]
    pub fn tell(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Where a document stands; all of the text where the marks don't tell.
    #[must_use]
    pub fn range(&self, document: usize, text: &str) -> Range<usize> {
        self.windows.get(document).map_or(0..text.len(), |window| window.range.clone())
    }

    /// [`crate::edit`] of a text that was read without errors, at the price of the edited
    /// document alone: what stands before and behind it is neither parsed nor touched.
    ///
    /// In a text with errors a mark may stand where the reader, lost, counts no document: then
    /// the documents' numbers mean something else here, so such texts are for [`crate::edit`].
    ///
    /// # Errors
    /// As [`crate::edit`].
    pub fn edit(
        &self,
        text: &str,
        edits: &[DocEdit],
        limits: &Limits,
    ) -> Result<Edited, EditError> {
        if let Some(line) = self.template {
            return Err(EditError::Template { line });
        }
        let document = edits.first().map_or(0, |edit| edit.document);
        let apart = edits.iter().any(|edit| edit.document != document);
        let window = self.window(document).filter(|_| !apart);
        let Some(Window { range, lines_before, .. }) = window.cloned() else {
            let after = edit(text, edits, limits)?;
            return Ok(Edited { range: 0..text.len(), lines_before: 0, text: after });
        };
        let here: Vec<DocEdit> =
            edits.iter().map(|e| DocEdit { document: 0, op: e.op.clone() }).collect();
        let after = edit(&text[range.clone()], &here, limits)
            .map_err(|error| error.moved(document, lines_before))?;
        Ok(Edited { range, lines_before, text: after })
    }
}

/// [`Marks::edit`] of a text of which nothing else is edited; the whole text.
///
/// # Errors
/// As [`crate::edit`].
pub fn edit_sound(text: &str, edits: &[DocEdit], limits: &Limits) -> Result<String, EditError> {
    let Edited { range, text: piece, .. } = Marks::of(text).edit(text, edits, limits)?;
    Ok([&text[..range.start], &piece, &text[range.end..]].concat())
}

/// [`crate::edit`] of several documents, each by itself where the text was read without errors and
/// its marks tell them apart: so hundreds of edits don't read all of it hundreds of times.
///
/// # Errors
/// As [`crate::edit`].
pub fn edit_each(text: &str, edits: &[DocEdit], limits: &Limits) -> Result<String, EditError> {
    let mut by_document: BTreeMap<usize, Vec<DocEdit>> = BTreeMap::new();
    for edit in edits {
        by_document.entry(edit.document).or_default().push(edit.clone());
    }
    let marks = Marks::of(text);
    let apart = by_document.len() > 1
        && by_document.keys().all(|document| marks.window(*document).is_some())
        && read_values(text, limits).errors.is_empty();
    if !apart {
        return edit(text, edits, limits);
    }
    let (mut out, mut at) = (String::with_capacity(text.len() + 1024), 0);
    for edits in by_document.values() {
        let edited = marks.edit(text, edits, limits)?;
        out.push_str(&text[at..edited.range.start]);
        out.push_str(&edited.text);
        at = edited.range.end;
    }
    out.push_str(&text[at..]);
    Ok(out)
}

/// `None` where there is only one document, or the marks alone don't tell where they stand.
fn windows(text: &str) -> Option<Vec<Window>> {
    if text.starts_with('\u{feff}') {
        return None;
    }
    let crlf = is_crlf(text);
    let mut windows: Vec<Window> = Vec::new();
    let window = |range: Range<usize>, lines_before| {
        let alike = is_crlf(&text[range.clone()]) == crlf;
        Window { range, lines_before, alike }
    };
    let (mut start, mut lines_before, mut open, mut at) = (0, 0, false, 0);
    for (number, line) in (0..).zip(text.split_inclusive('\n')) {
        let here = at;
        at += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        // A document that is closed, directives, and line breaks of old Macs are rare.
        if line.starts_with("...") || line.starts_with('%') || line.contains('\r') {
            return None;
        }
        let behind = line.strip_prefix("---");
        if behind.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            if open {
                windows.push(window(start..here, lines_before));
                (start, lines_before) = (here, number);
            }
            open = true;
        } else if !open {
            // Comments before the first mark belong to the first document.
            let content = line.trim_start();
            open = !content.is_empty() && !content.starts_with('#');
        }
    }
    if windows.is_empty() || !open {
        return None;
    }
    windows.push(window(start..text.len(), lines_before));
    Some(windows)
}
