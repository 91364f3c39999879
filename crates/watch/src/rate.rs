//! So many in a time, not all at once for ever after a pause.

use std::time::Duration;

/// A bucket that fills slowly: `burst` at once, and one more each time `every` has passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    burst: u32,
    every: Duration,
    left: u32,
    /// Since when the bucket fills.
    since: Duration,
}

impl Rate {
    /// So many in each stretch of time, and as many at once. None is a rate as well.
    #[must_use]
    pub fn new(many: u32, time: Duration) -> Rate {
        let every = if many == 0 { Duration::MAX } else { time / many };
        Rate { burst: many, every, left: many, since: Duration::ZERO }
    }

    /// Takes one, where there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        self.fill(now);
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }

    /// When there is one; `None` where there never is.
    pub fn next(&mut self, now: Duration) -> Option<Duration> {
        self.fill(now);
        match self.left {
            0 if self.burst == 0 => None,
            0 => Some(self.since + self.every),
            _ => Some(now),
        }
    }

    /// Whether nothing was taken for long.
    pub(crate) fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.left == self.burst
    }

    fn fill(&mut self, now: Duration) {
        while self.left < self.burst && now.saturating_sub(self.since) >= self.every {
            self.left += 1;
            self.since += self.every;
        }
        if self.left == self.burst {
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_then_one_at_a_time_and_no_more_after_a_pause() {
        let mut rate = Rate::new(3, s(30));
        let taken = |rate: &mut Rate, at| (0..9).filter(|_| rate.take(s(at))).count();
        assert_eq!(taken(&mut rate, 100), 3);
        assert_eq!(rate.next(s(101)), Some(s(110)));
        assert_eq!(taken(&mut rate, 109), 0);
        assert_eq!(taken(&mut rate, 115), 1);
        assert_eq!(taken(&mut rate, 121), 1);
        assert_eq!(taken(&mut rate, 100_000), 3);
        let mut none = Rate::new(0, s(60));
        assert_eq!((none.take(s(1_000_000)), none.next(s(1_000_000))), (false, None));
    }
}
