//! When a certificate begins and ceases to be good: two dates of its DER (RFC 5280, 4.1.2.5).
//! Everything else about it is verified by whoever is shown it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time for which a certificate is good, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
}

impl Validity {
    /// Reads it from a certificate; `None` where the bytes are none.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let (certificate, _) = element(der, SEQUENCE)?;
        let (mut rest, _) = element(certificate, SEQUENCE)?;
        if let Some((_, after)) = element(rest, VERSION) {
            rest = after;
        }
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            // Serial number, signature algorithm, issuer.
            (_, rest) = element(rest, tag)?;
        }
        let (dates, _) = element(rest, SEQUENCE)?;
        let (not_before, rest) = time(dates)?;
        let (not_after, _) = time(rest)?;
        Some(Self { not_before, not_after })
    }

    /// Why it is not good at this time; `None` where it is.
    #[must_use]
    pub fn problem(&self, now: SystemTime) -> Option<&'static str> {
        let now = seconds(now);
        if now > self.not_after {
            return Some("expired");
        }
        (now < self.not_before).then_some("not valid yet")
    }

    /// What is left of it, in seconds; negative once it is over.
    #[must_use]
    pub fn left(&self, now: SystemTime) -> i64 {
        self.not_after.saturating_sub(seconds(now))
    }
}

fn seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The content of an element with this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |n, digit| n << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A time in either of the two forms, and what follows it.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest, years) = match element(bytes, UTC_TIME) {
        Some((text, rest)) => (text, rest, 2),
        None => {
            let (text, rest) = element(bytes, GENERALIZED_TIME)?;
            (text, rest, 4)
        }
    };
    let (digits, [b'Z']) = text.split_at_checked(years + 10)? else { return None };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |part: &[u8]| part.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0'));
    let (year, parts) = digits.split_at(years);
    let year = match (years, number(year)) {
        (2, year @ 0..50) => 2000 + year,
        (2, year) => 1900 + year,
        (_, year) => year,
    };
    let part = |at: usize| number(&parts[at..at + 2]);
    let (month, day, hour, minute, second) = (part(0), part(2), part(4), part(6), part(8));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let at = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((at, rest))
}

/// Days since 1970 in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the odd day of a leap year is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn made(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_dates_are_read() {
        for (from, until, want) in [
            ((2020, 2, 29), (2024, 3, 1), (1_582_934_400, 1_709_251_200)),
            ((1970, 1, 1), (2049, 12, 31), (0, 2_524_521_600)),
            ((2050, 1, 1), (4096, 1, 1), (2_524_608_000, 67_090_118_400)),
        ] {
            let found = Validity::of(&made(from, until)).unwrap();
            assert_eq!((found.not_before, found.not_after), want, "{from:?}");
        }
    }

    #[test]
    fn before_within_and_after() {
        let validity = Validity { not_before: 100, not_after: 200 };
        let at = |s| UNIX_EPOCH + Duration::from_secs(s);
        assert_eq!(validity.problem(at(99)), Some("not valid yet"));
        assert_eq!((validity.problem(at(100)), validity.problem(at(200))), (None, None));
        assert_eq!((validity.problem(at(201)), validity.left(at(201))), (Some("expired"), -1));
    }

    #[test]
    fn what_is_no_certificate_is_none_and_no_panic() {
        let good = made((2020, 1, 1), (2030, 1, 1));
        for end in 0..good.len() {
            let _ = Validity::of(&good[..end]);
        }
        assert_eq!(Validity::of(&[]), None);
        let mut state = 7u64;
        for _ in 0..50_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut bad = good.clone();
            bad[usize::try_from(state >> 33).unwrap() % 160] = state.to_le_bytes()[2];
            let _ = Validity::of(&bad);
        }
    }
}
