//! YAML and JSON texts to values: settings, annotations, and what templates render.

use serde_json::Value;
use sunup_yaml::Limits;

use crate::fast;

/// The values of all documents of a text.
pub(crate) fn values(text: &str) -> Result<Vec<Value>, String> {
    let stream = sunup_yaml::read_values(text, &Limits::default());
    match stream.errors.first() {
        Some(error) => Err(error.to_string()),
        None => Ok(stream.documents.into_iter().map(|d| d.value).collect()),
    }
}

/// The value of a text of one document; null where it is empty.
pub(crate) fn value(text: &str) -> Result<Value, String> {
    if let Some(value) = fast::parse(text) {
        return Ok(value);
    }
    let mut all = values(text)?;
    match all.len() {
        0 => Ok(Value::Null),
        1 => Ok(all.swap_remove(0)),
        n => Err(format!("{n} documents where one is meant")),
    }
}
