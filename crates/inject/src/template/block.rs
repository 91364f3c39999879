//! Block YAML of a value, as `toYaml` writes it into a template's output. Keys sorted, strings
//! quoted wherever a YAML reader could take them for something else.

use serde_json::Value;

/// The YAML of a value, with a final newline.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn write(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (i, (key, value)) in map.iter().enumerate() {
                if i > 0 {
                    pad(indent, out);
                }
                scalar(key, out);
                out.push(':');
                nested(value, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    pad(indent, out);
                }
                out.push_str("- ");
                write(item, indent + 2, out);
                line_end(out);
            }
        }
        Value::String(text) => scalar(text, out),
        // `{}`, `[]`, numbers, booleans and null are the same in JSON.
        other => out.push_str(&other.to_string()),
    }
}

fn nested(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            pad(indent + 2, out);
            write(value, indent + 2, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            pad(indent, out);
            write(value, indent, out);
        }
        _ => {
            out.push(' ');
            write(value, indent, out);
        }
    }
    line_end(out);
}

fn line_end(out: &mut String) {
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(text: &str, out: &mut String) {
    // Words and paths only; everything else is quoted as JSON, which is YAML too.
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null"
        );
    if plain {
        out.push_str(text);
    } else {
        out.push_str(&Value::String(text.to_owned()).to_string());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for value in [
            json!({"a": {"b": [1, {"c": "d", "e": []}], "f": {}}, "g": null, "h": [[1], ["x"]]}),
            json!({"limits": {"cpu": "2", "memory": "1Gi"}, "yes": "no"}),
            json!({"t": "a: b\n#c", "z": -1.5}),
            json!("100m"),
            json!([]),
        ] {
            let text = to_yaml(&value);
            assert_eq!(crate::yaml::value(&text).unwrap(), value, "{text}");
        }
    }
}
