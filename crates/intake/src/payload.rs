//! The text of a structured log entry: its message and whatever else says what went wrong.

use serde_json::{Map, Value};

use crate::export::stamp;
use crate::time;

/// Fields that hold the message, best first.
const MESSAGE: &[&str] =
    &["message", "msg", "log", "text", "short_message", "MESSAGE", "@message", "Message", "body"];

/// Fields (by a part of their name, any case) that say what went wrong.
const TROUBLE: &[&str] =
    &["err", "exception", "stack", "cause", "reason", "trace", "detail", "fault", "failure"];

/// Fields that hold the time, best first.
const TIME: &[&str] =
    &["time", "timestamp", "ts", "@timestamp", "t", "eventTime", "datetime", "date", "Timestamp"];

/// How deep payloads are searched.
const DEPTH_MAX: usize = 8;

/// The message; the errors, exceptions and stacks beside it, however deep; and any other text
/// that `telling` picks. The whole payload as compact JSON where there is no message.
pub(crate) fn text(payload: &Map<String, Value>, telling: &dyn Fn(&str) -> bool) -> String {
    let Some((key, message)) = message(payload) else {
        return Value::Object(payload.clone()).to_string();
    };
    let mut parts = Parts { text: message.trim_end().to_owned(), telling };
    for (name, value) in payload {
        if name != key {
            parts.add(value, is_trouble(name), 0);
        }
    }
    parts.text
}

/// Whether a payload has a message of its own.
pub(crate) fn has_message(payload: &Map<String, Value>) -> bool {
    message(payload).is_some()
}

fn message(payload: &Map<String, Value>) -> Option<(&'static str, &str)> {
    MESSAGE.iter().find_map(|key| {
        let text = payload.get(*key)?.as_str()?;
        (!text.trim().is_empty()).then_some((*key, text))
    })
}

/// Whether a field of that name says what went wrong.
pub(crate) fn is_trouble(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TROUBLE.iter().any(|part| name.contains(part))
}

struct Parts<'t> {
    text: String,
    telling: &'t dyn Fn(&str) -> bool,
}

impl Parts<'_> {
    fn add(&mut self, value: &Value, trouble: bool, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match value {
            Value::String(text) if trouble || (self.telling)(text) => self.push(text),
            Value::Object(map) => {
                // An error without a message of its own: its fields (code, address) are what
                // there is, and they belong together.
                if trouble && message(map).is_none() && map.values().all(|v| !v.is_object()) {
                    self.push(&value.to_string());
                    return;
                }
                if let Some((key, text)) = message(map).filter(|_| trouble) {
                    self.push(text);
                    for (inner, v) in map.iter().filter(|(inner, _)| *inner != key) {
                        self.add(v, is_trouble(inner), depth + 1);
                    }
                    return;
                }
                for (inner, v) in map {
                    self.add(v, trouble || is_trouble(inner), depth + 1);
                }
            }
            Value::Array(items) => {
                // A list of bare names is a setting (`retryOn: [ECONNREFUSED]`), no report.
                let bare = |v: &Value| v.as_str().is_some_and(|s| !s.contains(char::is_whitespace));
                for item in items.iter().filter(|item| !bare(item)) {
                    self.add(item, trouble, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() || self.text.contains(text) {
            return;
        }
        // A stack begins with the message that has just been said; it starts a line of its own.
        self.text.push_str(if text.contains('\n') { "\n" } else { ": " });
        self.text.push_str(text);
    }
}

/// When a structured entry says it was written: RFC 3339, or seconds, milliseconds, micro- or
/// nanoseconds since 1970.
pub(crate) fn at(payload: &Map<String, Value>) -> Option<jiff::Timestamp> {
    TIME.iter().find_map(|key| match payload.get(*key)? {
        Value::String(text) => {
            time::parse(text).or_else(|| time::of_text(text)).or_else(|| stamp::epoch(text))
        }
        Value::Number(number) => epoch(number),
        _ => None,
    })
}

fn epoch(number: &serde_json::Number) -> Option<jiff::Timestamp> {
    // A whole number keeps its nanoseconds; a double holds today's time to a quarter of a
    // microsecond.
    stamp::epoch(&number.to_string()).or_else(|| {
        let seconds = number.as_f64().filter(|n| (1e9..1e11).contains(n))?;
        jiff::Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> String {
        let Ok(Value::Object(map)) = serde_json::from_str(json) else { panic!("{json}") };
        text(&map, &|t| t.contains("refused"))
    }

    #[test]
    fn errors_beside_the_message_are_kept() {
        assert_eq!(of(r#"{"msg":"up","level":"info"}"#), "up");
        assert_eq!(
            of(r#"{"msg":"cannot","error":"dial tcp 10.0.0.1:1: connect: connection refused"}"#),
            "cannot: dial tcp 10.0.0.1:1: connect: connection refused"
        );
        assert_eq!(
            of(r#"{"message":"x","err":{"message":"connect ECONNREFUSED 10.0.0.1:1","code":"E"}}"#),
            "x: connect ECONNREFUSED 10.0.0.1:1"
        );
        assert_eq!(
            of(r#"{"message":"x","err":{"code":"ECONNREFUSED","port":1}}"#),
            r#"x: {"code":"ECONNREFUSED","port":1}"#
        );
        assert_eq!(of(r#"{"msg":"x","upstream":{"say":["was refused"]}}"#), "x: was refused");
        assert_eq!(of(r#"{"msg":"a: b","error":"b"}"#), "a: b");
        assert_eq!(of(r#"{"status":"refused"}"#), r#"{"status":"refused"}"#);
        assert_eq!(of("{\"msg\":\"x\",\"stack\":\"x\\n at y\"}"), "x\nx\n at y");
    }

    #[test]
    fn times_in_seconds_to_nanoseconds() {
        let Ok(want) = "2020-03-31T10:41:15.5Z".parse::<jiff::Timestamp>() else { panic!() };
        for number in ["1585651275.5", "1585651275500", "1585651275500000", "1585651275500000000"] {
            let Ok(Value::Object(map)) = serde_json::from_str(&format!("{{\"ts\":{number}}}"))
            else {
                panic!("{number}")
            };
            assert_eq!(at(&map), Some(want), "{number}");
        }
    }
}
