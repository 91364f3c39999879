//! A pod's start as SVG: lanes of bars and ticks over one axis of seconds.
//!
//! Positions are percentages, so the drawing fits any width and text keeps its size. Each mark
//! carries its seconds in `data-a` and `data-b`, from which the page's script redraws when the
//! reader zooms; without the script it is a drawing with a title on every mark.

use jiff::Timestamp;
use maud::{Markup, html};
use sunup_api::show;

use super::view::View;
use super::words;
use crate::report::lanes::{End, Lane, Span, Story, Tick, TickKind};
use crate::report::scale::{STEPS, offset_text};

/// Top of a bar within its lane, below the lane's name, and its height.
const BAR_TOP: usize = 18;
const BAR: usize = 18;
/// Height of the row of ticks below a bar, where there are any.
const TICKS: usize = 15;
/// Room below a lane.
const GAP: usize = 9;
/// Height of the axis.
const AXIS: usize = 26;
/// Labels of the axis, at most.
const LABELS_MAX: f64 = 7.0;

/// The drawing, with its own buttons and the list that says the same.
pub(super) fn chart(story: &Story, id: &str) -> Markup {
    let Some(view) = View::of(story) else { return html! {} };
    let mut tops = vec![0];
    tops.extend(story.lanes.iter().scan(0, |top, lane| {
        *top += height(lane);
        Some(*top)
    }));
    let bottom = tops.last().copied().unwrap_or(0);
    let title = format!("{id}-t");
    let hidden = outside(story, &view);
    html! {
        figure.chart {
            figcaption #(title) {
                "Start of " (words::pod(&story.subject)) ". 0 s is "
                time datetime=(words::full(view.zero)) { (words::day_and_clock(view.zero)) }
            }
            svg role="img" aria-labelledby=(title) width="100%" height=(bottom + AXIS)
                data-lo=(n(view.lo)) data-hi=(n(view.hi))
                data-all-lo=(n(view.all_lo)) data-all-hi=(n(view.all_hi)) {
                (axis(&view, bottom))
                @for (lane, top) in story.lanes.iter().zip(&tops) { (lane_of(lane, *top, &view)) }
                @for at in guides(story, &view) {
                    line.guide x1=(percent(view.percent(at))) x2=(percent(view.percent(at)))
                        y1="0" y2=(bottom) data-a=(n(at)) {}
                }
            }
            @if hidden > 0 {
                p.outside { (words::counted(hidden, "mark")) " outside of this view: zoom out, or see the list." }
            }
            (list(story, &view))
        }
    }
}

fn height(lane: &Lane) -> usize {
    BAR_TOP + BAR + GAP + if lane.ticks.is_empty() { 0 } else { TICKS }
}

/// Where a lane's first and last errors are drawn through all lanes: one sees what else was so.
fn guides(story: &Story, view: &View) -> Vec<f64> {
    let mut all = Vec::new();
    for lane in &story.lanes {
        let errors = lane.ticks.iter().filter(|tick| tick.kind == TickKind::Error);
        let at: Vec<f64> =
            errors.filter_map(|t| t.at.lo.or(t.at.hi)).map(|at| view.offset(at)).collect();
        all.extend(at.first());
        all.extend(at.last().filter(|_| at.len() > 1));
    }
    all
}

/// How many marks the first view does not show.
fn outside(story: &Story, view: &View) -> usize {
    let ticks = story.lanes.iter().flat_map(|lane| &lane.ticks);
    let at = |tick: &Tick| tick.at.lo.or(tick.at.hi).map(|at| view.offset(at));
    ticks.filter_map(at).filter(|offset| !view.shows(*offset)).count()
}

fn axis(view: &View, top: usize) -> Markup {
    let rough = (view.hi - view.lo) / LABELS_MAX;
    let step =
        STEPS.into_iter().find(|&s| s >= rough).unwrap_or(86_400.0 * (rough / 86_400.0).ceil());
    let first = (view.lo / step).ceil() as i64;
    let last = (view.hi / step).floor() as i64;
    html! {
        g.axis aria-hidden="true" data-top=(top) {
            @for i in first..=last {
                @let at = i as f64 * step;
                @let x = percent(view.percent(at));
                line x1=(x) x2=(x) y1="0" y2=(top + 4) {}
                @if view.percent(at) < 94.0 {
                    text x=(x) y=(top + 18) dx="2" { (offset_text(at, step < 1.0)) }
                }
            }
        }
    }
}

fn lane_of(lane: &Lane, top: usize, view: &View) -> Markup {
    html! {
        g.lane {
            text.name x="0" y=(top + 13) {
                (words::lane(lane))
                tspan.role dx="8" { (words::role(lane.role)) }
            }
            line.base x1="0" x2="100%" y1=(top + BAR_TOP + BAR) y2=(top + BAR_TOP + BAR) {}
            @for span in &lane.spans { (bar(span, top + BAR_TOP, view)) }
            @for tick in &lane.ticks { (mark(tick, top + BAR_TOP + BAR, view)) }
        }
    }
}

/// Where a bar fades in, is solid, and fades out.
struct Reach {
    fade_in: Option<(f64, f64)>,
    solid: (f64, f64),
    fade_out: Option<(f64, f64)>,
    open: bool,
}

