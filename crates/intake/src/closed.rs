//! What is left of a JSON value that was cut off, made whole again.

use serde_json::value::RawValue;

/// Values within each other, more than any log line has.
const DEPTH_MAX: usize = 64;

/// The value with what is open closed, and without a member that has no value; `None` where too
/// little is left.
pub(crate) fn closed(cut: &[u8]) -> Option<Vec<u8>> {
    let cut = cut.trim_ascii_end();
    let mut open: Vec<u8> = Vec::new();
    let (mut inside, mut escaped) = (false, 0);
    // Behind the last whole member: how far it is, and what was open there.
    let mut whole: Option<(usize, Vec<u8>)> = None;
    for (at, byte) in cut.iter().enumerate() {
        if inside {
            match byte {
                b'\\' if escaped <= at => escaped = at + 2,
                b'"' if escaped <= at => inside = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => inside = true,
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' => drop(open.pop()?),
            b',' => whole = Some((at, open.clone())),
            _ => {}
        }
        if open.len() > DEPTH_MAX {
            return None;
        }
    }
    let with = |text: &[u8], string: bool, open: &[u8]| -> Option<Vec<u8>> {
        let mut value = String::from_utf8_lossy(text).into_owned().into_bytes();
        value.extend(string.then_some(b'"'));
        value.extend(open.iter().rev());
        serde_json::from_slice::<&RawValue>(&value).is_ok().then_some(value)
    };
    // An escape may have been cut in its middle: no more than five bytes of it.
    let near = cut.len().saturating_sub(6);
    let escape = memchr::memrchr(b'\\', &cut[near..]).map(|at| near + at).filter(|_| inside);
    with(cut, inside, &open)
        .or_else(|| with(&cut[..escape?], true, &open))
        .or_else(|| whole.and_then(|(at, open)| with(&cut[..at], false, &open)))
}

#[cfg(test)]
mod tests {
    use super::closed;

    #[test]
    fn what_is_left_of_a_cut_value_is_made_whole() {
        for (cut, whole) in [
            (r#"{"a":1,"b":"conn"#, r#"{"a":1,"b":"conn"}"#),
            (r#"{"a":{"b":["x","y"#, r#"{"a":{"b":["x","y"]}}"#),
            (r#"{"a":1,"b"#, r#"{"a":1}"#),
            (r#"{"a":1,"b":"#, r#"{"a":1}"#),
            (r#"{"a":1,"b":tr"#, r#"{"a":1}"#),
            (r#"{"a":"x\"#, r#"{"a":"x"}"#),
            (r#"{"a":"x\u00"#, r#"{"a":"x"}"#),
            (r#"{"a":"x\\"#, r#"{"a":"x\\"}"#),
            (r#"{"a":"refused …"#, r#"{"a":"refused …"}"#),
        ] {
            let got = closed(cut.as_bytes()).map(|v| String::from_utf8_lossy(&v).into_owned());
            assert_eq!(got.as_deref(), Some(whole), "{cut}");
        }
        for nothing in [r#"{"a"#, "{", "]", "", "nothing"] {
            let got = closed(nothing.as_bytes());
            assert!(got.is_none_or(|v| v == b"{}"), "{nothing}");
        }
    }
}
