//! How options of the lab write a length of time.

use std::time::Duration;

/// `300ms`, `30s`, `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    let parsed = units.iter().find_map(|(unit, ms)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_millis(number * ms))
    });
    parsed.ok_or_else(|| format!("\"{text}\" is not a time such as 300ms, 30s or 2m"))
}
