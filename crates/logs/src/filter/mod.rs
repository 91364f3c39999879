//! Filters of the Cloud Logging query language: parsed once, asked about many entries.
//!
//! Must not know where entries come from. What the language's reference leaves open is decided
//! here as follows: a `:` on an object looks at all values below it and at its keys; texts of a
//! `protoPayload` are compared as numbers, times or durations where both sides are; a text alone
//! is searched for in values, not in keys.
//!
//! # Sources
//! "Logging query language", Google Cloud documentation, with the filtering rules of AIP-160.

mod comparison;
mod cursor;
mod error;
mod eval;
mod expr;
mod function;
mod lex;
mod parse;
pub(crate) mod re2;
mod schema;
mod search_text;
mod value;

use std::fmt;

pub use error::{FilterError, Warning};
pub(crate) use expr::{Expr, Operand, Test};
pub(crate) use lex::Op;
pub(crate) use schema::{Path, Type};
pub(crate) use value::{Number, Value};

use crate::entry::Entry;

/// A parsed filter. Its `Display` form is canonical, with every group in parentheses.
#[derive(Debug, Clone)]
pub struct Filter {
    source: String,
    pub(crate) expr: Option<Expr>,
    warnings: Vec<Warning>,
}

/// A filter that is close to one that found nothing.
#[derive(Debug, Clone)]
pub struct Alternative {
    /// The other filter; its source is the first one's with the difference written in.
    pub filter: Filter,
    /// Why it may be the one that is meant.
    pub why: &'static str,
}

impl Filter {
    /// Parses a filter. The empty one matches every entry.
    ///
    /// # Errors
    /// Where the text is not of the language: with the place, and what to type instead.
    pub fn parse(source: &str) -> Result<Self, FilterError> {
        let (expr, warnings) = parse::parse(source)?;
        Ok(Self { source: source.to_owned(), expr, warnings })
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the entry matches.
    #[must_use]
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        self.expr.as_ref().is_none_or(|expr| eval::matches(expr, entry))
    }

    /// What in the filter is valid but probably means something else than was intended.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Filters to suggest where this one finds nothing but one of them does: Kubernetes events
    /// of a pod belong to the resource type `k8s_pod`, older exports to `container`.
    #[must_use]
    pub fn alternatives(&self) -> Vec<Alternative> {
        let mut places = Vec::new();
        if let Some(expr) = &self.expr {
            container_types(expr, &mut places);
        }
        let with = |kind: &str| {
            let mut source = self.source.clone();
            for place in places.iter().rev() {
                source.replace_range(place.clone(), kind);
            }
            Self::parse(&source).ok()
        };
        if places.is_empty() {
            return Vec::new();
        }
        let pods = "the events of a pod are logged under the resource type k8s_pod";
        let legacy = "older clusters log containers under the resource type container";
        [("\"k8s_pod\"", pods), ("\"container\"", legacy)]
            .into_iter()
            .filter_map(|(kind, why)| Some(Alternative { filter: with(kind)?, why }))
            .collect()
    }
}

/// Where the filter writes `k8s_container` as a resource type.
fn container_types(expr: &Expr, places: &mut Vec<std::ops::Range<usize>>) {
    match expr {
        Expr::And(items) | Expr::Or(items) => {
            items.iter().for_each(|item| container_types(item, places));
        }
        Expr::Test(Test::Compare { operand: Operand::Field(path), op, value, span })
            if path.parts == ["resource", "type"]
                && matches!(op, Op::Eq | Op::Has)
                && value.folded.as_str() == "k8s_container" =>
        {
            places.push(span.clone());
        }
        Expr::Not(_) | Expr::Test(_) => {}
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expr {
            Some(Expr::And(items)) if items.len() > 1 => {
                for (n, item) in items.iter().enumerate() {
                    f.write_str(if n > 0 { " AND " } else { "" })?;
                    write!(f, "{item}")?;
                }
                Ok(())
            }
            Some(expr) => write!(f, "{expr}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
