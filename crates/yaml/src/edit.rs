//! Edits one after the other, each on the text that the one before left unless they lie apart, then
//! checked as a whole. Knows no layout; `ops` does.

use std::collections::VecDeque;

use crate::document::document;
use crate::error::EditError;
use crate::layout::{How, Layout};
use crate::model::{self, DocEdit, Op};
use crate::parse::{Limits, read_with_comments};
use crate::parts::{put, split};
use crate::template::is_template;
use crate::verify::verify;
use crate::{moves, ops, together};

/// Applies edits to a text and checks the result with [`verify`]. Edits that change nothing
/// give the text as it was.
///
/// # Errors
/// Any [`EditError`]; the text is then to be left as it is. Trying again doesn't help.
pub fn edit(text: &str, edits: &[DocEdit], limits: &Limits) -> Result<String, EditError> {
    edit_as(text, edits, How { limits, style: None })
}

/// [`edit`] of a text that may be a part of another, whose style it takes.
///
/// # Errors
/// As [`edit`].
pub(crate) fn edit_as(text: &str, edits: &[DocEdit], how: How<'_>) -> Result<String, EditError> {
    if let Some(line) = is_template(text) {
        return Err(EditError::Template { line });
    }
    let mut now = text.to_owned();
    let ordered = moves::in_order(text, edits, how.limits);
    let mut left = &*ordered;
    while let [first, rest @ ..] = left {
        match together::carry_out(&now, left, how) {
            Some((after, count)) => (now, left) = (after, &left[count..]),
            None => (now, left) = (step(now, first.document, &first.op, how)?, rest),
        }
    }
    if now != text {
        // Nobody could edit it again, nor take the edit back.
        if let Some(line) = is_template(&now) {
            return Err(EditError::Template { line });
        }
        verify(text, &now, edits, how.limits)?;
    }
    Ok(now)
}

fn step(text: String, at: usize, op: &Op, how: How<'_>) -> Result<String, EditError> {
    match op {
        Op::Move { path, to } => {
            moves::carry(text, at, (path, to), how, |text, at, op| one(text, at, op, how))
        }
        op => one(text, at, op, how),
    }
}

fn one(mut text: String, at: usize, op: &Op, how: How<'_>) -> Result<String, EditError> {
    let mut parts: Option<VecDeque<Op>> = None;
    loop {
        let (stream, comments) = read_with_comments(&text, how.limits);
        let document = document(&stream, at)?;
        let parts = match &mut parts {
            Some(parts) => parts,
            None => {
                // What the edit means is settled before any text is written.
                let mut probe = document.value.clone();
                model::apply(&mut probe, op).map_err(|e| ops::placed(e, document, op))?;
                let mut list = VecDeque::new();
                split(op, document, &mut list);
                parts.insert(list)
            }
        };
        let Some(op) = parts.pop_front() else { return Ok(text) };
        let layout = Layout::new(&text, &document.tree, &comments, how.style);
        let splices = ops::plan(&layout, document, &op)?;
        let last = parts.is_empty();
        text = put(&text, splices);
        if last {
            return Ok(text);
        }
    }
}
