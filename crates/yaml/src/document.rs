//! The document that an edit names.

use crate::error::EditError;
use crate::parse::{Document, Stream};

/// The document to edit, if it has no fault.
pub(crate) fn document(stream: &Stream, index: usize) -> Result<&Document, EditError> {
    if let Some(error) = stream.errors.iter().find(|e| e.document == index) {
        return Err(EditError::Syntax(Box::new(error.clone())));
    }
    let found = stream.documents.iter().find(|d| d.index == index);
    found.ok_or_else(|| {
        let broken = stream.errors.iter().map(|e| e.document + 1);
        let read = stream.documents.iter().map(|d| d.index + 1);
        EditError::NoSuchDocument { document: index, count: read.chain(broken).max().unwrap_or(0) }
    })
}
