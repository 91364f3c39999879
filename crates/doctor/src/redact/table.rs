//! A table that a log service exports, cell by cell: of a column that nobody reads, nothing stays.

use super::at::{At, Says, Values};

/// Bytes of a cell beyond which its quote is taken for one that nobody closes.
const CELL_MAX: usize = 1 << 20;

/// How far a table has been read.
#[derive(Debug)]
pub(super) struct Table {
    separator: char,
    /// Whether a quote within quotes stands behind a backslash.
    backslash: bool,
    /// Names of the columns, once the head has been read.
    columns: Vec<String>,
    column: usize,
    quoted: bool,
    cell: String,
}

impl Table {
    pub(super) fn new(separator: char, backslash: bool) -> Self {
        let (columns, cell) = (Vec::new(), String::new());
        Table { separator, backslash, columns, column: 0, quoted: false, cell }
    }

    /// One line with its end; a cell may go on in the next.
    pub(super) fn line(&mut self, redactor: &mut dyn Values, line: &str, says: Says) -> String {
        let head = self.columns.is_empty();
        let (mut out, mut names) = (String::with_capacity(line.len()), Vec::new());
        for c in line.chars() {
            match c {
                '"' if self.backslash && self.quoted && self.cell.ends_with('\\') => {
                    self.cell.push(c)
                }
                '"' => {
                    self.quoted = !self.quoted;
                    self.cell.push(c);
                }
                c if !self.quoted && (c == self.separator || c == '\n' || c == '\r') => {
                    let cell = std::mem::take(&mut self.cell);
                    if head {
                        out.push_str(&title(redactor, &cell, says));
                        names.push(bare(&cell));
                    } else {
                        out.push_str(&self.told(redactor, &cell, says));
                    }
                    self.column = if c == self.separator { self.column + 1 } else { 0 };
                    out.push(c);
                }
                c => self.cell.push(c),
            }
        }
        // The last line may have no end.
        if !self.quoted && !self.cell.is_empty() && !line.ends_with('\n') {
            let cell = std::mem::take(&mut self.cell);
            out.push_str(&match head {
                true => title(redactor, &cell, says),
                false => self.told(redactor, &cell, says),
            });
        }
        if head && !self.quoted {
            self.columns = names;
        }
        if self.cell.len() > CELL_MAX {
            self.quoted = false;
            out.push_str(&self.rest(redactor, says));
        }
        out
    }

    /// A cell that nobody closed.
    pub(super) fn rest(&mut self, redactor: &mut dyn Values, says: Says) -> String {
        let cell = std::mem::take(&mut self.cell);
        let told = self.told(redactor, &cell, says);
        // As many lines as before.
        let lines = cell.matches('\n').count().saturating_sub(told.matches('\n').count());
        told + &"\n".repeat(lines)
    }

    fn told(&self, redactor: &mut dyn Values, cell: &str, says: Says) -> String {
        let value = bare(cell);
        if value.is_empty() {
            return cell.to_owned();
        }
        let name = self.columns.get(self.column).map_or("", String::as_str);
        let told = redactor.value(&value, At { path: &[name], name: None, says });
        match told == value {
            true => cell.to_owned(),
            false if cell.starts_with('"') || told.contains([self.separator, '"', '\n']) => {
                format!("\"{}\"", told.replace('"', "\"\""))
            }
            false => told,
        }
    }
}

/// The name of a column: one that is known says nothing of anybody.
fn title(redactor: &mut dyn Values, cell: &str, says: Says) -> String {
    let name = bare(cell);
    let told = if says(&name).is_some() { name.clone() } else { redactor.key(&name) };
    if told == name { cell.to_owned() } else { told }
}

fn bare(cell: &str) -> String {
    let cell = cell.trim_matches(['\u{feff}', ' ']);
    match cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => cell.to_owned(),
    }
}
