//! Reads a text that holds several things: each part by itself, as what it is recognised as.

use std::io::Read;

use sunup_logs::scan::HEAD_BYTES;

use super::Run;
use super::outcome::{Outcome, is_page};
use crate::file::File;
use crate::form;
use crate::parts::command::Verb;
use crate::parts::{self, Part};
use crate::sniff::{self, Format};

impl Run<'_> {
    /// Every part of a text. What is left of a text that nothing was read of is no evidence, or the
    /// first part that looks like some.
    pub(super) fn several(&mut self, file: &File<'_>, whole: &str, explicit: bool) -> Outcome {
        let parts = parts::split(whole);
        // A page that explains something shows manifests of nobody's: they count where the text has
        // evidence too, or was handed over by name.
        let page = !explicit && is_page(&file.label);
        let (examples, evidence): (Vec<_>, Vec<_>) = parts
            .iter()
            .map(|part| {
                (part, sniff::part(&part.text.as_bytes()[..part.text.len().min(HEAD_BYTES)]))
            })
            .partition(|(part, format)| {
                let manifest = matches!(format, Format::Yaml | Format::Documents);
                page && manifest && part.command.is_none()
            });
        let (mut read, mut unplaced, mut strange) = (false, 0, None);
        for (part, format) in evidence {
            match self.part(file, part, format) {
                Outcome::Read => read = true,
                Outcome::Passed => {}
                Outcome::Unplaced(lines) => unplaced += lines,
                told @ Outcome::Strange(..) => {
                    strange.get_or_insert(told);
                }
            }
        }
        for (part, format) in examples {
            if read {
                self.part(file, part, format);
            }
        }
        match (read, strange) {
            (true, _) => {
                self.unplaced(file, &form::SEVERAL, unplaced);
                Outcome::Read
            }
            (false, Some(strange)) => strange,
            (false, None) => Outcome::Passed,
        }
    }

    /// One part of a text that is held.
    fn part(&mut self, file: &File<'_>, part: &Part<'_>, format: Format) -> Outcome {
        let (container, text) = defaulted(part.text);
        let head = &text.as_bytes()[..text.len().min(HEAD_BYTES)];
        let reader = Box::new(text.as_bytes());
        let mut inner = self.inner(file, part, container);
        let lines = || text.lines().count() as u64;
        match self.of_part(&mut inner, part, format, head, reader) {
            // A part without any sign is a person's, or another program's.
            Outcome::Strange(_, nearest) if nearest.id == form::LOG.id => {
                Outcome::Unplaced(lines())
            }
            Outcome::Strange(why, nearest) => {
                self.strange(&inner, why, nearest);
                Outcome::Strange(why, nearest)
            }
            outcome => outcome,
        }
    }

    /// A long text that is one part below a command or a title: read as a stream, not held.
    pub(super) fn opened<'r>(
        &mut self,
        file: &File<'_>,
        head: &[u8],
        mut reader: Box<dyn Read + 'r>,
    ) -> Result<Outcome, Box<dyn Read + 'r>> {
        let long = head.len() >= HEAD_BYTES;
        let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
        let valid = match std::str::from_utf8(head) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
        };
        let parts = parts::split(valid);
        let [part] = parts.as_slice() else { return Err(reader) };
        let (container, text) = defaulted(part.text);
        let before = valid.len() - text.len();
        let behind = part.text.as_ptr() as usize + part.text.len();
        let ends = behind == valid.as_ptr() as usize + valid.len();
        if !long || head.contains(&0x1b) || part.fenced.is_some() || !ends {
            return Err(reader);
        }
        let skipped = std::io::copy(&mut reader.by_ref().take(before as u64), &mut std::io::sink());
        if skipped.is_err() {
            return Ok(Outcome::Read);
        }
        let mut inner = self.inner(file, part, container);
        let format = sniff::part(text.as_bytes());
        Ok(self.of_part(&mut inner, part, format, text.as_bytes(), reader))
    }

    /// The file that a part is; `container` is the one that a line before its text names.
    fn inner<'r>(&self, file: &File<'r>, part: &Part<'_>, container: Option<&str>) -> File<'r> {
        let mut inner = file.of(part.whose(&file.whose, &self.names));
        // A part of a page is no file that could be edited.
        inner.path = None;
        inner.text = None;
        inner.lines_before = file.lines_before + part.lines_before;
        inner.command.clone_from(&part.command);
        if let Some(container) = container {
            inner.whose.container.get_or_insert_with(|| container.to_owned());
            inner.lines_before += 1;
        }
        inner
    }

    fn of_part(
        &mut self,
        inner: &mut File<'_>,
        part: &Part<'_>,
        format: Format,
        head: &[u8],
        reader: Box<dyn Read + '_>,
    ) -> Outcome {
        let verb = part.command.as_ref().map(|command| command.verb);
        let logs = verb == Some(Verb::Logs);
        let refused = is_refusal(&String::from_utf8_lossy(&head[..head.len().min(200)]), logs);
        let format = match format {
            Format::Empty => return Outcome::Passed,
            // A command says what it prints.
            Format::Timeless if logs && !refused => Format::Log(&form::LOG),
            format => format,
        };
        match self.read_as(format, head, inner, reader, false) {
            // What other programs print is nobody's evidence, unless it shows by itself.
            Outcome::Strange(..) if verb == Some(Verb::Other) || refused => Outcome::Passed,
            outcome => outcome,
        }
    }
}

/// `Defaulted container "app" out of: app, istio-proxy` in front of a log: whose it is, and the rest.
fn defaulted(text: &str) -> (Option<&str>, &str) {
    let Some((line, rest)) = text.split_once('\n') else { return (None, text) };
    let quoted = line.strip_prefix("Defaulted container \"").and_then(|rest| rest.split_once('"'));
    let plain = line.strip_prefix("Defaulting container name to ");
    match quoted.map(|(name, _)| name).or(plain.map(|name| name.trim_end().trim_end_matches('.'))) {
        Some(name) => (Some(name), rest),
        None => (None, text),
    }
}

/// What kubectl says instead of an output; a log may begin with an error of its own.
fn is_refusal(text: &str, log: bool) -> bool {
    const ALWAYS: [&str; 3] =
        ["Error from server", "No resources found", "Unable to connect to the server"];
    let first = text.trim_start().lines().next().unwrap_or_default();
    let begins = |with: &&str| first.starts_with(with);
    ALWAYS.iter().any(begins) || !log && ["error: ", "Warning: "].iter().any(begins)
}
