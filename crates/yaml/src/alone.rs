//! Edits of one document of a sound stream, without reading the others. Knows document marks only.

use std::ops::Range;

use crate::edit::edit;
use crate::error::EditError;
use crate::layout::is_crlf;
use crate::model::DocEdit;
use crate::parse::Limits;
use crate::template::is_template;

/// [`edit`] of a text that was read without errors, at the price of the edited document alone:
/// what stands before and behind it is neither parsed nor touched.
///
/// In a text with errors a mark may stand where the reader, lost, counts no document: then the
/// documents' numbers mean something else here, so such texts are for [`edit`].
///
/// # Errors
/// As [`edit`].
pub fn edit_sound(text: &str, edits: &[DocEdit], limits: &Limits) -> Result<String, EditError> {
    // The first line says how new ones end: where the document's own says otherwise, it can't be
    // edited alone.
    let alone = window(text, edits).filter(|at| is_crlf(&text[at.clone()]) == is_crlf(text));
    let Some(range) = alone else { return edit(text, edits, limits) };
    if let Some(line) = is_template(text) {
        return Err(EditError::Template { line });
    }
    let here: Vec<DocEdit> =
        edits.iter().map(|e| DocEdit { document: 0, op: e.op.clone() }).collect();
    match edit(&text[range.clone()], &here, limits) {
        Ok(piece) => Ok([&text[..range.start], &piece, &text[range.end..]].concat()),
        // Errors name lines of the whole text.
        Err(_) => edit(text, edits, limits),
    }
}

/// Where the only document that is edited stands, from its mark to the next one; `None` where
/// that is all of the text, or can't be told from the marks.
fn window(text: &str, edits: &[DocEdit]) -> Option<Range<usize>> {
    let wanted = edits.first()?.document;
    if edits.iter().any(|e| e.document != wanted) || text.starts_with('\u{feff}') {
        return None;
    }
    let (mut number, mut start, mut open, mut at) = (0, 0, false, 0);
    for line in text.split_inclusive('\n') {
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
                if number == wanted {
                    return Some(start..here);
                }
                (number, start) = (number + 1, here);
            }
            open = true;
        } else if !open {
            // Comments before the first mark belong to the first document.
            let content = line.trim_start();
            open = !content.is_empty() && !content.starts_with('#');
        }
    }
    (open && number == wanted && start > 0).then_some(start..text.len())
}
