//! What is printed: findings on standard output, what is worth knowing beside them on standard error.

use std::collections::BTreeSet;

use sunup_api::report::{EVERY_RULE, Finding, Report};
use sunup_doctor::report::{Seen, text};
use sunup_watch::Look;

use super::args::Format;
use crate::global::Global;
use crate::{out, page};

/// Notes that are remembered, so that none is printed twice.
const NOTES: usize = 1000;

/// Prints, and remembers what the exit code is to say.
pub(super) struct Say {
    global: Global,
    format: Format,
    noted: BTreeSet<String>,
    /// Whether anything was found.
    pub(super) found: bool,
    /// Whether evidence was missing.
    pub(super) blind: bool,
}

impl Say {
    pub(super) fn new(global: Global, format: Format) -> Say {
        Say { global, format, noted: BTreeSet::new(), found: false, blind: false }
    }

    pub(super) fn note(&self, text: &str) {
        out::note(&self.global, text);
    }

    /// The same is said once.
    pub(super) fn note_once(&mut self, text: &str) {
        if self.noted.len() < NOTES && self.noted.insert(text.to_owned()) {
            self.note(text);
        }
    }

    /// Tells one finding.
    pub(super) fn finding(&mut self, finding: &Finding) -> anyhow::Result<()> {
        self.found = true;
        let report = Report { findings: vec![finding.clone()], ..Report::default() };
        let text = match self.format {
            Format::Json => format!("{}\n", serde_json::to_string(&report)?),
            Format::Text => format!("{}\n", text(&report, &Seen::default(), &page::look(false))),
        };
        Ok(out::print(&self.global, &text)?)
    }

    /// What a look could not see.
    pub(super) fn gaps(&mut self, report: &Report) {
        for unknown in report.unknown.iter().filter(|unknown| unknown.rule == EVERY_RULE) {
            self.blind = true;
            self.note_once(&format!("missing: {}", unknown.missing.join(", ")));
        }
    }

    pub(super) fn failed(&mut self, look: &Look, why: &str) {
        self.blind = true;
        self.note_once(&format!("{} could not be looked at: {why}", whose(look)));
    }

    /// All looks were had, and nothing was found.
    pub(super) fn unexplained(&mut self, look: &Look) {
        if self.format == Format::Text {
            let text =
                format!("{}: {}: no start-up fault is seen in it", whose(look), look.trouble);
            self.note_once(&text);
        }
    }
}

/// `shop/web-67d56cdd-x7k2p`, or the owner with its kind.
fn whose(look: &Look) -> String {
    let namespace = &look.owner.namespace;
    match &look.pod {
        Some((name, _)) => format!("{namespace}/{name}"),
        None => format!("{} {namespace}/{}", look.owner.kind, look.owner.name),
    }
}
