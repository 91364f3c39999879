//! Which seconds of a pod's life a drawing shows, and where in it an instant lies.

use jiff::{SignedDuration, Timestamp};

use crate::report::lanes::{Role, State, Story, TickKind};

/// A pause this long, or this many times as long as all before it, ends what is shown at first.
const PAUSE: SignedDuration = SignedDuration::from_secs(90);
const PAUSE_TIMES: i32 = 4;

/// The seconds that are shown, and what second zero is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct View {
    pub(super) zero: Timestamp,
    pub(super) lo: f64,
    pub(super) hi: f64,
    /// All that is known: how far one can zoom out.
    pub(super) all_lo: f64,
    pub(super) all_hi: f64,
}

impl View {
    /// The part of a pod's life to show first: that in which something failed, else its start.
    pub(super) fn of(story: &Story) -> Option<View> {
        let mut instants = story.instants();
        instants.sort();
        let first_error = story
            .lanes
            .iter()
            .flat_map(|lane| &lane.ticks)
            .filter(|tick| tick.kind == TickKind::Error)
            .filter_map(|tick| tick.at.lo.or(tick.at.hi))
            .min();
        let parts = parts(&instants);
        let holds = |part: &&(Timestamp, Timestamp)| {
            first_error.is_some_and(|at| part.0 <= at && at <= part.1)
        };
        let part = parts.iter().find(holds).or(parts.first())?;
        let zero = zero(story, *part);
        let offset = |at: Timestamp| at.duration_since(zero).as_secs_f64();
        let padded = |from: Timestamp, to: Timestamp| {
            let span = (offset(to) - offset(from)).max(1.0);
            (offset(from) - 0.05 * span, offset(to) + 0.08 * span)
        };
        let (lo, hi) = padded(part.0, part.1);
        let (all_lo, all_hi) = padded(*instants.first()?, *instants.last()?);
        Some(View { zero, lo, hi, all_lo: all_lo.min(lo), all_hi: all_hi.max(hi) })
    }

    pub(super) fn offset(&self, at: Timestamp) -> f64 {
        at.duration_since(self.zero).as_secs_f64()
    }

    pub(super) fn percent(&self, offset: f64) -> f64 {
        (100.0 * (offset - self.lo) / (self.hi - self.lo)).clamp(-1000.0, 1000.0)
    }

    pub(super) fn shows(&self, offset: f64) -> bool {
        (self.lo..=self.hi).contains(&offset)
    }
}

/// A pod's life falls into parts where nothing is known of a long time.
fn parts(instants: &[Timestamp]) -> Vec<(Timestamp, Timestamp)> {
    let mut parts: Vec<(Timestamp, Timestamp)> = Vec::new();
    for &at in instants {
        match parts.last_mut() {
            Some((from, to))
                if at.duration_since(*to) <= PAUSE.max(to.duration_since(*from) * PAUSE_TIMES) =>
            {
                *to = at;
            }
            _ => parts.push((at, at)),
        }
    }
    parts
}

/// Second zero: when the proxy was started, in the part that is shown; else that part's start.
fn zero(story: &Story, part: (Timestamp, Timestamp)) -> Timestamp {
    let proxy = story.lanes.iter().filter(|lane| lane.role == Role::Proxy);
    let starts = proxy.flat_map(|lane| &lane.spans).filter(|s| s.state == State::NotReady);
    let starts = starts.filter_map(|span| span.from.as_ref()?.lo);
    starts.filter(|at| part.0 <= *at && *at <= part.1).min().unwrap_or(part.0)
}
