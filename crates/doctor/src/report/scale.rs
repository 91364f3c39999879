//! Steps and labels of an axis of seconds.

/// Steps that people count in, seconds.
pub(super) const STEPS: [f64; 22] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0,
    120.0, 300.0, 600.0, 1800.0, 3600.0, 21_600.0,
];

/// `+0.55s`, `+43s`, `-1m05s`, `+2h03m`, `+3d04h`; `0s` for none.
pub(super) fn offset_text(seconds: f64, fine: bool) -> String {
    let sign = if seconds < 0.0 { "-" } else { "+" };
    let size = seconds.abs();
    if size < 60.0 {
        let text = match fine {
            true if size < 0.1 => format!("{size:.3}"),
            true if size < 10.0 => format!("{size:.2}"),
            true => format!("{size:.1}"),
            false => format!("{size:.0}"),
        };
        let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
        return if zero { "0s".to_owned() } else { format!("{sign}{text}s") };
    }
    let whole = size.round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600, whole / 60);
    if days > 0 {
        format!("{sign}{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{sign}{hours}h{:02}m", minutes % 60)
    } else {
        format!("{sign}{minutes}m{:02}s", whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_read_well_at_every_size() {
        for (seconds, fine, want) in [
            (0.0, true, "0s"),
            (0.552, true, "+0.55s"),
            (0.0521, true, "+0.052s"),
            (-2.1, true, "-2.10s"),
            (43.0, false, "+43s"),
            (65.4, true, "+1m05s"),
            (7380.0, true, "+2h03m"),
            (-273_600.0, true, "-3d04h"),
        ] {
            assert_eq!(offset_text(seconds, fine), want);
        }
    }
}
