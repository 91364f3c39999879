//! The right-hand side of a comparison: one written text and everything it can be taken for.

use jiff::Timestamp;

use crate::text::Folded;

/// Severities with their numbers, as the type LogSeverity defines them.
pub(crate) const SEVERITIES: [(&str, i64); 9] = [
    ("DEFAULT", 0),
    ("DEBUG", 100),
    ("INFO", 200),
    ("NOTICE", 300),
    ("WARNING", 400),
    ("ERROR", 500),
    ("CRITICAL", 600),
    ("ALERT", 700),
    ("EMERGENCY", 800),
];

/// A written value. A comparison converts it to the type of the field it meets.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) folded: Folded,
    /// Written as the bare word `NULL_VALUE`.
    pub(crate) null: bool,
    pub(crate) number: Option<Number>,
    pub(crate) boolean: Option<bool>,
    pub(crate) severity: Option<i64>,
    pub(crate) time: Option<Timestamp>,
    /// Nanoseconds.
    pub(crate) duration: Option<i128>,
}

/// A number, exact where it is a whole one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

impl Value {
    pub(crate) fn new(text: String, quoted: bool) -> Self {
        Self {
            folded: Folded::new(&text),
            null: !quoted && text == "NULL_VALUE",
            number: number(&text),
            boolean: boolean(&text),
            severity: severity(&text),
            time: timestamp(&text),
            duration: duration(&text),
            text,
        }
    }
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "doubles are what the language compares")]
    pub(crate) fn float(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }

    pub(crate) fn order(self, other: Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }
}

pub(crate) fn number(text: &str) -> Option<Number> {
    if let Ok(value) = text.parse::<i128>() {
        return Some(Number::Int(value));
    }
    // Rust also takes "inf" and "infinity", in any letter case; the language names the latter.
    let digits = text.trim_start_matches(['+', '-']);
    let word = ["nan", "infinity"].iter().any(|word| word.eq_ignore_ascii_case(digits));
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    (word || numeric).then(|| text.parse().ok().map(Number::Float)).flatten()
}

pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The number of a severity, by name or by number.
pub(crate) fn severity(text: &str) -> Option<i64> {
    let named = SEVERITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, number)| *number).or_else(|| text.parse().ok())
}

/// `3.2s`, `-100ms`: a decimal number and a unit. In nanoseconds.
pub(crate) fn duration(text: &str) -> Option<i128> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let scale: i128 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(scale)?;
    let mut weight = scale;
    for digit in fraction.bytes() {
        weight /= 10;
        nanos = nanos.checked_add(i128::from(digit - b'0') * weight)?;
    }
    Some(if negative { -nanos } else { nanos })
}

/// RFC 3339, or a shorter ISO 8601 form of which the missing parts are at their beginning:
/// `2020-03-31` is midnight UTC, as the language's reference says.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    // No single-digit months, no basic format, no weeks: what is not plainly a date is none.
    if !(digits(0..4) && bytes.get(4) == Some(&b'-') && digits(5..7)) {
        return None;
    }
    let full = match bytes.len() {
        7 => format!("{text}-01T00:00:00Z"),
        10 => format!("{text}T00:00:00Z"),
        _ => {
            if !matches!(bytes.get(10), Some(b'T' | b't')) {
                return None;
            }
            let (date, clock) = (text.get(..11)?, text.get(11..)?);
            let zone = clock.find(['Z', 'z', '+', '-']);
            let (clock, zone) = clock.split_at(zone.unwrap_or(clock.len()));
            let clock = match clock.len() {
                2 => format!("{clock}:00:00"),
                5 => format!("{clock}:00"),
                _ => clock.to_owned(),
            };
            format!("{date}{clock}{}", if zone.is_empty() { "Z" } else { zone })
        }
    };
    full.parse().ok()
}

/// RFC 3339 in UTC with no more digits than needed, in threes, as the JSON form has them.
pub(crate) fn duration_text(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let (seconds, rest) =
        (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    let mut fraction = format!("{rest:09}");
    while fraction.ends_with("000") {
        fraction.truncate(fraction.len() - 3);
    }
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{seconds}{dot}{fraction}s")
}
