//! Go's ways of reading small values, where Istio's answers depend on them.

/// Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Prometheus' form of a label's name: everything but letters, digits and `_` becomes `_`.
pub(crate) fn sanitize_label(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// Whether a text is a Kubernetes quantity (`100m`, `1.5Gi`, `2e3`).
pub(crate) fn is_quantity(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, suffix) = unsigned.split_at(digits_end.unwrap_or(unsigned.len()));
    let number_ok = number.chars().any(|c| c.is_ascii_digit())
        && number.bytes().filter(|&b| b == b'.').count() <= 1;
    let exponent = |s: &str| {
        s.strip_prefix(['e', 'E']).is_some_and(|e| {
            let e = e.strip_prefix(['+', '-']).unwrap_or(e);
            !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit())
        })
    };
    let known = matches!(
        suffix,
        "" | "n"
            | "u"
            | "m"
            | "k"
            | "M"
            | "G"
            | "T"
            | "P"
            | "E"
            | "Ki"
            | "Mi"
            | "Gi"
            | "Ti"
            | "Pi"
            | "Ei"
    );
    number_ok && (known || exponent(suffix))
}

/// Cuts a string to at most `max` characters.
pub(crate) fn truncate(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_as_kubernetes_reads_them() {
        for good in ["100m", "1", "1.5Gi", "2e3", "+.5", "5.", "1E-2", "0"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", "m", "1 Gi", "1gi", "1.2.3", "1Gi\n", "e3", "0x10", "1e"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }
}
