//! A finding's timeline drawn: the proxy's not-ready window to scale with the errors in it, then
//! every point with its offset, its clock time and its source.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sunup_api::report::{Finding, Precision, TimelineEntry};
use sunup_api::show::line as clean;

use super::look::Look;
use super::paint::{DIM, GREEN, PLAIN, RED, Signs, YELLOW, fit, paint, signs, width, wrap};
use super::scale::{STEPS, offset_text};

/// Points listed when not everything is asked for.
const POINTS_MAX: usize = 8;
/// Columns of the names before the drawing.
const LANE_NAME_MAX: usize = 18;

/// What a point means for the drawing. Read off its words, so that any report, not only one made
/// in this process, can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// From here on a connection needs a proxy that is not ready: capture in force, a proxy that
    /// starts, one that ended.
    Opens,
    /// The proxy is seen not to be ready.
    NotReady,
    /// The proxy is ready.
    Ready,
    /// Something failed.
    Error,
    Other,
}

fn kind(what: &str) -> Kind {
    let what = what.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| what.contains(word));
    let failed = has(&[
        "refus",
        "error",
        "fail",
        "denied",
        "cannot",
        "timed out",
        "reset",
        "crash",
        "killed",
        "blocked",
        "rejected",
        "exited with",
    ]);
    let proxy = has(&["proxy", "sidecar", "envoy", "gateway"]);
    if has(&["not ready", "unready"]) || (has(&["probe"]) && failed) {
        Kind::NotReady
    } else if has(&["in force"]) || (proxy && has(&["ended"])) {
        Kind::Opens
    } else if failed {
        Kind::Error
    } else if proxy && has(&["ready"]) {
        Kind::Ready
    } else if has(&["capture", "redirect"]) || (proxy && has(&["started", "created", "starts"])) {
        Kind::Opens
    } else {
        Kind::Other
    }
}

/// A point whose time is known.
#[derive(Debug, Clone, Copy)]
struct Point<'a> {
    entry: &'a TimelineEntry,
    kind: Kind,
    at: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl<'a> Point<'a> {
    fn new(entry: &'a TimelineEntry) -> Self {
        let kind = match (kind(&entry.what), entry.precision) {
            // "Ready, not before …" says that it was not ready then.
            (Kind::Ready, Precision::NotBefore) => Kind::NotReady,
            (kind, _) => kind,
        };
        let at = entry.at.as_deref().and_then(|at| at.parse().ok());
        let until = entry.until.as_deref().and_then(|until| until.parse().ok());
        Point { entry, kind, at, until }
    }

    /// Whether it lies in the window; where there is none, everything does.
    fn inside(&self, window: Option<Window>) -> bool {
        let Some(window) = window else { return true };
        self.at.is_some_and(|at| at >= window.from && at <= window.ready.unwrap_or(window.to))
    }
}

/// The span in which the proxy was not ready.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: Timestamp,
    /// When it is last known not to be ready.
    to: Timestamp,
    /// When it is first known to be ready; `None` where nothing says so.
    ready: Option<Timestamp>,
}

/// The drawing, as lines; nothing where there is no timeline.
pub(super) fn timeline(finding: &Finding, look: &Look) -> Vec<String> {
    let points: Vec<Point<'_>> = finding.timeline.iter().map(Point::new).collect();
    if points.is_empty() {
        return Vec::new();
    }
    let window = window(&points);
    let zero = window.map(|w| w.from).or_else(|| points.iter().find_map(|p| p.at));
    let mut lines = title(finding, zero, look);
    if let Some(window) = window {
        lines.extend(strip(finding, &points, window, look));
    }
    lines.extend(list(&points, window, zero, look));
    lines
}

fn title(finding: &Finding, zero: Option<Timestamp>, look: &Look) -> Vec<String> {
    let pod = match finding.subject.pods.as_slice() {
        [] => String::new(),
        [one] => format!("pod {one}"),
        [first, rest @ ..] => format!("pod {first} and {} more", rest.len()),
    };
    let day = zero.map(|at| format!("{} UTC", at.strftime("%Y-%m-%d")));
    let parts: Vec<String> =
        [pod, day.unwrap_or_default()].into_iter().filter(|part| !part.is_empty()).collect();
    let room = look.width.saturating_sub(2);
    wrap(&clean(&parts.join(", ")), room).iter().map(|line| paint(DIM, line)).collect()
}

