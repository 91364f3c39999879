//! How the exports' readers are plugged in: recognised by a head, fed from a stream.

use std::io::Read;

use sunup_logs::scan::{Elements, HEAD_BYTES, Layout};

use super::ci::Transcript;
use super::envelope::{self, Rows};
use super::records::Records;
use super::table::{self, Table};
use crate::file::File;
use crate::json;
use crate::run::{LIMITS, Run};

fn table_of(head: &str) -> Option<Table> {
    // Where colours were taken out of the head it is shorter, and its last row is whole or not.
    Table::of(head.as_bytes(), head.len() < HEAD_BYTES / 2)
}

/// Whether a text is a table of a log's lines.
pub(crate) fn is_table(head: &str) -> bool {
    table_of(head).is_some()
}

/// Reads such a table.
pub(crate) fn table(run: &mut Run<'_>, file: &mut File<'_>, reader: Box<dyn Read + '_>) {
    let Some(table) = table_of(&file.head) else { return };
    file.head.clear();
    let mut broken = 0;
    let records = Records::new(reader, table.dialect, LIMITS);
    run.batches(file, records, &mut broken, |file, chunk, out| {
        table::rows(file, &table, chunk, out);
    });
    run.broken_rest(file, broken);
}

/// Whether a text of JSON is an answer that holds entries in a list.
pub(crate) fn is_answer(head: &str) -> bool {
    envelope::of(head.as_bytes()).is_some()
}

/// Reads such an answer.
pub(crate) fn answer(run: &mut Run<'_>, file: &mut File<'_>, reader: Box<dyn Read + '_>) {
    let Some(envelope) = envelope::of(file.head.as_bytes()) else { return };
    file.head.clear();
    let mut broken = 0;
    let elements = Elements::new(Rows::new(reader, envelope), Layout::Array, LIMITS);
    run.batches(file, elements, &mut broken, json::elements);
    run.broken_rest(file, broken);
}

/// Reads what a job's commands printed.
pub(crate) fn ci(run: &mut Run<'_>, file: &mut File<'_>, reader: Box<dyn Read + '_>) {
    let head = std::mem::take(&mut file.head);
    if let Some(transcript) = Transcript::new(reader, &head) {
        run.again(file, Box::new(transcript));
    }
}
