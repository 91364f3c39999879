//! What functions take of their arguments, and how they refuse them.

use gtmpl_ng::{FuncError, Value as Go};

pub(super) type Answer = Result<Go, FuncError>;

pub(super) static NOTHING: Go = Go::NoValue;

/// The argument at a position; absent ones are no value, as Go's templates have it.
pub(super) fn arg(args: &[Go], at: usize) -> &Go {
    args.get(at).unwrap_or(&NOTHING)
}

/// Go's `fmt.Sprint` of an argument.
pub(super) fn text(value: &Go) -> String {
    match value {
        Go::String(s) => s.clone(),
        Go::NoValue | Go::Nil => String::new(),
        other => other.to_string(),
    }
}

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, FuncError> {
    Err(FuncError::Generic(why.into()))
}

pub(super) fn items(value: &Go) -> &[Go] {
    match value {
        Go::Array(items) => items,
        _ => &[],
    }
}
