//! What a scalar's text means to Kubernetes, and when a string may stand without quotes.
//! Knows single scalars only.
//!
//! # Sources
//! `sigs.k8s.io/yaml`, `goyaml.v2/resolve.go` (a YAML 1.1 resolver).

use serde_json::{Number, Value};

/// The value of a plain (unquoted, untagged) scalar. Infinities and NaN, which JSON can't hold
/// and Kubernetes refuses, stay text.
pub(crate) fn resolve(text: &str) -> Value {
    let Some(&first) = text.as_bytes().first() else { return Value::Null };
    match first {
        b'~' | b'n' | b'N' | b'y' | b'Y' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' => {
            word(text).unwrap_or_else(|| Value::String(text.to_owned()))
        }
        b'0'..=b'9' | b'+' | b'-' | b'.' => {
            number(text).unwrap_or_else(|| Value::String(text.to_owned()))
        }
        _ => Value::String(text.to_owned()),
    }
}

fn word(text: &str) -> Option<Value> {
    Some(match text {
        "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ => return None,
    })
}

fn number(text: &str) -> Option<Value> {
    let stripped;
    let plain = if text.contains('_') {
        stripped = text.replace('_', "");
        &stripped
    } else {
        text
    };
    integer(plain).or_else(|| yaml_float(plain).then(|| float(plain)).flatten())
}

/// Go's `ParseInt(s, 0, 64)`, then `ParseUint`: 0x, 0o, 0b and a leading 0 name the base.
fn integer(plain: &str) -> Option<Value> {
    let (negative, signed, digits) = match plain.as_bytes().first()? {
        b'-' => (true, true, &plain[1..]),
        b'+' => (false, true, &plain[1..]),
        _ => (false, false, plain),
    };
    let bytes = digits.as_bytes();
    let (radix, body) = match (bytes.first()?, bytes.get(1)) {
        (b'0', Some(b'x' | b'X')) => (16, &digits[2..]),
        (b'0', Some(b'o' | b'O')) => (8, &digits[2..]),
        (b'0', Some(b'b' | b'B')) => (2, &digits[2..]),
        (b'0', Some(_)) => (8, &digits[1..]),
        _ => (10, digits),
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(body, radix).ok()?;
    if negative {
        let value = 0i64.checked_sub_unsigned(magnitude)?;
        return Some(Value::Number(value.into()));
    }
    // ParseUint takes no sign.
    if signed && i64::try_from(magnitude).is_err() {
        return None;
    }
    Some(Value::Number(magnitude.into()))
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn yaml_float(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    rest = &rest[whole..];
    if let Some(after) = rest.strip_prefix('.') {
        let fraction = digits(after);
        if whole == 0 && fraction == 0 {
            return false;
        }
        rest = &after[fraction..];
    } else if whole == 0 {
        return false;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

/// As the value looks once Go has written it as JSON: a whole number loses its fraction.
fn float(text: &str) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value: f64 = text.parse().ok()?;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "within 2^53, checked above")]
        return Some(Value::Number((value as i64).into()));
    }
    Number::from_f64(value).map(Value::Number)
}

/// The value of a scalar with a core-schema tag such as `!!str`; other tags leave the text.
pub(crate) fn tagged(core: Option<&str>, text: &str) -> Value {
    match core {
        Some("int" | "float" | "bool" | "null") => resolve(text),
        _ => Value::String(text.to_owned()),
    }
}

/// The text a scalar key has in JSON; `None` where Kubernetes refuses such a key.
pub(crate) fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

/// Where a plain scalar is going to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Block,
    Flow,
}

/// Whether a string may be written without quotes and still be that string to any YAML reader.
/// Errs on the side of quotes.
pub(crate) fn plain_is_safe(text: &str, place: Place) -> bool {
    let Some(first) = text.chars().next() else { return false };
    // Anything that starts like a number, a sign, a dot or an indicator gets quotes, but for
    // paths and names such as `/data`; no number or time has a slash, so `10.0.0.0/8` is none.
    let network = first.is_ascii_digit() && text.contains('/');
    if !(first.is_ascii_alphabetic() || first == '/' || first == '_' || network) {
        return false;
    }
    let good = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, ' ' | '_' | '.' | '/' | '-' | '+' | '=' | '@' | '%' | '(' | ')' | ':')
            || matches!(c, ';' | '~' | '^' | '$' | '*' | '\'')
            || (place == Place::Block && c == ',')
    };
    let misread = text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains("  ")
        || (place == Place::Flow && text.contains(':'))
        || text.eq_ignore_ascii_case("null");
    text.chars().all(good) && !misread && resolve(text).is_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_mean_what_kubernetes_reads() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("Null", json!(null)),
            ("yes", json!(true)),
            ("y", json!(true)),
            ("Off", json!(false)),
            ("oFF", json!("oFF")),
            ("0777", json!(511)),
            ("0o17", json!(15)),
            ("08", json!(8)),
            ("0x1F", json!(31)),
            ("-0x1F", json!(-31)),
            ("0b101", json!(5)),
            ("1_000", json!(1000)),
            ("+12", json!(12)),
            ("1e3", json!(1000)),
            ("1.5", json!(1.5)),
            ("1.", json!(1)),
            (".5", json!(0.5)),
            ("-.5", json!(-0.5)),
            (".inf", json!(".inf")),
            (".", json!(".")),
            ("-", json!("-")),
            ("1:30", json!("1:30")),
            ("1.2.3", json!("1.2.3")),
            ("2020-03-31", json!("2020-03-31")),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("100m", json!("100m")),
            ("1e", json!("1e")),
            (".5_0", json!(0.5)),
            ("0x", json!("0x")),
        ] {
            assert_eq!(resolve(text), value, "{text:?}");
        }
    }

    #[test]
    fn strings_that_could_be_something_else_get_quotes() {
        for text in [
            "",
            "0",
            "true",
            "y",
            "No",
            "1e3",
            "null",
            "nULL",
            "0777",
            "1:30",
            "~",
            "a: b",
            "a #b",
            "*x",
            "&x",
            "!x",
            "- a",
            "{a",
            "[a",
            "%a",
            "@a",
            "`a",
            "a:",
            " a",
            "a ",
            "'a",
            "a\nb",
            "10.0.0.0",
            "-",
            ".5",
            "é",
            "a\tb",
            "2020-03-31",
            "<<",
            "=",
            "?",
            "|",
            ">",
        ] {
            assert!(!plain_is_safe(text, Place::Block), "{text:?}");
        }
        for text in [
            "abc",
            "10.0.0.0/8, 1.2.3.4/32",
            "net.ipv4.ip_unprivileged_port_start",
            "/data",
            "http://x:80/y",
        ] {
            assert!(plain_is_safe(text, Place::Block), "{text:?}");
        }
        assert!(!plain_is_safe("a,b", Place::Flow));
    }
}
