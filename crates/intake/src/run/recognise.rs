//! Decides how a text is read, and keeps account of it: read as what, in part, not recognised, or
//! passed over. Whatever is handed over ends in one of these.

use std::io::{Cursor, Read};
use std::sync::Arc;

use sunup_api::report::{Assumed, FormRead, PartlyRead, Unrecognised};
use sunup_evidence::record::Place;
use sunup_logs::scan::{Chunks, HEAD_BYTES, Layout};

use super::outcome::{Outcome, is_page};
use super::{LIMITS, Run};
use crate::alien::{self, Alien};
use crate::attribution;
use crate::colours::{Colours, Plain};
use crate::copied::{self, Copied};
use crate::file::File;
use crate::form::{self, Form};
use crate::known::{Reader, Way};
use crate::origin::Origin;
use crate::parts::command::Verb;
use crate::sniff::{self, Format};
use crate::unpack::peek;

impl Run<'_> {
    pub(super) fn recognised(
        &mut self,
        head: &[u8],
        reader: Box<dyn Read + '_>,
        origin: &Origin,
        label: &Arc<str>,
        depth: usize,
    ) {
        let whole = head.len() < HEAD_BYTES;
        let format = sniff::format(head, whole);
        // What people paste is short, and in hand as a whole.
        if whole && origin.lines.is_none() && format.is_loose() {
            let text = std::str::from_utf8(head).ok();
            if let Some(Copied { text, lines }) = text.and_then(copied::undressed) {
                let bare = Origin { path: None, lines: Some(lines.into()), ..origin.clone() };
                let reader = Box::new(Cursor::new(text.as_bytes()));
                return self.recognised(text.as_bytes(), reader, &bare, label, depth);
            }
        }
        if matches!(format, Format::Tar) {
            return self.tar(reader, label, depth);
        }
        if matches!(format, Format::Zip) {
            return self.zip(reader, label, depth);
        }
        let whose = self.whose(origin);
        let attributed = whose.container.is_some() || whose.pod.is_some();
        if matches!(format, Format::Log(_) | Format::Timeless | Format::Empty)
            && !attributed
            && let (Some(found), Some(deferred)) = (&origin.found, &mut self.deferred)
        {
            deferred.push(found.clone());
            return;
        }
        self.summary.files += 1;
        let scope = self.options.scope.clone();
        let filter = self.filter.clone();
        let mut file = File::new(origin, Arc::clone(label), whose, &scope, &filter);
        file.limits = self.options.limits;
        match self.read_as(format, head, &mut file, reader, origin.explicit) {
            Outcome::Read => {}
            Outcome::Passed | Outcome::Unplaced(_) => self.passed_over(),
            Outcome::Strange(why, nearest) => self.strange(&file, why, nearest),
        }
    }

    /// Reads a text, or a part of one, as what it was recognised as.
    pub(super) fn read_as(
        &mut self,
        format: Format,
        head: &[u8],
        file: &mut File<'_>,
        reader: Box<dyn Read + '_>,
        explicit: bool,
    ) -> Outcome {
        file.is_log = matches!(format, Format::Json(Layout::Lines) | Format::Log(_));
        self.found = false;
        self.unplaced = 0;
        let label = Arc::clone(&file.label);
        let attributed = file.whose.container.is_some() || file.whose.pod.is_some();
        let form = format.form(head);
        match format {
            Format::Empty if attributed => self.log_seen(file),
            Format::Empty => self.unreadable(&label, None, "empty".to_owned()),
            Format::Binary(what) => self.unreadable(&label, None, what.to_owned()),
            Format::Tar | Format::Zip => {}
            Format::Log(form) => {
                self.log(file, reader);
                self.count(form);
            }
            Format::Timeless => return self.timeless(head, file, reader, explicit),
            Format::Json(layout) => {
                self.json(file, layout, reader);
                return self.settle(file, form, head);
            }
            Format::Documents => {
                self.held(format, file, reader, explicit);
                return self.settle(file, form, head);
            }
            Format::Yaml => return self.held(format, file, plain(head, reader), explicit),
            Format::Known(known) => return self.known(known, head, file, reader, explicit),
        }
        Outcome::Read
    }

    /// A text of a form that has a reader of its own.
    fn known(
        &mut self,
        known: &'static Reader,
        head: &[u8],
        file: &mut File<'_>,
        reader: Box<dyn Read + '_>,
        explicit: bool,
    ) -> Outcome {
        let reader = super::without_bom(plain(head, reader));
        match known.read {
            Way::Parts => {
                return match self.opened(file, head, reader) {
                    Ok(outcome) => outcome,
                    Err(reader) => self.held(Format::Known(known), file, reader, explicit),
                };
            }
            Way::Whole(_) => drop(self.held(Format::Known(known), file, reader, explicit)),
            Way::Lines(read) => {
                file.head = crate::colours::plain(&String::from_utf8_lossy(head)).into_owned();
                let mut broken = 0;
                self.batches(file, Chunks::new(reader, LIMITS), &mut broken, read);
                self.broken_rest(file, broken);
            }
            Way::Stream(read) => {
                file.head = crate::colours::plain(&String::from_utf8_lossy(head)).into_owned();
                read(self, file, reader);
            }
        }
        self.settle(file, known.form, head)
    }

    /// Reads what is left of a text when something around it has been taken off.
    pub(crate) fn again(&mut self, file: &File<'_>, reader: Box<dyn Read + '_>) {
        let Ok((head, reader)) = peek(reader, HEAD_BYTES) else { return };
        let mut inner = file.of(file.whose.clone());
        inner.path = None;
        let format = match sniff::format(&head, head.len() < HEAD_BYTES) {
            // It has been taken off.
            Format::Known(reader) if reader.form == &form::CI => Format::Timeless,
            format => format,
        };
        let outcome = self.read_as(format, &head, &mut inner, Box::new(reader), true);
        if let Outcome::Strange(why, nearest) = outcome {
            self.strange(&inner, why, nearest);
        }
    }

    /// Tells that the times of a text name no zone.
    pub(super) fn assumed_utc(&mut self, file: &File<'_>) {
        if self.summary.read.assumed.iter().any(|told| *told.source == *file.label) {
            return;
        }
        let what = "times that name no zone are taken as UTC".to_owned();
        self.summary.read.assumed.push(Assumed { source: file.label.to_string(), what });
    }

    /// A text without times: a log, if anything says so.
    pub(super) fn timeless(
        &mut self,
        head: &[u8],
        file: &mut File<'_>,
        reader: Box<dyn Read + '_>,
        explicit: bool,
    ) -> Outcome {
        let text = String::from_utf8_lossy(head);
        let text = crate::colours::plain(&text);
        // What kubectl prints of a pod is no log of it.
        let printed = file.command.as_ref().is_some_and(|command| command.verb != Verb::Logs);
        let named = file.whose.container.is_some() || file.whose.pod.is_some();
        let attributed = named && !printed;
        let source = attribution::is_no_log(&file.label);
        let alien = alien::of_text(&text, |line| file.is_telling(line));
        let log = match alien {
            Alien::Log => !source && (file.lines_before > 0 || !is_page(&file.label)),
            Alien::Passed | Alien::Strange(..) => attributed || is_log_name(&file.label),
        };
        match alien {
            _ if log => {
                file.is_log = true;
                self.log(file, reader);
                self.count(&form::LOG);
                Outcome::Read
            }
            // Whoever names a file means something by it; so does who pastes a part of a text.
            Alien::Strange(why, nearest)
                if nearest.id != form::LOG.id || (explicit || file.lines_before > 0) && !source =>
            {
                Outcome::Strange(why, nearest)
            }
            _ => Outcome::Passed,
        }
    }

    /// Counts a text as read, or judges what it is that gave nothing.
    fn settle(&mut self, file: &File<'_>, form: &'static Form, head: &[u8]) -> Outcome {
        let lines = std::mem::take(&mut self.unplaced);
        self.unplaced(file, form, lines);
        if self.found {
            self.count(form);
            return Outcome::Read;
        }
        let text = String::from_utf8_lossy(head);
        match alien::of_json(&text) {
            Alien::Strange(why, nearest) => Outcome::Strange(why, nearest),
            Alien::Passed | Alien::Log => Outcome::Passed,
        }
    }

    /// Notes lines of a text that could not be placed.
    pub(super) fn unplaced(&mut self, file: &File<'_>, form: &'static Form, lines: u64) {
        if lines > 0 {
            self.summary.read.partly.push(PartlyRead {
                source: file.label.to_string(),
                form: form.id.to_owned(),
                lines,
            });
        }
    }

    pub(super) fn count(&mut self, form: &'static Form) {
        self.forms.entry(form.id).or_insert((form, 0)).1 += 1;
    }

    pub(super) fn passed_over(&mut self) {
        self.summary.read.passed_over += 1;
        self.summary.ignored += 1;
    }

    /// Names a text that looks like evidence and can't be read.
    pub(super) fn strange(&mut self, file: &File<'_>, why: &str, nearest: &'static Form) {
        let line = Some(file.line(1)).filter(|line| *line > 1);
        let better = form::better(nearest);
        let told = format!("not recognised: {why}; better: {better}");
        self.unreadable(&file.label, line, told);
        self.summary.ignored += 1;
        self.summary.read.unrecognised.push(Unrecognised {
            source: Place { file: Arc::clone(&file.label), line, entry: None }.to_string(),
            why: why.to_owned(),
            looks_like: Some(nearest.id.to_owned()),
            better,
        });
    }

    /// Puts the account into the summary, in the order of the table of forms.
    pub(super) fn tell(&mut self) {
        let mut counted = std::mem::take(&mut self.forms);
        let read = form::FORMS.iter().filter_map(|form| counted.remove(form.id));
        self.summary.read.forms = read
            .map(|(form, texts)| FormRead {
                form: form.id.to_owned(),
                name: form.name.to_owned(),
                texts,
            })
            .collect();
    }
}

/// The stream without a terminal's colours, where its head has any.
fn plain<'r>(head: &[u8], reader: Box<dyn Read + 'r>) -> Box<dyn Read + 'r> {
    if memchr::memchr(0x1b, head).is_none() {
        return reader;
    }
    Box::new(Plain { inner: reader, colours: Colours::default() })
}

fn is_log_name(label: &str) -> bool {
    [".log", ".out", ".logs"].iter().any(|ending| label.ends_with(ending))
}
