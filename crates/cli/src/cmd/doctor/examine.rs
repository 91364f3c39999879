//! One reading and judging of everything that was handed over.

use sunup_doctor::redact::{Addresses, Redactor};
use sunup_doctor::report::Seen;
use sunup_doctor::{Diagnosis, Story};
use sunup_evidence::collect::Collector;
use sunup_intake::Options;

use super::args::{Args, Format};
use super::live::Live;
use super::places;
use super::seen;
use super::store::{self, Asking};
use crate::global::Global;
use crate::keep::Keep;
use crate::live::Beside;
use crate::progress::Bar;

/// What a reading gave.
#[derive(Clone)]
pub(super) struct Examined {
    pub(super) diagnosis: Diagnosis,
    pub(super) seen: Seen,
    /// For formats that draw pods; empty for others.
    pub(super) stories: Vec<Story>,
    /// Said after the report, on standard error.
    pub(super) notes: Vec<String>,
    /// Takes out what is nobody else's business, where that was asked for.
    redactor: Option<Redactor>,
}

impl Examined {
    /// After all that goes by names, and before any format.
    pub(super) fn redact(&mut self, notes: &mut [String]) {
        let Some(redactor) = &mut self.redactor else { return };
        self.diagnosis.report = redactor.report(&self.diagnosis.report);
        redactor.stories(&mut self.stories);
        redactor.seen(&mut self.seen);
        for note in notes {
            *note = redactor.text(note);
        }
    }

    /// Keeps the findings that are marked; what names findings by their place is kept in step.
    pub(super) fn keep(&mut self, keep: &[bool]) {
        let kept: Vec<usize> = (0..keep.len()).filter(|&i| keep[i]).collect();
        let place = |old: usize| kept.binary_search(&old).ok();
        let mut index = 0..;
        self.diagnosis.report.findings.retain(|_| index.next().is_some_and(|i: usize| keep[i]));
        self.diagnosis.edits.retain_mut(|edit| match place(edit.finding) {
            Some(new) => {
                edit.finding = new;
                true
            }
            None => false,
        });
        let seen = &mut self.seen;
        let editable = std::mem::take(&mut seen.editable).into_iter();
        seen.editable = editable.filter_map(|(old, id)| Some((place(old)?, id))).collect();
        seen.settled = std::mem::take(&mut seen.settled).into_iter().filter_map(place).collect();
    }
}

/// Reads and judges.
pub(super) fn examine(
    args: &Args,
    global: &Global,
    live: Option<&Live>,
) -> anyhow::Result<Examined> {
    let scope = args.scope();
    let mut collector = Collector::new(scope.clone());
    let bar = Bar::new();
    let progress = bar.map(|bar| bar as std::sync::Arc<dyn sunup_intake::Progress>);
    let options = Options { scope, progress, limits: args.limits(), ..Options::default() };
    let keep = args.save.as_ref().map(|folder| Keep::new(folder, args.redact)).transpose()?;
    let mut beside = Beside { first: args.inputs(), keep: keep.as_ref(), ..Beside::default() };
    let asking = store::begin(args, global, live, &mut beside)?;
    let (summary, mut notes) = match live {
        Some(live) => live.read(beside, &options, &mut collector)?,
        None => {
            let inputs = beside.first.into_iter().chain(beside.last).collect();
            (sunup_intake::read(inputs, &options, &mut collector), Vec::new())
        }
    };
    notes.extend(asking.map(Asking::done).transpose()?.into_iter().flatten());
    notes.extend(keep.map(Keep::done).transpose()?);
    notes.extend(seen::left_out(&summary));
    // Wipes the bar before anything is printed.
    drop(options);
    let snapshot = collector.finish();
    let mut diagnosis = sunup_doctor::diagnose(&snapshot);
    diagnosis.report.read = seen::read(&summary, &snapshot);
    places::in_commands(&mut diagnosis.report, &args.paths);
    let seen = seen::seen(args, &summary, &snapshot, &diagnosis);
    let stories = match args.format {
        Format::Html => sunup_doctor::stories(&snapshot),
        _ => Vec::new(),
    };
    let named = Addresses::Named;
    let redactor = args.redact.then(|| Redactor::new(&snapshot, named));
    Ok(Examined { diagnosis, seen, stories, notes, redactor })
}
