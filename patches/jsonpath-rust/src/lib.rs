//! JSON paths as far as kube's client asks for them: the place of a token in what a credential
//! plugin of an old kind prints (`$.credential.access_token`).
//!
//! Stands in for the crate of this name, which brings a parser generator and eleven crates, and
//! can't be left out by a feature. What it doesn't know it refuses; it knows no clusters.

use std::fmt;

use serde_json::Value;

/// A path that is more than names and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPlain(String);

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: only names and numbers are known, as in $.a.b[0]['c']", self.0)
    }
}

impl std::error::Error for NotPlain {}

/// Values that can be asked by a path.
pub trait JsonPath {
    /// What lies at a path: one value or none.
    ///
    /// # Errors
    /// The path is more than names and numbers.
    fn query(&self, path: &str) -> Result<Vec<&Value>, NotPlain>;
}

impl JsonPath for Value {
    fn query(&self, path: &str) -> Result<Vec<&Value>, NotPlain> {
        let steps = steps(path).ok_or_else(|| NotPlain(path.to_owned()))?;
        let found = steps.into_iter().try_fold(self, |at, step| match step {
            Step::Name(name) => at.as_object()?.get(name),
            Step::Number(number) => at.as_array()?.get(number),
        });
        Ok(found.into_iter().collect())
    }
}

enum Step<'p> {
    Name(&'p str),
    Number(usize),
}

fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let step;
        (step, rest) = if let Some(bracket) = rest.strip_prefix('[') {
            bracketed(bracket)?
        } else {
            let named = rest.strip_prefix('.')?;
            let end = named.find(['.', '[']).unwrap_or(named.len());
            let (name, rest) = named.split_at(end);
            let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(plain) {
                return None;
            }
            (Step::Name(name), rest)
        };
        steps.push(step);
    }
    Some(steps)
}

/// What stands behind an opening bracket, and the rest of the path.
fn bracketed(text: &str) -> Option<(Step<'_>, &str)> {
    for quote in ['\'', '"'] {
        if let Some(name) = text.strip_prefix(quote) {
            let (name, rest) = name.split_once(quote)?;
            return Some((Step::Name(name), rest.strip_prefix(']')?));
        }
    }
    let (number, rest) = text.split_once(']')?;
    Some((Step::Number(number.parse().ok()?), rest))
}