impl Reach {
    fn of(span: &Span, view: &View) -> Reach {
        let offset = |at: Option<Timestamp>| at.map(|at| view.offset(at));
        // Beyond all that is known, as far as one can zoom out.
        let (before, beyond) = (view.all_lo - 1.0, view.all_hi + 1.0);
        let (from_lo, from_hi) = match &span.from {
            Some(known) => {
                let lo = offset(known.lo).unwrap_or(before);
                // "Not before" alone: it began at some time after.
                (lo, offset(known.hi).unwrap_or(beyond))
            }
            None => (before, before),
        };
        let (to_lo, to_hi, open) = match &span.to {
            End::At(known) => {
                let hi = offset(known.hi).unwrap_or(beyond);
                (offset(known.lo).unwrap_or(from_hi.min(hi)), hi, false)
            }
            End::Open => (beyond, beyond, true),
            End::Unknown => (from_hi.min(beyond), beyond, false),
        };
        let solid_from = from_hi.min(to_hi);
        let solid_to = to_lo.max(solid_from);
        let some = |a: f64, b: f64| (b - a > 1e-9).then_some((a, b));
        Reach {
            fade_in: some(from_lo, solid_from).filter(|_| span.from.is_some()),
            solid: (solid_from, solid_to),
            fade_out: some(solid_to, to_hi),
            open,
        }
    }
}

fn bar(span: &Span, top: usize, view: &View) -> Markup {
    let reach = Reach::of(span, view);
    let (class, label) = words::state(span.state);
    let tip = words::span_tip(span, view);
    let whole = (
        reach.fade_in.map_or(reach.solid.0, |f| f.0),
        reach.fade_out.map_or(reach.solid.1, |f| f.1),
    );
    let label = match span.note.as_str() {
        "" => label.to_owned(),
        note => format!("{label}, {}", show::line(note)),
    };
    html! {
        g class={ "bar " (class) } data-tip=(tip) data-a=(n(whole.0)) data-b=(n(whole.1)) {
            title { (tip) }
            @if let Some(fade) = reach.fade_in { (piece(fade, "in", None, top, view)) }
            (piece(reach.solid, if reach.open { "solid open" } else { "solid" }, Some(&label), top, view))
            @if let Some(fade) = reach.fade_out { (piece(fade, "out", None, top, view)) }
        }
    }
}

/// Part of a bar, in a view of its own that cuts its label off at its end.
fn piece((a, b): (f64, f64), part: &str, label: Option<&str>, top: usize, view: &View) -> Markup {
    let (x, w) = (view.percent(a).max(-5.0), view.percent(b).min(105.0));
    let w = (w - x).max(0.0);
    html! {
        svg class={ "piece " (part) } x=(percent(x)) y=(top) width=(percent(w)) height=(BAR)
            data-a=(n(a)) data-b=(n(b)) {
            rect width="100%" height="100%" {}
            @if let Some(label) = label { text x="6" y="13" { (label) } }
        }
    }
}

fn mark(tick: &Tick, top: usize, view: &View) -> Markup {
    let Some(at) = tick.at.lo.or(tick.at.hi) else { return html! {} };
    let a = view.offset(at);
    let tip = words::tick_tip(tick, view);
    let x = percent(view.percent(a));
    let until = tick.until.map(|until| view.offset(until));
    html! {
        g class={ "mark " (words::tick_class(tick.kind)) } data-tip=(tip) data-a=(n(a)) data-b=(n(until.unwrap_or(a))) {
            title { (tip) }
            @if let Some(until) = until {
                line.during x1=(x) x2=(percent(view.percent(until))) y1=(top + 8) y2=(top + 8) data-a=(n(a)) data-b=(n(until)) {}
                svg.at x=(percent(view.percent(until))) y=(top + 8) data-a=(n(until)) { (sign(tick.kind)) }
            }
            svg.at x=(x) y=(top + 8) data-a=(n(a)) { (sign(tick.kind)) }
        }
    }
}

/// A shape for each kind, so that colour is not all that tells them apart.
fn sign(kind: TickKind) -> Markup {
    let path = match kind {
        TickKind::Error => "M-4.5-4.5 4.5 4.5M4.5-4.5-4.5 4.5",
        TickKind::Symptom => "M0-6 6 5H-6Z",
        TickKind::Unready => "M0-5V5",
        TickKind::Warning => "M0-5.5 5.5 0 0 5.5-5.5 0Z",
    };
    html! { path d=(path) {} }
}

/// The same as a list: for screen readers, for print, for copying.
fn list(story: &Story, view: &View) -> Markup {
    html! {
        details.points {
            summary { "As a list, with sources" }
            div.scroll tabindex="0" role="region" aria-label="Points of this start" {
                table {
                    thead { tr { th scope="col" { "Offset" } th scope="col" { "Time (UTC)" } th scope="col" { "What" } th scope="col" { "Source" } } }
                    tbody {
                        @for row in words::rows(story, view) {
                            tr class=[row.bad.then_some("bad")] {
                                td.num { (row.offset) }
                                td.num { (row.clock) }
                                td { (row.what) }
                                td.source { (row.source) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn percent(value: f64) -> String {
    let text = format!("{value:.3}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Seconds with as many digits as a drawing needs.
fn n(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
