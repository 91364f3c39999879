//! Times as log services write them into their exports: any order of day, month and year, halves
//! of the day, names of months, seconds to nanoseconds since 1970, with a zone or without one.
//!
//! Knows how a time is written; whose zone an unnamed one is, [`Dates`] says, which learns it
//! from messages that bear a time of their own.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// A cell longer than this is no time.
const LENGTH_MAX: usize = 64;

/// A time as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// With its zone, or counted since 1970.
    Instant(Timestamp),
    /// As a clock showed it; nothing says where the clock hung.
    Clock(DateTime),
}

/// How the unsaid part of a file's times is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dates {
    /// The zone of times that name none.
    pub(crate) offset: Offset,
    /// `13/11` is a day of November and so is `12/11`.
    pub(crate) day_first: bool,
    /// How the zone is known.
    pub(crate) known: Known,
}

/// How well a zone is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// The file says it.
    Said,
    /// Messages that name a zone were written at the times of their rows.
    Learnt,
    /// Nothing says it.
    Assumed,
}

impl Default for Dates {
    fn default() -> Self {
        Dates { offset: Offset::UTC, day_first: false, known: Known::Assumed }
    }
}

impl Dates {
    /// A cell as an instant.
    pub(crate) fn at(&self, cell: &str) -> Option<Timestamp> {
        match read(cell, self.day_first)? {
            Stamp::Instant(at) => Some(at),
            Stamp::Clock(civil) => self.offset.to_timestamp(civil).ok(),
        }
    }

    /// Whether the zone of a cell is not known.
    pub(crate) fn assumes(&self, cell: &str) -> bool {
        let unsaid = || matches!(read(cell, self.day_first), Some(Stamp::Clock(_)));
        self.known == Known::Assumed && unsaid()
    }

    /// Reads the dates of `rows` (a cell, and the time that its message gives with a zone) in
    /// either order and takes the order and the zone that fit.
    pub(crate) fn learn<'r>(
        said: Option<Offset>,
        rows: impl Iterator<Item = (&'r str, Option<Timestamp>)> + Clone,
    ) -> Dates {
        let hints: Vec<bool> = rows.clone().filter_map(|(cell, _)| is_day_first(cell)).collect();
        let mut best = Dates {
            offset: said.unwrap_or(Offset::UTC),
            day_first: !hints.is_empty() && !hints.contains(&false),
            known: if said.is_some() { Known::Said } else { Known::Assumed },
        };
        let mut most = 0;
        for day_first in [best.day_first, !best.day_first] {
            for (offset, votes) in offsets(rows.clone(), day_first) {
                let fits = said.is_none_or(|said| said == offset);
                if votes > most && fits {
                    most = votes;
                    let known = if said.is_some() { Known::Said } else { Known::Learnt };
                    best = Dates { offset, day_first, known };
                }
            }
        }
        best
    }
}

/// The zones in which a row's time and its message's are the same, with how many rows say so.
fn offsets<'r>(
    rows: impl Iterator<Item = (&'r str, Option<Timestamp>)>,
    day_first: bool,
) -> Vec<(Offset, usize)> {
    const QUARTER: i64 = 15 * 60;
    // What is between writing a line and taking it in.
    const SLACK: i64 = 90;
    let mut found: Vec<(Offset, usize)> = Vec::new();
    for (cell, own) in rows {
        let (Some(Stamp::Clock(civil)), Some(own)) = (read(cell, day_first), own) else { continue };
        let Ok(shown) = Offset::UTC.to_timestamp(civil) else { continue };
        let apart = shown.duration_since(own).as_secs();
        let quarters = (apart + QUARTER / 2).div_euclid(QUARTER) * QUARTER;
        // From the Line Islands to the Aleutians.
        if (apart - quarters).abs() > SLACK || !(-12 * 3600..=14 * 3600).contains(&quarters) {
            continue;
        }
        let offset = i32::try_from(quarters).ok().and_then(|s| Offset::from_seconds(s).ok());
        let Some(offset) = offset else { continue };
        match found.iter_mut().find(|(known, _)| *known == offset) {
            Some((_, votes)) => *votes += 1,
            None => found.push((offset, 1)),
        }
    }
    found
}

