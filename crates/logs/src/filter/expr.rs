//! A parsed filter as a tree, and its canonical spelling. Knows no entries and no syntax errors.

use std::fmt;
use std::ops::Range;

use ipnet::IpNet;
use regex::Regex;

use super::lex::Op;
use super::schema::{Path, Type};
use super::search_text::Query;
use super::value::Value;

#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a filter has a handful of nodes")]
pub(crate) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Test(Test),
}

#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// A value alone: any field has it.
    Global(Value),
    Compare {
        operand: Operand,
        op: Op,
        value: Value,
        span: Range<usize>,
    },
    /// `=~` and `!~`.
    Regex {
        operand: Operand,
        negated: bool,
        pattern: String,
        regex: Regex,
    },
    /// `field:*`
    Present(Path),
    InNet {
        path: Path,
        net: IpNet,
    },
    /// The part of the log's name behind `/logs/`, decoded.
    LogId(String),
    /// `projects/ID` and its like.
    Source(String),
    Sample {
        path: Path,
        fraction: f64,
    },
    Search {
        path: Option<Path>,
        query: Query,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Operand {
    Field(Path),
    Extract { of: Box<Operand>, pattern: String, regex: Regex },
    Cast { of: Box<Operand>, to: CastType, zone: Option<jiff::tz::TimeZone>, zone_name: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CastType {
    Text,
    Int,
    Float,
    Bool,
    Time,
    Duration,
}

pub(crate) const CAST_TYPES: [(&str, CastType); 6] = [
    ("STRING", CastType::Text),
    ("INT64", CastType::Int),
    ("FLOAT64", CastType::Float),
    ("BOOL", CastType::Bool),
    ("TIMESTAMP", CastType::Time),
    ("DURATION", CastType::Duration),
];

impl Operand {
    /// The type that values are converted to, as far as it is declared.
    pub(crate) fn declared(&self) -> Option<Type> {
        match self {
            Operand::Field(path) => Some(path.kind),
            Operand::Extract { .. } => Some(Type::Text),
            Operand::Cast { to, .. } => match to {
                CastType::Text => Some(Type::Text),
                CastType::Int => Some(Type::Int),
                CastType::Bool => Some(Type::Bool),
                CastType::Time => Some(Type::Time),
                CastType::Duration => Some(Type::Duration),
                CastType::Float => None,
            },
        }
    }
}

/// A text in quotes with the escapes it needs.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                c if c.is_control() && u32::from(c) < 0x100 => {
                    write!(f, "\\x{:02x}", u32::from(c))?;
                }
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// A regular expression in quotes: only quotes and backslashes are escaped there.
struct Pattern<'a>(&'a str);

impl fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, part) in self.parts.iter().enumerate() {
            f.write_str(if n > 0 { "." } else { "" })?;
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
            match !part.is_empty() && part.chars().all(plain) {
                true => f.write_str(part)?,
                false => write!(f, "{}", Quoted(part))?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.null {
            true => f.write_str("NULL_VALUE"),
            false => write!(f, "{}", Quoted(&self.text)),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Field(path) => write!(f, "{path}"),
            Operand::Extract { of, pattern, .. } => {
                write!(f, "regexp_extract({of}, {})", Pattern(pattern))
            }
            Operand::Cast { of, to, zone, zone_name } => {
                let name = CAST_TYPES.iter().find(|(_, kind)| kind == to).map_or("", |(n, _)| n);
                write!(f, "cast({of}, {name}")?;
                if zone.is_some() {
                    write!(f, ", TIMEZONE({})", Quoted(zone_name))?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::Global(value) => write!(f, "{value}"),
            Test::Compare { operand, op, value, .. } => {
                write!(f, "{operand}{}{value}", op.symbol())
            }
            Test::Regex { operand, negated, pattern, .. } => {
                write!(f, "{operand}{}{}", if *negated { "!~" } else { "=~" }, Pattern(pattern))
            }
            Test::Present(path) => write!(f, "{path}:*"),
            Test::InNet { path, net } => write!(f, "ip_in_net({path}, \"{net}\")"),
            Test::LogId(id) => write!(f, "log_id({})", Quoted(id)),
            Test::Source(source) => write!(f, "source({})", Quoted(source)),
            Test::Sample { path, fraction } => write!(f, "sample({path}, {fraction})"),
            Test::Search { path: None, query } => write!(f, "SEARCH({})", Quoted(&query.source)),
            Test::Search { path: Some(path), query } => {
                write!(f, "SEARCH({path}, {})", Quoted(&query.source))
            }
        }
    }
}

impl fmt::Display for Expr {
    /// Every group is parenthesised, so that nobody has to remember which operator binds tighter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (items, word) = match self {
            Expr::Test(test) => return write!(f, "{test}"),
            Expr::Not(inner) => return write!(f, "NOT {inner}"),
            Expr::And(items) => (items, " AND "),
            Expr::Or(items) => (items, " OR "),
        };
        f.write_str("(")?;
        for (n, item) in items.iter().enumerate() {
            f.write_str(if n > 0 { word } else { "" })?;
            write!(f, "{item}")?;
        }
        f.write_str(")")
    }
}
