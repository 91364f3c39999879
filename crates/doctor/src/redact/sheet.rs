//! One file of evidence, line after line, rewritten as what it is.

use sunup_evidence::layout::Layout;

use super::at::Says;
use super::json::Reading;
use super::lines::Lines;
use super::redactor::Redactor;
use super::settings::Settings;
use super::table::Table;
use super::yaml;

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
    /// A file of a layout; `says` says what a log service means by the name of a field.
    #[must_use]
    pub fn new(layout: Layout, says: Says) -> Self {
        let state = match layout {
            Layout::Json => State::Json(Reading::default()),
            Layout::Table { separator, backslash } => {
                State::Table(Table::new(separator, backslash))
            }
            Layout::Yaml => State::Settings(Settings::default()),
            Layout::Text => State::Lines(Lines::default()),
        };
        Sheet { state, says }
    }

    /// A line with its end, rewritten; nothing where it is only a part of one, until that is whole.
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

    /// What is held of the last lines.
    pub fn rest(&mut self, redactor: &mut Redactor) -> String {
        match &mut self.state {
            State::Lines(lines) => lines.rest(redactor, self.says),
            State::Table(table) => table.rest(redactor, self.says),
            State::Json(_) | State::Settings(_) => String::new(),
        }
    }

    /// A whole text of YAML, rewritten.
    pub fn yaml(redactor: &mut Redactor, text: &str, says: Says) -> String {
        yaml::rewritten(redactor, text, says)
    }
}