/// A whole cell as a time; `None` where it is none.
pub(crate) fn read(cell: &str, day_first: bool) -> Option<Stamp> {
    let text = cell.trim().trim_matches(['"', '\'']).trim();
    if text.is_empty() || text.len() > LENGTH_MAX {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return epoch(text).map(Stamp::Instant);
    }
    if let Ok(at) = text.parse() {
        return Some(Stamp::Instant(at));
    }
    let clock = clock_at(text)?;
    let (time, rest) = time_of_day(&text[clock..])?;
    let (zone, rest) = zone(rest)?;
    let mut date = Date::default();
    date.words(&text[..clock])?;
    // `Wed Nov 13 09:14:00 2024`
    date.words(rest)?;
    let (year, month, day) = date.order(day_first || date.dotted, time.halved)?;
    let civil =
        DateTime::new(year, month, day, time.hour, time.minute, time.second, time.nanos).ok()?;
    match zone {
        Some(offset) => offset.to_timestamp(civil).ok().map(Stamp::Instant),
        None => Some(Stamp::Clock(civil)),
    }
}

/// Whether day or month comes first, where one of them is no month.
fn is_day_first(cell: &str) -> Option<bool> {
    let text = cell.trim().trim_matches(['"', '\'']);
    let mut date = Date::default();
    date.words(text.get(..clock_at(text)?)?)?;
    match date.numbers.as_slice() {
        [(a, 1..=2), (b, _), (_, 4)] if date.month.is_none() => match (*a > 12, *b > 12) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Seconds, milli-, micro- or nanoseconds since 1970, to the last digit.
pub(crate) fn epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !(10..=19).contains(&whole.len()) || fraction.len() > 12 {
        return None;
    }
    let number: i128 = whole.parse().ok()?;
    // Today has ten digits of seconds; what is below 2001 is no time of a log.
    let (unit, digits) = match whole.len() {
        10 | 11 => (1_000_000_000, 9),
        12..=14 => (1_000_000, 6),
        15..=17 => (1_000, 3),
        _ => (1, 0),
    };
    let mut nanos = number.checked_mul(unit)?;
    if !fraction.is_empty() {
        let kept: String = fraction.chars().chain("000000000".chars()).take(digits).collect();
        nanos += if digits == 0 { 0 } else { kept.parse::<i128>().ok()? };
    }
    Timestamp::from_nanosecond(nanos).ok()
}

/// Where hours and minutes begin.
fn clock_at(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let colons = memchr::memchr_iter(b':', bytes);
    for colon in colons {
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        if colon == 0 || !digit(colon - 1) || !digit(colon + 1) || !digit(colon + 2) {
            continue;
        }
        let start = if colon >= 2 && digit(colon - 2) { colon - 2 } else { colon - 1 };
        // `13/Nov/2024:09:14:00`: the first colon stands behind a year.
        if start > 0 && digit(start - 1) {
            continue;
        }
        return Some(start);
    }
    None
}

struct Time {
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    halved: bool,
}

/// `9:14`, `09:14:00.390`, `9:14:00 PM`; and what stands behind.
fn time_of_day(text: &str) -> Option<(Time, &str)> {
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| -> Option<(i8, usize)> {
        let len = text.bytes().take_while(u8::is_ascii_digit).count();
        (digits.contains(&len)).then(|| text[..len].parse().ok().map(|n| (n, len)))?
    };
    let (mut hour, len) = number(text, 1..=2)?;
    let rest = text[len..].strip_prefix(':')?;
    let (minute, len) = number(rest, 2..=2)?;
    let mut rest = &rest[len..];
    let (mut second, mut nanos) = (0, 0);
    if let Some(seconds) = rest.strip_prefix(':') {
        let (n, len) = number(seconds, 2..=2)?;
        second = n;
        rest = &seconds[len..];
        let fraction = rest.strip_prefix(['.', ',', ':']).unwrap_or_default();
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let kept: String =
                fraction[..digits].chars().chain("00000000".chars()).take(9).collect();
            nanos = kept.parse().ok()?;
            rest = &fraction[digits..];
        }
    }
    let word = rest.trim_start_matches([' ', '\u{a0}', '\u{202f}']);
    let half = word.get(..2).map(str::to_ascii_lowercase);
    let behind = word.get(2..).unwrap_or_default();
    let ends = !behind.starts_with(|c: char| c.is_ascii_alphanumeric());
    let halved = ends && matches!(half.as_deref(), Some("am" | "pm"));
    if halved {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + if half.as_deref() == Some("pm") { 12 } else { 0 };
        rest = behind;
    }
    Some((Time { hour, minute, second, nanos, halved }, rest))
}

