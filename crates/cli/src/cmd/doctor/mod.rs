//! `sunup doctor`: reads evidence, prints the report, and with `--fix` edits the manifests.

mod args;
mod baseline;
mod fix;
mod live;
mod seen;
mod watch;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::bail;
use sunup_api::report::{EVERY_RULE, Report};
use sunup_doctor::redact::{Addresses, Redactor};
use sunup_doctor::report::{Look, Seen};
use sunup_doctor::{Diagnosis, Story};
use sunup_evidence::collect::Collector;
use sunup_intake::{Input, Options};

pub(crate) use args::Args;
use args::{FailOn, Format, is_stdin};
use baseline::Baseline;

use super::{FINDINGS, Global, TROUBLE};
use crate::out;
use crate::progress::Bar;

/// Columns of a report that goes into a file or a pipe.
const WIDTH: usize = 80;
/// On a terminal of any width, lines longer than this are hard to read.
const WIDTH_MAX: usize = 110;
/// Below this the drawing makes no sense any more.
const WIDTH_MIN: usize = 60;

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    args.check()?;
    if args.paths.is_empty() && args.reads_stdin() && std::io::stdin().is_terminal() {
        bail!(
            "nothing to read: name files or directories, or pipe something in, such as\n  \
             kubectl get pods,events,deploy -o json | sunup doctor"
        );
    }
    if args.watch {
        return watch::run(&args, global);
    }
    let known = args.baseline.as_deref().map(Baseline::read).transpose()?;
    let live = args.live.connect(&args, global)?;
    let mut examined = judge(&args, live.as_ref(), known.as_ref())?;
    let mut notes = std::mem::take(&mut examined.notes);
    if let Some(wanted) = &args.fix {
        let mut fixed = fix::apply(&examined.diagnosis, wanted.as_deref());
        show(&args, global, &fixed.text)?;
        notes.append(&mut fixed.notes);
        if fixed.files > 0 {
            if args.reads_stdin() || live.is_some() {
                notes.push(
                    "the evidence is of before the edit: run again to see what is left".into(),
                );
                fixed.settle(&mut examined.diagnosis, &mut examined.seen);
            } else {
                examined = judge(&args, None, known.as_ref())?;
            }
        }
    }
    notes.append(&mut examined.notes);
    // The exit code is settled before printing: a reader that leaves early does not change it.
    let fail_on = if args.write_baseline.is_some() { FailOn::Never } else { args.fail_on };
    let code = exit_code(&examined.diagnosis.report, &examined.seen, fail_on);
    if let Some(path) = &args.write_baseline {
        baseline::write(path, &examined.diagnosis.report.findings)?;
    }
    examined.redact(&mut notes);
    match out::print(global, &render(&args, &examined)) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        printed => printed?,
    }
    for note in notes {
        out::note(global, &note);
    }
    if examined.seen.empty && examined.diagnosis.report.findings.is_empty() {
        bail!(seen::nothing(&args));
    }
    Ok(ExitCode::from(code))
}

/// Applies the first safe fix of each finding; the diffs and what became of each file, styled, and
/// how many files were edited.
#[cfg(target_os = "linux")]
pub(crate) fn apply_fixes(diagnosis: &Diagnosis) -> (String, usize) {
    let fixed = fix::apply(diagnosis, None);
    (fixed.text, fixed.files)
}

/// What a reading gave.
#[derive(Clone)]
struct Examined {
    diagnosis: Diagnosis,
    seen: Seen,
    /// For formats that draw pods; empty for others.
    stories: Vec<Story>,
    /// Said after the report, on standard error.
    notes: Vec<String>,
    /// Takes out what is nobody else's business, where that was asked for.
    redactor: Option<Redactor>,
}

impl Examined {
    /// After all that goes by names, and before any format.
    fn redact(&mut self, notes: &mut [String]) {
        let Some(redactor) = &mut self.redactor else { return };
        self.diagnosis.report = redactor.report(&self.diagnosis.report);
        redactor.stories(&mut self.stories);
        redactor.seen(&mut self.seen);
        for note in notes {
            *note = redactor.text(note);
        }
    }

