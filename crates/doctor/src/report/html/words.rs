//! Words of the HTML report: states, times, tips, and the rows of a chart's list.

use jiff::Timestamp;
use sunup_api::report::{Precision, Subject};
use sunup_api::show::text as clean;
use sunup_evidence::time::{Known, show};

use super::view::View;
use crate::report::lanes::{End, Lane, Role, Span, State, Story, Tick, TickKind};
use crate::report::scale::offset_text;

/// Characters of a log line in a tip.
const TIP_MAX: usize = 240;

pub(super) fn pod(subject: &Subject) -> String {
    match subject.pods.first() {
        Some(pod) => format!("pod {}", clean(pod)),
        None => "a pod that nothing names".to_owned(),
    }
}

pub(super) fn lane(lane: &Lane) -> String {
    match lane.name.is_empty() {
        true => "a container that nothing names".to_owned(),
        false => clean(&lane.name),
    }
}

pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Pod => "events",
        Role::Capture => "traffic goes to the proxy",
        Role::Init => "init container",
        Role::Proxy => "proxy",
        Role::Application => "container",
    }
}

/// Class and label.
pub(super) fn state(state: State) -> (&'static str, &'static str) {
    match state {
        State::Redirecting => ("redirecting", "in force"),
        State::Running => ("running", "running"),
        State::Failed => ("failed", "failed"),
        State::NotReady => ("not-ready", "not ready"),
        State::Ready => ("ready", "ready"),
    }
}

pub(super) fn tick_class(kind: TickKind) -> &'static str {
    match kind {
        TickKind::Error => "error",
        TickKind::Symptom => "symptom",
        TickKind::Unready => "unready",
        TickKind::Warning => "warning",
    }
}

pub(super) fn counted(number: usize, what: &str) -> String {
    crate::report::paint::counted(number as u64, what)
}

pub(super) fn full(at: Timestamp) -> String {
    show(at)
}

pub(super) fn clock(at: Timestamp) -> String {
    let text = show(at);
    text.split_once('T').map_or(text.as_str(), |(_, time)| time.trim_end_matches('Z')).to_owned()
}

pub(super) fn day_and_clock(at: Timestamp) -> String {
    format!("{} UTC", show(at).replace('T', " ").trim_end_matches('Z'))
}

fn short(text: &str) -> String {
    let text = clean(text);
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() > TIP_MAX {
        words = words.chars().take(TIP_MAX).chain(['…']).collect();
    }
    words
}

/// What a bar says when it is pointed at.
pub(super) fn span_tip(span: &Span, view: &View) -> String {
    let (_, label) = state(span.state);
    let mut lines = vec![label.to_owned()];
    if !span.note.is_empty() {
        lines[0] = format!("{label}, {}", clean(&span.note));
    }
    if let Some(from) = &span.from {
        lines.push(format!("from {}, says {}", known_text(from, view), clean(&from.source)));
    }
    lines.push(match &span.to {
        End::At(to) => format!("until {}, says {}", known_text(to, view), clean(&to.source)),
        End::Open => "still so when the evidence was taken".to_owned(),
        End::Unknown => "until when is not known".to_owned(),
    });
    lines.join("\n")
}

pub(super) fn tick_tip(tick: &Tick, view: &View) -> String {
    let mut when = known_text(&tick.at, view);
    if let Some(until) = tick.until {
        when = format!("{when} to {}", offset_text(view.offset(until), false));
    }
    if tick.count > 1 {
        when = format!("{when}, {} times", tick.count);
    }
    format!("{}\n{when}\n{}", short(&tick.text), clean(&tick.at.source))
}

/// Where a time lies, for a title: `+0.55 s`, `between +1 s and +3 s`.
fn known_text(known: &Known, view: &View) -> String {
    let show = |at: Timestamp| {
        let fine = known.precision == Precision::Exact;
        format!("{} ({})", offset_text(view.offset(at), fine), clock(at))
    };
    match (known.lo, known.hi) {
        (Some(lo), Some(_)) if known.precision == Precision::Second => show(lo),
        (Some(lo), Some(hi)) if lo == hi => show(lo),
        (Some(lo), Some(hi)) => format!("between {} and {}", show(lo), show(hi)),
        (Some(lo), None) => format!("not before {}", show(lo)),
        (None, Some(hi)) => format!("not after {}", show(hi)),
        (None, None) => "at an unknown time".to_owned(),
    }
}

/// A row of the list beside a chart.
pub(super) struct Row {
    pub(super) offset: String,
    pub(super) clock: String,
    pub(super) what: String,
    pub(super) source: String,
    pub(super) bad: bool,
}

pub(super) fn rows(story: &Story, view: &View) -> Vec<Row> {
    story
        .points
        .iter()
        .map(|point| {
            let at: Option<Timestamp> = point.at.as_deref().and_then(|at| at.parse().ok());
            let until: Option<Timestamp> = point.until.as_deref().and_then(|at| at.parse().ok());
            let fine = point.precision == Precision::Exact;
            let offset = at.map(|at| offset_text(view.offset(at), fine)).unwrap_or_default();
            let shown = at.map(clock).unwrap_or_else(|| "unknown".to_owned());
            let clock = match (point.precision, until) {
                (Precision::NotBefore, _) => format!("not before {shown}"),
                (Precision::NotAfter, _) => format!("not after {shown}"),
                (Precision::Between, Some(until)) => format!("{shown} to {}", clock(until)),
                _ => shown,
            };
            Row {
                offset,
                clock,
                what: clean(&point.what),
                source: clean(&point.source),
                bad: point.what.contains("refused") || point.what.contains("failed"),
            }
        })
        .collect()
}
