//! Kubernetes quantities (`100m`, `1Gi`, `2`) as numbers.
//!
//! # Sources
//! `k8s.io/apimachinery/pkg/api/resource`: decimal and binary suffixes, exponents.

/// The number that a quantity stands for; `None` where it is none.
pub(crate) fn read(text: &str) -> Option<f64> {
    const SUFFIXES: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let text = text.trim();
    let suffix = SUFFIXES.iter().find(|(s, _)| text.ends_with(s));
    let (number, factor) = match suffix {
        Some((s, factor)) => (&text[..text.len() - s.len()], *factor),
        None => (text, 1.0),
    };
    let plain = number.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let number: f64 = plain.then(|| number.parse().ok()).flatten()?;
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn quantities_are_numbers() {
        for (text, want) in
            [("100m", 0.1), ("2", 2.0), ("1Gi", 1_073_741_824.0), ("0.5", 0.5), ("1e3", 1000.0)]
        {
            let got = read(text).unwrap_or(f64::NAN);
            assert!((got - want).abs() < 1e-9, "{text}: {got}");
        }
        for text in ["", "much", "Gi", "inf", "nan"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
