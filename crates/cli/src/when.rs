//! Times as people type them: RFC 3339, a date, or how long ago.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

/// A time as it was given and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// As it was typed, for commands to repeat.
    pub(crate) text: String,
    /// The instant, counted back from now where it was relative.
    pub(crate) at: Timestamp,
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = parse_from(text, Timestamp::now())?;
        Ok(When { text: text.trim().to_owned(), at })
    }
}

/// A length of time as an option takes it: `90s`, `10m`, `1h30m`.
pub(crate) fn length(text: &str) -> Result<std::time::Duration, String> {
    let length = duration(text).and_then(|length| length.try_into().ok());
    length.ok_or_else(|| format!("`{text}` is not a time such as 90s, 10m or 1h30m"))
}

fn parse_from(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    // A date alone is its first instant in UTC, the zone that logs and events are in.
    if text.len() == 10
        && let Ok(at) = format!("{text}T00:00:00Z").parse::<Timestamp>()
    {
        return Ok(at);
    }
    if let Some(ago) = duration(text) {
        return now.checked_sub(ago).map_err(|_| format!("`{text}` ago is out of range"));
    }
    if format!("{text}Z").parse::<Timestamp>().is_ok() {
        return Err(format!("`{text}` has no time zone: add Z for UTC, or an offset as +02:00"));
    }
    Err(format!("`{text}` is neither RFC 3339 (2026-11-23T10:41:15Z), a date, nor 30m, 2h, 3d"))
}

/// `90s`, `30m`, `2h`, `3d`, `1w`, and sums such as `1h30m`.
fn duration(text: &str) -> Option<SignedDuration> {
    let mut seconds: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|&n| n > 0)?;
        let count: i64 = rest[..digits].parse().ok()?;
        let scale = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        seconds = seconds.checked_add(count.checked_mul(scale)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then(|| SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<String, String> {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        parse_from(text, now).map(|at| at.to_string())
    }

    #[test]
    fn every_form_gives_its_instant() {
        for (text, want) in [
            ("2020-03-31T10:41:15.552128897Z", "2020-03-31T10:41:15.552128897Z"),
            ("2020-03-31T12:41:15+02:00", "2020-03-31T10:41:15Z"),
            ("2020-03-31", "2020-03-31T00:00:00Z"),
            ("2h", "2026-11-23T10:00:00Z"),
            ("1h30m", "2026-11-23T10:30:00Z"),
            ("3d", "2026-11-20T12:00:00Z"),
            ("90s", "2026-11-23T11:58:30Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_the_way_out() {
        for text in ["", "soon", "h", "2", "2x", "2026-13-01", "99999999999999999999d", "2hö"] {
            assert!(at(text).unwrap_err().contains("RFC 3339"), "{text}");
        }
        assert!(at("999999999w").unwrap_err().contains("out of range"));
        assert!(at("2020-03-31T10:41:15").unwrap_err().contains("add Z"));
    }
}