/// The span in which the proxy was not ready: of several (a proxy that was restarted has a second
/// one) the first with an error in it.
fn window(points: &[Point<'_>]) -> Option<Window> {
    let mut all: Vec<(Window, usize)> = Vec::new();
    let mut open: Option<(Window, usize)> = None;
    let fresh = |at: Timestamp| (Window { from: at, to: at, ready: None }, 0);
    for point in points {
        let Some(at) = point.at else { continue };
        match point.kind {
            Kind::Opens => {
                open.get_or_insert_with(|| fresh(at));
            }
            Kind::NotReady => {
                let (window, _) = open.get_or_insert_with(|| fresh(at));
                window.to = window.to.max(at);
            }
            // Where nothing says when a first window began, its first error is the earliest that
            // is known of it; after a window has closed an error opens none.
            Kind::Error if open.is_some() || all.is_empty() => {
                open.get_or_insert_with(|| fresh(at)).1 += 1;
            }
            Kind::Ready => {
                if let Some((mut window, errors)) = open.take() {
                    if point.entry.precision != Precision::NotAfter {
                        window.to = window.to.max(at);
                    }
                    window.ready = Some(point.until.unwrap_or(at).max(window.to));
                    all.push((window, errors));
                }
            }
            Kind::Error | Kind::Other => {}
        }
    }
    if let Some((mut window, errors)) = open {
        let last_error = points.iter().filter(|p| p.kind == Kind::Error).filter_map(|p| p.at).max();
        if window.to == window.from {
            window.to = last_error.unwrap_or(window.to).max(window.to);
        }
        all.push((window, errors));
    }
    let chosen = all.iter().find(|(_, errors)| *errors > 0).or(all.first())?.0;
    (chosen.ready.unwrap_or(chosen.to) > chosen.from).then_some(chosen)
}

/// The two lanes and their scale.
fn strip(finding: &Finding, points: &[Point<'_>], window: Window, look: &Look) -> Vec<String> {
    let signs = signs(look.ascii);
    let errors: Vec<Timestamp> =
        points.iter().filter(|p| p.kind == Kind::Error).filter_map(|p| p.at).collect();
    let end = window.ready.unwrap_or(window.to);
    let span = end.duration_since(window.from).as_secs_f64();
    // What lies far outside of the window would squash it: the list still has it.
    let near = |at: f64| (-0.5 * span..=1.5 * span).contains(&at);
    let offset = |at: Timestamp| at.duration_since(window.from).as_secs_f64();
    let seen: Vec<f64> = errors.iter().map(|&at| offset(at)).filter(|&at| near(at)).collect();
    if seen.is_empty() {
        return Vec::new();
    }
    let lo = seen.iter().copied().fold(0.0, f64::min);
    let tail = if window.ready.is_some() { span * 1.15 } else { span };
    let hi = seen.iter().copied().fold(tail, f64::max);

    let app = finding.subject.container.as_deref().map_or_else(|| "errors".to_owned(), clean);
    let app = fit(&app, LANE_NAME_MAX, signs.cut);
    let names = width(&app).max("proxy".len());
    let columns = look.width.saturating_sub(names + 5).clamp(20, 100);
    let scale = Scale { lo, hi, columns };

    let proxy = proxy_lane(window, &scale, signs);
    let mut lane = vec![false; columns];
    for at in seen {
        lane[scale.column(at)] = true;
    }
    let ticks: String = lane
        .iter()
        .map(|&hit| if hit { paint(RED.bold(), signs.error) } else { " ".into() })
        .collect();
    vec![
        String::new(),
        format!("{:<names$}  {proxy}", "proxy"),
        format!("{app}{}  {}", " ".repeat(names - width(&app)), ticks.trim_end()),
        format!("{:<names$}  {}", "", paint(DIM, scale.axis(signs))),
        String::new(),
    ]
}

fn proxy_lane(window: Window, scale: &Scale, signs: &Signs) -> String {
    let offset = |at: Timestamp| at.duration_since(window.from).as_secs_f64();
    let from = scale.column(0.0);
    let to = scale.column(offset(window.to)).max(from + 1);
    let blank = " ".repeat(from);
    let Some(ready) = window.ready else {
        let body = fill(" not ready ", to - from, signs.not_ready);
        return format!("{blank}{}{}", paint(YELLOW, body), paint(YELLOW, signs.onward));
    };
    let ready = scale.column(offset(ready)).max(to);
    let body = fill(" not ready ", to - from, signs.not_ready);
    let unsure = "?".repeat(ready - to);
    let rest = fill(" ready ", scale.columns.saturating_sub(ready + 1), signs.ready);
    format!(
        "{blank}{}{}{}",
        paint(YELLOW, body),
        paint(DIM, unsure),
        paint(GREEN, format_args!("{rest}{}", signs.onward))
    )
}

/// A bar of `columns` with a word in its middle, where it fits.
fn fill(word: &str, columns: usize, with: &str) -> String {
    if columns < word.len() + 4 {
        return with.repeat(columns);
    }
    let left = (columns - word.len()) / 2;
    format!("{}{word}{}", with.repeat(left), with.repeat(columns - word.len() - left))
}

/// Seconds after the window's start, on columns.
struct Scale {
    lo: f64,
    hi: f64,
    columns: usize,
}

impl Scale {
    fn column(&self, at: f64) -> usize {
        let part = (at - self.lo) / (self.hi - self.lo);
        // In range by construction; clamped for rounding at the ends.
        ((part * (self.columns - 1) as f64).round().max(0.0) as usize).min(self.columns - 1)
    }

    fn axis(&self, signs: &Signs) -> String {
        let steps_max = (self.columns / 10).max(1) as f64;
        let rough = (self.hi - self.lo) / steps_max;
        let step = STEPS.into_iter().find(|&s| s >= rough).unwrap_or_else(|| {
            let day = 86_400.0;
            (rough / day).ceil() * day
        });
        let mut out = String::new();
        let mut at = (self.lo / step).ceil() * step;
        while at <= self.hi {
            let column = self.column(at);
            let label = format!("{}{}", signs.tick, offset_text(at, step < 1.0));
            let used = width(&out);
            if column + width(&label) <= self.columns && (used == 0 || column > used) {
                out.push_str(&" ".repeat(column - used));
                out.push_str(&label);
            }
            at += step;
        }
        out
    }
}

fn list(
    points: &[Point<'_>],
    window: Option<Window>,
    zero: Option<Timestamp>,
    look: &Look,
) -> Vec<String> {
    let kept = if look.verbose { (0..points.len()).collect() } else { telling(points, window) };
    let days = points.iter().filter_map(|p| p.at).map(|at| at.strftime("%m-%d").to_string());
    let several_days = days.collect::<std::collections::BTreeSet<_>>().len() > 1;
    let signs = signs(look.ascii);
    let rows: Vec<(String, String, &Point<'_>)> = kept
        .iter()
        .map(|&i| {
            let point = &points[i];
            let offset = point.at.zip(zero).map(|(at, zero)| {
                let fine = point.entry.precision == Precision::Exact;
                offset_text(at.duration_since(zero).as_secs_f64(), fine)
            });
            (offset.unwrap_or_default(), clock(point, several_days, signs), point)
        })
        .collect();
    let offsets = rows.iter().map(|row| width(&row.0)).max().unwrap_or(0);
    let clocks = rows.iter().map(|row| width(&row.1)).max().unwrap_or(0);
    let indent = offsets + 2 + clocks + 4;
    let room = look.width.saturating_sub(indent + 2).max(20);

    let mut lines = Vec::new();
    for (offset, clock, point) in &rows {
        let gutter = gutter(point, window, signs);
        let style = if point.kind == Kind::Error { RED } else { PLAIN };
        let what = wrap(&clean(&point.entry.what), room);
        let source = clean(&point.entry.source);
        let head = format!(
            "{offset:>offsets$}  {}{}  {gutter} ",
            paint(DIM, clock),
            " ".repeat(clocks - width(clock))
        );
        for (i, part) in what.iter().enumerate() {
            let mut line = if i == 0 { head.clone() } else { " ".repeat(indent) };
            line.push_str(&paint(style, part));
            if i + 1 == what.len() {
                if width(part) + 2 + width(&source) <= room {
                    let gap = room - width(part) - width(&source);
                    line.push_str(&format!("{}{}", " ".repeat(gap), paint(DIM, &source)));
                } else {
                    lines.push(line);
                    line = format!("{}{}", " ".repeat(indent), paint(DIM, &source));
                }
            }
            lines.push(line);
        }
    }
    if rows.len() < points.len() {
        let left_out = super::snippet::more(points.len() - rows.len());
        lines.push(format!("{}{left_out}", " ".repeat(indent)));
    }
    lines
}

/// The points that tell the story, in order: bounds of the window, first and last error, and what
/// else there is room for.
fn telling(points: &[Point<'_>], window: Option<Window>) -> Vec<usize> {
    if points.len() <= POINTS_MAX {
        return (0..points.len()).collect();
    }
    let inside = |i: usize| points[i].inside(window);
    let of = |kind: Kind| {
        let mut at = (0..points.len()).filter(move |&i| points[i].kind == kind && inside(i));
        let first = at.next();
        [first, at.next_back().or(first)]
    };
    let mut kept = std::collections::BTreeSet::new();
    for kind in [Kind::Opens, Kind::Error, Kind::NotReady, Kind::Ready] {
        kept.extend(of(kind).into_iter().flatten());
    }
    let rest = (0..points.len()).filter(|&i| inside(i)).chain(0..points.len());
    for i in rest {
        if kept.len() >= POINTS_MAX {
            break;
        }
        kept.insert(i);
    }
    kept.into_iter().collect()
}

fn gutter(point: &Point<'_>, window: Option<Window>, signs: &Signs) -> String {
    let inside =
        point.at.zip(window).is_some_and(|(at, w)| at >= w.from && at <= w.ready.unwrap_or(w.to));
    match point.kind {
        Kind::Error => paint(RED.bold(), signs.error),
        Kind::Ready if inside => paint(GREEN, signs.close),
        Kind::Opens if point.at.is_some() && point.at == window.map(|w| w.from) => {
            paint(YELLOW, signs.open)
        }
        _ if inside => paint(YELLOW, signs.inside),
        _ => paint(DIM, signs.outside),
    }
}

/// The clock time as precisely as it is known.
fn clock(point: &Point<'_>, with_day: bool, signs: &Signs) -> String {
    let Some(at) = point.at else { return "time unknown".to_owned() };
    let show = |at: Timestamp, fine: bool| {
        let zoned = at.to_zoned(TimeZone::UTC);
        let day = if with_day { zoned.strftime("%m-%d ").to_string() } else { String::new() };
        let time = zoned.strftime("%H:%M:%S");
        let has_part = at.subsec_nanosecond() != 0;
        let part =
            if fine && has_part { zoned.strftime("%.3f").to_string() } else { String::new() };
        format!("{day}{time}{part}")
    };
    match point.entry.precision {
        Precision::Exact => show(at, true),
        Precision::Second => show(at, false),
        Precision::NotBefore => format!("{}{}", signs.at_least, show(at, true)),
        Precision::NotAfter => format!("{}{}", signs.at_most, show(at, true)),
        Precision::Between => match point.until {
            Some(until) => format!("{}{}{}", show(at, true), signs.until, show(until, true)),
            None => show(at, true),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_point_say_what_to_draw() {
        for (what, want) in [
            ("first refused connection", Kind::Error),
            ("istio-proxy failing its readiness probe", Kind::NotReady),
            ("proxy still not ready", Kind::NotReady),
            ("istio-proxy ready", Kind::Ready),
            ("proxy container started", Kind::Opens),
            ("capture in force (istio-init exited)", Kind::Opens),
            ("istio-proxy ended (Error)", Kind::Opens),
            ("app started", Kind::Other),
        ] {
            assert_eq!(kind(what), want, "{what}");
        }
    }

    fn span(points: &[(u32, &str, Precision)]) -> Option<(u32, u32, Option<u32>)> {
        let second = |n: u32| format!("2026-11-23T10:00:{n:02}Z");
        let entries: Vec<TimelineEntry> = points
            .iter()
            .map(|&(at, what, precision)| TimelineEntry {
                at: Some(second(at)),
                until: None,
                precision,
                what: what.into(),
                source: String::new(),
            })
            .collect();
        let points: Vec<Point<'_>> = entries.iter().map(Point::new).collect();
        let back = |at: Timestamp| at.strftime("%S").to_string().parse::<u32>().expect("seconds");
        window(&points).map(|w| (back(w.from), back(w.to), w.ready.map(back)))
    }

    #[test]
    fn the_window_is_the_one_with_errors_in_it() {
        use Precision::{Exact, NotAfter, NotBefore, Second};
        let first = [(0, "istio-proxy started", Second), (3, "istio-proxy ready", Exact)];
        assert_eq!(span(&first), Some((0, 3, Some(3))));
        let restarted = [
            first[0],
            first[1],
            (20, "istio-proxy ended (OOMKilled)", Second),
            (21, "istio-proxy started again", Second),
            (22, "first refused connection", Exact),
            (25, "istio-proxy ready again", Exact),
        ];
        assert_eq!(span(&restarted), Some((20, 25, Some(25))));
        let lower_bound = [
            first[0],
            (1, "first refused connection", Exact),
            (43, "istio-proxy ready (last failed probe)", NotBefore),
        ];
        assert_eq!(span(&lower_bound), Some((0, 43, None)));
        let upper_bound = [lower_bound[0], lower_bound[1], (9, "istio-proxy ready", NotAfter)];
        assert_eq!(span(&upper_bound), Some((0, 0, Some(9))));
        assert_eq!(span(&[(5, "container app started", Second)]), None);
        assert_eq!(span(&[]), None);
    }
}