/// Names of zones that mean one offset wherever they are written. `IST`, `CST` and `BST` do not.
const ZONES: &[(&str, i32)] = &[
    ("UTC", 0),
    ("GMT", 0),
    ("WET", 0),
    ("Z", 0),
    ("WEST", 60),
    ("CET", 60),
    ("MEZ", 60),
    ("CEST", 120),
    ("MESZ", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("JST", 540),
    ("KST", 540),
    ("AEST", 600),
    ("AEDT", 660),
    ("EST", -300),
    ("EDT", -240),
    ("PST", -480),
    ("PDT", -420),
];

/// Names of zones that mean several offsets, or whose offset is not known here.
const UNSURE: &[&str] = &["IST", "CST", "CDT", "BST", "MST", "MDT", "SGT"];

/// Whether a text begins with the name of a zone that says no offset.
pub(crate) fn is_unsure(text: &str) -> bool {
    let text = text.trim_start();
    let word = &text[..text.bytes().take_while(u8::is_ascii_alphabetic).count()];
    UNSURE.contains(&word)
}

/// The zone that a text begins with, if any, and what stands behind; `None` for one that is
/// named and could mean several.
fn zone(text: &str) -> Option<(Option<Offset>, &str)> {
    let text = text.trim_start();
    let word = &text[..text.bytes().take_while(u8::is_ascii_alphabetic).count()];
    let rest = &text[word.len()..];
    let minutes = match word {
        "" => 0,
        _ => ZONES.iter().find(|(name, _)| *name == word)?.1,
    };
    let sign = match rest.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ if word.is_empty() => return Some((None, rest)),
        _ => return Some((Some(Offset::from_seconds(minutes * 60).ok()?), rest)),
    };
    let digits: String = rest[1..].chars().filter(|c| *c != ':').collect();
    let len = digits.bytes().take_while(u8::is_ascii_digit).count();
    let (hours, past) = match len {
        1 | 2 => (digits[..len].parse::<i32>().ok()?, 0),
        4 => (digits[..2].parse::<i32>().ok()?, digits[2..4].parse::<i32>().ok()?),
        _ => return None,
    };
    let offset = Offset::from_seconds(minutes * 60 + sign * (hours * 3600 + past * 60)).ok()?;
    let used = rest[1..].bytes().take_while(|b| b.is_ascii_digit() || *b == b':').count();
    Some((Some(offset), &rest[1 + used..]))
}

/// A zone by itself, as the heads of columns name one.
pub(crate) fn offset(text: &str) -> Option<Offset> {
    zone(text).filter(|(_, rest)| rest.trim().is_empty())?.0
}

