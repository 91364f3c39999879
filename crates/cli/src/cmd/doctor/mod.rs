//! `sunup doctor`: reads evidence, prints the report, and with `--fix` edits the manifests.

mod args;
mod baseline;
mod examine;
mod hearing;
mod live;
mod places;
mod render;
mod seen;
mod store;
mod watch;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::bail;
use sunup_api::report::{EVERY_RULE, Report};
use sunup_doctor::report::Seen;

pub(crate) use args::Args;
use args::{FailOn, Format};
use baseline::Baseline;
use examine::{Examined, examine};
use render::render;

use crate::global::{FINDINGS, Global, TROUBLE};
use crate::{fixes, out};

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
    let live = live::connect(&args, global)?;
    let mut examined = judge(&args, global, live.as_ref(), known.as_ref())?;
    let mut notes = std::mem::take(&mut examined.notes);
    if let Some(wanted) = &args.fix {
        let mut fixed = fixes::apply(&examined.diagnosis, wanted.as_deref(), &args.paths);
        show(&args, global, &fixed.text)?;
        notes.append(&mut fixed.notes);
        if fixed.files > 0 {
            if args.reads_stdin() || args.asks() {
                notes.push(
                    "the evidence is of before the edit: run again to see what is left".into(),
                );
                fixed.settle(&mut examined.diagnosis, &mut examined.seen);
            } else {
                examined = judge(&args, global, None, known.as_ref())?;
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
    let report = &examined.diagnosis.report;
    let idle = report.read.is_passed_over() && report.unreadable.is_empty();
    if examined.seen.empty && report.findings.is_empty() && !idle {
        bail!(seen::nothing(&args));
    }
    Ok(ExitCode::from(code))
}

/// Reads and judges, and leaves out what is known.
fn judge(
    args: &Args,
    global: &Global,
    live: Option<&live::Live>,
    known: Option<&Baseline>,
) -> anyhow::Result<Examined> {
    let mut examined = examine(args, global, live)?;
    if let (Some(known), Some(path)) = (known, &args.baseline) {
        let found = examined.diagnosis.report.findings.clone();
        let whole = args.scope() == sunup_evidence::scope::Scope::default();
        known.subtract(&mut examined);
        examined.notes.extend(known.notes(path, &found, whole));
    }
    Ok(examined)
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