    /// Keeps the findings that are marked; what names findings by their place is kept in step.
    fn keep(&mut self, keep: &[bool]) {
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

/// Reads and judges, and leaves out what is known.
fn judge(
    args: &Args,
    live: Option<&live::Live>,
    known: Option<&Baseline>,
) -> anyhow::Result<Examined> {
    let mut examined = examine(args, live)?;
    if let (Some(known), Some(path)) = (known, &args.baseline) {
        let found = examined.diagnosis.report.findings.clone();
        let whole = args.scope() == sunup_evidence::scope::Scope::default();
        known.subtract(&mut examined);
        examined.notes.extend(known.notes(path, &found, whole));
    }
    Ok(examined)
}

fn examine(args: &Args, live: Option<&live::Live>) -> anyhow::Result<Examined> {
    let scope = args.scope();
    let mut collector = Collector::new(scope.clone());
    let bar = Bar::new();
    let progress = bar.map(|bar| bar as std::sync::Arc<dyn sunup_intake::Progress>);
    let options = Options { scope, progress, ..Options::default() };
    let (summary, notes) = match live {
        Some(live) => live.read(args, &options, &mut collector)?,
        None => (sunup_intake::read(inputs(args), &options, &mut collector), Vec::new()),
    };
    // Wipes the bar before anything is printed.
    drop(options);
    let snapshot = collector.finish();
    let diagnosis = sunup_doctor::diagnose(&snapshot);
    let seen = seen::seen(args, &summary, &snapshot, &diagnosis);
    let stories = match args.format {
        Format::Html => sunup_doctor::stories(&snapshot),
        _ => Vec::new(),
    };
    let named = Addresses::Named;
    let redactor = args.redact.then(|| Redactor::new(&snapshot, &[], named));
    Ok(Examined { diagnosis, seen, stories, notes, redactor })
}

fn inputs(args: &Args) -> Vec<Input> {
    let stdin = || Input::Stdin(Box::new(std::io::stdin()));
    if args.paths.is_empty() {
        return vec![stdin()];
    }
    let of = |path: &std::path::PathBuf| {
        if is_stdin(path) { stdin() } else { Input::Path(path.clone()) }
    };
    args.paths.iter().map(of).collect()
}

fn render(args: &Args, examined: &Examined) -> String {
    let report = &examined.diagnosis.report;
    match args.format {
        Format::Json => sunup_doctor::report::json(report),
        Format::Html => sunup_doctor::report::html(report, &examined.stories, &examined.seen),
        Format::Markdown => sunup_doctor::report::markdown(report),
        Format::Sarif => sunup_doctor::report::sarif(report),
        Format::Github => sunup_doctor::report::github(report),
        Format::Text if args.quiet => sunup_doctor::report::headlines(report),
        Format::Text => sunup_doctor::report::text(report, &examined.seen, &look(args.verbose)),
    }
}

/// Shows what `--fix` did: with the report for people, beside it for programs.
fn show(args: &Args, global: &Global, text: &str) -> anyhow::Result<()> {
    match args.format {
        Format::Text if !args.quiet => match out::print(global, text) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            printed => printed?,
        },
        _ => out::eprint(global, text),
    }
    Ok(())
}

fn look(verbose: bool) -> Look {
    let terminal = std::io::stdout().is_terminal();
    let width = match terminal_size::terminal_size_of(std::io::stdout()) {
        Some((terminal_size::Width(columns), _)) => {
            usize::from(columns).clamp(WIDTH_MIN, WIDTH_MAX)
        }
        None => WIDTH,
    };
    // A pipe or a file takes UTF-8; what a terminal can show, its environment says.
    Look { width, ascii: terminal && only_ascii(), verbose }
}

/// Whether the terminal is one that draws nothing but ASCII.
fn only_ascii() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if set("TERM").is_some_and(|term| matches!(term.as_str(), "dumb" | "linux")) {
        return true;
    }
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        !(locale.contains("utf-8") || locale.contains("utf8"))
    })
}

fn exit_code(report: &Report, seen: &Seen, fail_on: FailOn) -> u8 {
    // After `--fix`, a finding whose fix is in place isn't left, though the evidence, which is of
    // the pods that ran before, still shows it.
    let mut left = report.findings.iter().enumerate().filter(|(i, _)| !seen.settled.contains(i));
    if left.any(|(_, finding)| fail_on.counts(finding)) {
        FINDINGS
    } else if report.unreadable.is_empty() && report.unknown.iter().all(|u| u.rule != EVERY_RULE) {
        0
    } else {
        TROUBLE
    }
}