/// How months begin in English, German, French, Spanish, Italian, Portuguese and Dutch: none begins two
/// of them.
const MONTHS: [&[&str]; 12] = [
    &["jan", "ene", "gen"],
    &["feb", "fev", "fév"],
    &["mar", "mär", "maa", "mrt"],
    &["apr", "avr", "abr"],
    &["may", "mai", "mei", "mag"],
    &["jun", "juin", "giu"],
    &["jul", "juil", "lug"],
    &["aug", "aoû", "aou", "ago"],
    &["sep", "set"],
    &["oct", "okt", "ott", "out"],
    &["nov"],
    &["dec", "dez", "dic", "déc"],
];
const DAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A time in front of a text, with a date in whatever order and language, where nothing about it is
/// ambiguous: `30.11.2026 21:41:41,645`, `2026年11月30日 21:41:41`, `30 nov. 2026 21:41`.
pub(crate) fn leading(text: &str) -> Option<Stamp> {
    let text = text.trim_start_matches(['[', '(', '<', '"', '\'', ' ']);
    let mut end = text.len().min(LENGTH_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = &text[..end];
    // Cheap: most lines of a log begin in another way.
    if !head.contains("20") || !head.starts_with(|c: char| c.is_ascii_digit() || c.is_alphabetic())
    {
        return None;
    }
    let clock = clock_at(head)?;
    let (time, rest) = time_of_day(&head[clock..])?;
    let mut date = Date::default();
    date.words(&head[..clock])?;
    let sure = date.month.is_some() || date.dotted || date.numbers.first()?.1 == 4;
    let (year, month, day) =
        date.order(date.dotted, time.halved).filter(|_| sure || is_day_first(head).is_some())?;
    let civil =
        DateTime::new(year, month, day, time.hour, time.minute, time.second, time.nanos).ok()?;
    if is_unsure(rest) {
        return None;
    }
    // Any word may follow; only a zone is one.
    match zone(rest).and_then(|(zone, _)| zone) {
        Some(offset) => offset.to_timestamp(civil).ok().map(Stamp::Instant),
        None => Some(Stamp::Clock(civil)),
    }
}

/// The parts of a date in their order.
#[derive(Default)]
struct Date {
    numbers: Vec<(i16, usize)>,
    month: Option<i8>,
    dotted: bool,
}

impl Date {
    /// Takes numbers, months and days of the week; any other word is no part of a date.
    fn words(&mut self, text: &str) -> Option<()> {
        let cut =
            |c: char| !c.is_alphanumeric() || matches!(c, '年' | '月' | '日' | '년' | '월' | '일');
        for part in text.split(cut).filter(|p| !p.is_empty()) {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let word = part[digits..].to_lowercase();
            if digits > 0 {
                let ordinal = matches!(word.as_str(), "" | "st" | "nd" | "rd" | "th" | "t");
                if !ordinal || digits > 4 || self.numbers.len() > 2 {
                    return None;
                }
                self.numbers.push((part[..digits].parse().ok()?, digits));
                continue;
            }
            let begins = |name: &&str| word.starts_with(*name);
            let month = MONTHS.iter().position(|names| names.iter().any(begins));
            match (month, DAYS.iter().find(|name| begins(name))) {
                (Some(month), _) if self.month.is_none() => {
                    self.month = i8::try_from(month + 1).ok();
                }
                (None, Some(_)) => {}
                // `2024-11-13T` and Kibana's `@` leave these behind.
                _ if matches!(word.as_str(), "t" | "at") => {}
                _ => return None,
            }
        }
        self.dotted |= text.contains('.') && self.month.is_none();
        Some(())
    }

    /// Year, month and day.
    fn order(&self, day_first: bool, halved: bool) -> Option<(i16, i8, i8)> {
        let small = |n: i16| i8::try_from(n).ok();
        let long = |at: usize| self.numbers.get(at).is_some_and(|(_, digits)| *digits == 4);
        let number = |at: usize| self.numbers.get(at).map(|(n, _)| *n);
        if let Some(month) = self.month {
            return match self.numbers.len() {
                2 if long(1) => Some((number(1)?, month, small(number(0)?)?)),
                2 if long(0) => Some((number(0)?, month, small(number(1)?)?)),
                _ => None,
            };
        }
        let (a, b, c) = (number(0)?, number(1)?, number(2)?);
        match (long(0), long(2)) {
            (true, false) => Some((a, small(b)?, small(c)?)),
            // Where halves of the day are written, the month comes first, but for days that
            // can't be months.
            (false, true) if (day_first && !halved) || a > 12 => Some((c, small(b)?, small(a)?)),
            (false, true) => Some((c, small(a)?, small(b)?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cell: &str) -> String {
        match read(cell, false) {
            Some(Stamp::Instant(at)) => at.to_string(),
            Some(Stamp::Clock(civil)) => format!("{civil} somewhere"),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn times_of_log_services() {
        for (cell, want) in [
            ("2024-11-13T09:14:00.39Z", "2024-11-13T09:14:00.39Z"),
            ("2024-11-13T09:14:00.390+0000", "2024-11-13T09:14:00.39Z"),
            ("2024-11-13T10:14:00+01:00", "2024-11-13T09:14:00Z"),
            ("2024-11-13 10:14:00.390 CET", "2024-11-13T09:14:00.39Z"),
            ("2024-11-13 09:14:00.390 UTC", "2024-11-13T09:14:00.39Z"),
            ("2024-11-13 09:14:00 GMT+0", "2024-11-13T09:14:00Z"),
            ("2024-11-13 09:14:00.390", "2024-11-13T09:14:00.39 somewhere"),
            ("2024/11/13 09:14:00,390", "2024-11-13T09:14:00.39 somewhere"),
            // Letters of several bytes: two bytes of them are no half of the day.
            ("2024-11-13 09:14:00\u{fffd}\u{fffd}", "2024-11-13T09:14:00 somewhere"),
            ("11/13/2024, 9:14:00.390 AM", "2024-11-13T09:14:00.39 somewhere"),
            ("11/13/2024, 9:14:00.390\u{202f}PM", "2024-11-13T21:14:00.39 somewhere"),
            ("11/13/2024 12:14:00 AM", "2024-11-13T00:14:00 somewhere"),
            ("13/11/2024 09:14:00", "2024-11-13T09:14:00 somewhere"),
            ("13.11.2024, 09:14:00,390", "2024-11-13T09:14:00.39 somewhere"),
            ("2.1.2024 09:14", "2024-01-02T09:14:00 somewhere"),
            ("Nov 13, 2024 @ 09:14:00.390", "2024-11-13T09:14:00.39 somewhere"),
            ("November 13th 2024, 09:14:00.390", "2024-11-13T09:14:00.39 somewhere"),
            ("13/Nov/2024:09:14:00 +0000", "2024-11-13T09:14:00Z"),
            ("Wed, 13 Nov 2024 09:14:00 +0000", "2024-11-13T09:14:00Z"),
            ("Wed Nov 13 09:14:00 2024", "2024-11-13T09:14:00 somewhere"),
            ("1731489240", "2024-11-13T09:14:00Z"),
            ("1731489240.390", "2024-11-13T09:14:00.39Z"),
            ("1731489240390", "2024-11-13T09:14:00.39Z"),
            ("1731489240390123", "2024-11-13T09:14:00.390123Z"),
            ("1731489240390123456", "2024-11-13T09:14:00.390123456Z"),
        ] {
            assert_eq!(shown(cell), want, "{cell}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for cell in [
            "",
            "-",
            "9:14",
            "2024-11-13",
            "31/31/2024 09:14:00",
            "13/13/2024 09:14:00",
            "2024-11-13 25:14:00",
            "2024-11-13 09:14:00 IST",
            "version 2024-11-13 09:14:00",
            "13:14:00 PM 1/2/2024",
            "10.0.0.1:8080",
            "1731489",
            "99999999999999999999",
            "10:00:00 é",
            "é10:00:00 1 2 2024",
            "é 10:00:00",
            &"9".repeat(5000),
        ] {
            assert_eq!(shown(cell), "none", "{cell}");
        }
    }

    #[test]
    fn times_in_front_of_a_line_in_several_languages() {
        let shown = |text: &str| match leading(text) {
            Some(Stamp::Instant(at)) => at.to_string(),
            Some(Stamp::Clock(civil)) => format!("{civil}"),
            None => "none".to_owned(),
        };
        for text in [
            "30.11.2026 21:41:41,645 FATAL x",
            "[30.11.2026 21:41:41.645] x",
            "30. November 2026 21:41:41.645 x",
            "30 nov. 2026 21:41:41,645 x",
            "2026年11月30日 21:41:41.645 x",
            "2026년 11월 30일 21:41:41.645 x",
            "30/11/2026 21:41:41.645 x",
            "11/30/2026, 9:41:41.645 PM x",
            "Nov 30, 2026 @ 21:41:41.645 x",
            "30/Nov/2026:21:41:41.645 x",
        ] {
            assert_eq!(shown(text), "2026-11-30T21:41:41.645", "{text}");
        }
        let zoned = "30/Nov/2026:22:41:41 +0100] \"GET / HTTP/1.1\" 200";
        assert_eq!(shown(zoned), "2026-11-30T21:41:41Z");
        assert_eq!(shown("30. Nov. 2026 22:41:41 MEZ x"), "2026-11-30T21:41:41Z");
        for month in ["3. März 2026", "3 mars 2026", "3. Mär. 2026", "2026/3/3", "3 maart 2026"] {
            assert_eq!(shown(&format!("{month} 09:14:00 x")), "2026-03-03T09:14:00", "{month}");
        }
        for text in [
            // Whose day and month are not known.
            "05/11/2026 21:41:41 x",
            "21:41:41 x",
            "since 30.11.2026 21:41:41 it is refused",
            "10.0.0.1:8080 2026",
            "30.11.2026 x",
            "",
        ] {
            assert_eq!(shown(text), "none", "{text}");
        }
    }

    #[test]
    fn order_and_zone_are_learnt_from_the_messages() {
        let own = |text: &str| text.parse::<Timestamp>().ok();
        let rows = [
            ("05/11/2024 10:14:00", own("2024-11-05T09:14:00.2Z")),
            ("05/11/2024 10:14:09", None),
            ("05/11/2024 10:15:00", own("2024-11-05T09:14:59.9Z")),
        ];
        let dates = Dates::learn(None, rows.iter().copied());
        assert_eq!((dates.day_first, dates.known), (true, Known::Learnt));
        assert_eq!(dates.at(rows[1].0).map(|t| t.to_string()), Some("2024-11-05T09:14:09Z".into()));
        let unsaid = Dates::learn(None, [("5/11/2024 1:00:00 PM", None)].into_iter());
        assert_eq!((unsaid.day_first, unsaid.known), (false, Known::Assumed));
        assert_eq!(
            unsaid.at("5/11/2024 1:00:00 PM").map(|t| t.to_string()),
            Some("2024-05-11T13:00:00Z".into())
        );
        let thirteenth = [("02/11/2024 10:14:00", None), ("13/11/2024 10:14:00", None)];
        assert!(Dates::learn(None, thirteenth.into_iter()).day_first);
    }
}
