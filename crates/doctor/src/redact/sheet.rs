//! One file of evidence, line after line, rewritten as what it is.

use super::at::Says;
use super::json::Reading;
use super::lines::Lines;
use super::redactor::Redactor;
use super::settings::Settings;
use super::table::Table;
use super::yaml;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Objects or entries in JSON.
    Json,
    /// Documents in YAML; they are rewritten whole.
    Yaml,
    /// A log service's table.
    Table {
        /// What stands between two cells.
        separator: char,
        /// Whether a quote within quotes stands behind a backslash.
        backslash: bool,
    },
    /// Anything else.
    Text,
}

/// One file, and how far it has been rewritten.
#[derive(Debug)]
pub struct Sheet {
    state: State,
    says: Says,
}

#[derive(Debug)]
enum State {
    Json(Reading),
    Table(Table),
    Lines(Lines),
    /// What began as JSON and is none: by keys, line by line.
    Settings(Settings),
}

impl Sheet {
    /// A file of a kind; `says` says what a log service means by the name of a field.
    #[must_use]
    pub fn new(kind: Kind, says: Says) -> Self {
        let state = match kind {
            Kind::Json => State::Json(Reading::default()),
            Kind::Table { separator, backslash } => State::Table(Table::new(separator, backslash)),
            Kind::Yaml => State::Settings(Settings::default()),
            Kind::Text => State::Lines(Lines::default()),
        };
        Sheet { state, says }
    }

    /// A line with its end, rewritten.
    pub fn line(&mut self, redactor: &mut Redactor, line: &str) -> String {
        let says = self.says;
        if let State::Json(reading) = &mut self.state {
            let outside = reading.is_outside();
            if let Ok(told) = reading.line(redactor, line, says) {
                return told;
            }
            self.state = match outside {
                true => State::Lines(Lines::default()),
                false => State::Settings(Settings::default()),
            };
        }
        match &mut self.state {
            State::Table(table) => table.line(redactor, line, says),
            State::Lines(lines) => lines.line(redactor, line, says),
            State::Settings(settings) => settings.line(redactor, line),
            State::Json(_) => redactor.text(line),
        }
    }

    /// A whole text of YAML, rewritten.
    pub fn yaml(redactor: &mut Redactor, text: &str, says: Says) -> String {
        yaml::rewritten(redactor, text, says)
    }
}
