//! Timestamps in front of log lines, as runtimes, kubectl and applications write them.

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::export::stamp::{self, Stamp};

/// How far into a line an application's own timestamp may begin, behind brackets and a level.
const LEAD_MAX: usize = 40;

/// An RFC 3339 timestamp at the start of `text` and the text behind it.
pub(crate) fn rfc3339(text: &str) -> Option<(Timestamp, &str)> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || bytes[10] != b'T' || !bytes[0].is_ascii_digit() {
        return None;
    }
    let end = bytes
        .iter()
        .take(40)
        .position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b':' | b'.' | b'T' | b'Z'))
        .unwrap_or(bytes.len().min(40));
    let at = parse(&text[..end])?;
    Some((at, &text[end..]))
}

/// A whole text as RFC 3339; `None` where it is none or has no zone.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// The time an application wrote in front of its own message, where there is one: RFC 3339 with
/// `T` or a space, `2024/01/02 15:04:05`, `[2024-01-02 15:04:05,123]`, behind a level, brackets
/// or `time=`. Without a zone UTC is assumed, which is what containers run in.
pub(crate) fn of_text(text: &str) -> Option<Timestamp> {
    let Some((civil, offset)) = leading(text) else {
        return match stamp::leading(text)? {
            Stamp::Instant(at) => Some(at),
            Stamp::Clock(civil) => jiff::tz::Offset::UTC.to_timestamp(civil).ok(),
        };
    };
    offset.unwrap_or(jiff::tz::Offset::UTC).to_timestamp(civil).ok()
}

/// The same, where the time names its zone.
pub(crate) fn zoned(text: &str) -> Option<Timestamp> {
    let (civil, offset) = leading(text)?;
    offset?.to_timestamp(civil).ok()
}

fn leading(text: &str) -> Option<(DateTime, Option<jiff::tz::Offset>)> {
    let bytes = text.as_bytes();
    let mut bare_words = 0;
    for at in 0..bytes.len().min(LEAD_MAX) {
        let byte = bytes[at];
        if byte.is_ascii_digit() {
            return date_time(text, at);
        }
        let before = at.checked_sub(1).map(|b| bytes[b]);
        if byte.is_ascii_alphabetic() {
            // A level, a key or a logger's name; two words without brackets are a sentence.
            bare_words += u32::from(before.is_none_or(|b| matches!(b, b' ' | b'\t')));
            if bare_words > 1 {
                return None;
            }
        } else if !b"[](){}<>\"',=:|-*_. \t#/".contains(&byte) {
            return None;
        }
    }
    None
}

fn date_time(text: &str, at: usize) -> Option<(DateTime, Option<jiff::tz::Offset>)> {
    let b = text.as_bytes().get(at..)?;
    let number = |from: usize, to: usize| -> Option<i16> {
        let digits = b.get(from..to)?;
        digits
            .iter()
            .try_fold(0i16, |n, d| d.is_ascii_digit().then(|| n * 10 + i16::from(*d - b'0')))
    };
    let mark = *b.get(4)?;
    let dated = matches!(mark, b'-' | b'/') && b.get(7) == Some(&mark);
    let timed = b.get(13) == Some(&b':') && b.get(16) == Some(&b':');
    if !dated || !timed || !matches!(b.get(10)?, b'T' | b't' | b' ' | b'_') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let mut end = 19;
    let mut nanos = 0i32;
    if matches!(b.get(19), Some(b'.' | b',')) && b.get(20).is_some_and(u8::is_ascii_digit) {
        end = 20;
        let mut scale = 100_000_000;
        while let Some(digit) = b.get(end).filter(|d| d.is_ascii_digit()) {
            nanos += i32::from(*digit - b'0') * scale;
            scale /= 10;
            end += 1;
        }
    }
    let small = |n: i16| i8::try_from(n).ok();
    let civil = DateTime::new(
        year,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        nanos,
    )
    .ok()?;
    Some((civil, zone(text.get(at + end..)?)?))
}

/// The zone behind a time, if any: `None` for one that is named and not UTC, since names are
/// ambiguous.
fn zone(rest: &str) -> Option<Option<jiff::tz::Offset>> {
    let named = rest.strip_prefix(' ').unwrap_or(rest);
    let word: &str = &named[..named.bytes().take_while(u8::is_ascii_alphabetic).count()];
    if stamp::is_unsure(named) {
        return None;
    }
    if let Some(offset) = Some(word).filter(|w| w.len() > 2).and_then(stamp::offset) {
        return Some(Some(offset));
    }
    let signed =
        if named.len() == rest.len() || named.starts_with(['+', '-']) { named } else { "" };
    let b = signed.as_bytes();
    let digits = |from: usize| -> Option<i32> {
        let pair = b.get(from..from + 2)?;
        pair.iter()
            .all(u8::is_ascii_digit)
            .then(|| i32::from(pair[0] - b'0') * 10 + i32::from(pair[1] - b'0'))
    };
    let sign = match b.first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ if matches!(word, "Z" | "z" | "UTC" | "GMT") => return Some(Some(jiff::tz::Offset::UTC)),
        _ => return Some(None),
    };
    let Some(hours) = digits(1) else { return Some(None) };
    let minutes = digits(if b.get(3) == Some(&b':') { 4 } else { 3 }).unwrap_or(0);
    jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_times_of_applications() {
        let want = "2024-01-02T15:04:05Z";
        for text in [
            "2024-01-02T15:04:05Z x",
            "2024-01-02 15:04:05 x",
            "2024/01/02 15:04:05 x",
            "[2024-01-02 15:04:05] x",
            "INFO 2024-01-02 15:04:05 x",
            "[ERROR] 2024-01-02T15:04:05 x",
            "time=\"2024-01-02T15:04:05Z\" level=info",
            "ts=2024-01-02T16:04:05+01:00 x",
            "E, [2024-01-02T15:04:05 #1] ERROR -- : x",
            "2024-01-02 15:04:05 UTC [1] LOG: x",
            "2024-01-02 17:04:05 +0200 x",
            "2024-01-02 16:04:05 CET x",
            "2024-01-02 16:04:05,000 MEZ x",
            "02.01.2024 15:04:05 x",
            "2024年1月2日 15:04:05 x",
        ] {
            assert_eq!(of_text(text).map(|t| t.to_string()).as_deref(), Some(want), "{text}");
        }
        let comma = of_text("[2024-01-02 15:04:05,123] x").map(|t| t.to_string());
        assert_eq!(comma.as_deref(), Some("2024-01-02T15:04:05.123Z"));
    }

    #[test]
    fn what_is_no_leading_time() {
        for text in [
            "connection refused since yesterday at 2024-01-02 15:04:05",
            "10.0.0.1 - - [x]",
            "2024-01-02 15:04:05 IST x",
            "2024-13-02 15:04:05 x",
            "",
            "é2024",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }
}
