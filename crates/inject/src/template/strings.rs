//! Functions that templates call: the part of sprig that injection templates use.
//!
//! # Sources
//! <https://masterminds.github.io/sprig/>

use std::collections::HashMap;

use gtmpl_ng::{FuncError, Value as Go};

use super::args::{Answer, arg, items, refuse, text};
use crate::go;

/// What sprig calls empty.
fn is_empty(value: &Go) -> bool {
    match value {
        Go::NoValue | Go::Nil => true,
        Go::Bool(b) => !*b,
        Go::String(s) => s.is_empty(),
        Go::Number(n) => n.as_f64() == Some(0.0),
        Go::Array(a) => a.is_empty(),
        Go::Map(m) | Go::Object(m) => m.is_empty(),
        Go::Function(_) => false,
    }
}

pub(super) fn number(value: &Go) -> Result<i64, FuncError> {
    let found = match value {
        Go::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
        Go::String(s) => s.trim().parse().ok(),
        Go::Bool(b) => Some(i64::from(*b)),
        Go::NoValue | Go::Nil => Some(0),
        _ => None,
    };
    found.map_or_else(|| refuse(format!("{value} is no number")), Ok)
}

pub(super) fn default(args: &[Go]) -> Answer {
    let value = arg(args, 1);
    Ok(if is_empty(value) { arg(args, 0).clone() } else { value.clone() })
}

pub(super) fn empty(args: &[Go]) -> Answer {
    Ok(is_empty(arg(args, 0)).into())
}

pub(super) fn coalesce(args: &[Go]) -> Answer {
    Ok(args.iter().find(|v| !is_empty(v)).cloned().unwrap_or(Go::Nil))
}

pub(super) fn ternary(args: &[Go]) -> Answer {
    let yes = matches!(arg(args, 2), Go::Bool(true));
    Ok(arg(args, usize::from(!yes)).clone())
}

/// Go's `%q`, which for the texts of manifests is JSON's string.
pub(super) fn quote(args: &[Go]) -> Answer {
    let there = args.iter().filter(|v| !matches!(v, Go::NoValue | Go::Nil));
    let quoted = there.map(|v| serde_json::Value::String(text(v)).to_string());
    Ok(quoted.collect::<Vec<_>>().join(" ").into())
}

pub(super) fn squote(args: &[Go]) -> Answer {
    let there = args.iter().filter(|v| !matches!(v, Go::NoValue | Go::Nil));
    Ok(there.map(|v| format!("'{}'", text(v))).collect::<Vec<_>>().join(" ").into())
}

pub(super) fn nindent(args: &[Go]) -> Answer {
    let width = usize::try_from(number(arg(args, 0))?.clamp(0, 1000)).unwrap_or(0);
    let gap = format!("\n{}", " ".repeat(width));
    Ok(format!("{gap}{}", text(arg(args, 1)).replace('\n', &gap)).into())
}

pub(super) fn join(args: &[Go]) -> Answer {
    let parts: Vec<String> = match arg(args, 1) {
        Go::Array(items) => items.iter().map(text).collect(),
        Go::NoValue | Go::Nil => Vec::new(),
        other => vec![text(other)],
    };
    Ok(parts.join(&text(arg(args, 0))).into())
}

pub(super) fn split_list(args: &[Go]) -> Answer {
    let (separator, whole) = (text(arg(args, 0)), text(arg(args, 1)));
    Ok(Go::Array(whole.split(&separator).map(Go::from).collect()))
}

pub(super) fn trunc(args: &[Go]) -> Answer {
    let (count, whole) = (number(arg(args, 0))?, text(arg(args, 1)));
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= 0 {
        return Ok(go::truncate(&whole, size).into());
    }
    let skip = whole.chars().count().saturating_sub(size);
    Ok(whole.chars().skip(skip).collect::<String>().into())
}

pub(super) fn trim(args: &[Go]) -> Answer {
    Ok(text(arg(args, 0)).trim().into())
}

pub(super) fn trim_all(args: &[Go]) -> Answer {
    let set = text(arg(args, 0));
    Ok(text(arg(args, 1)).trim_matches(|c| set.contains(c)).into())
}

pub(super) fn trim_prefix(args: &[Go]) -> Answer {
    let whole = text(arg(args, 1));
    Ok(whole.strip_prefix(&text(arg(args, 0))).unwrap_or(&whole).into())
}

pub(super) fn trim_suffix(args: &[Go]) -> Answer {
    let whole = text(arg(args, 1));
    Ok(whole.strip_suffix(&text(arg(args, 0))).unwrap_or(&whole).into())
}

pub(super) fn has_prefix(args: &[Go]) -> Answer {
    Ok(text(arg(args, 1)).starts_with(&text(arg(args, 0))).into())
}

pub(super) fn has_suffix(args: &[Go]) -> Answer {
    Ok(text(arg(args, 1)).ends_with(&text(arg(args, 0))).into())
}

pub(super) fn replace(args: &[Go]) -> Answer {
    Ok(text(arg(args, 2)).replace(&text(arg(args, 0)), &text(arg(args, 1))).into())
}

pub(super) fn upper(args: &[Go]) -> Answer {
    Ok(text(arg(args, 0)).to_uppercase().into())
}

pub(super) fn lower(args: &[Go]) -> Answer {
    Ok(text(arg(args, 0)).to_lowercase().into())
}

pub(super) fn to_string(args: &[Go]) -> Answer {
    Ok(text(arg(args, 0)).into())
}

pub(super) fn to_int(args: &[Go]) -> Answer {
    // Sprig's casts give 0 for what is no number.
    Ok(number(arg(args, 0)).unwrap_or(0).into())
}

pub(super) fn b64enc(args: &[Go]) -> Answer {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text(arg(args, 0)).as_bytes().chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) & 63;
            let used = i <= chunk.len();
            out.push(if used { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    Ok(out.into())
}

fn fold(args: &[Go], step: fn(i64, i64) -> Option<i64>) -> Answer {
    let mut numbers = args.iter().map(number);
    let first = numbers.next().unwrap_or(Ok(0))?;
    let total = numbers.try_fold(first, |a, b| {
        step(a, b?).map_or_else(|| refuse("the result is no 64-bit number"), Ok)
    });
    Ok(total?.into())
}

pub(super) fn add(args: &[Go]) -> Answer {
    fold(args, i64::checked_add)
}

pub(super) fn sub(args: &[Go]) -> Answer {
    fold(args, i64::checked_sub)
}

pub(super) fn mul(args: &[Go]) -> Answer {
    fold(args, i64::checked_mul)
}

pub(super) fn max(args: &[Go]) -> Answer {
    fold(args, |a, b| Some(a.max(b)))
}

pub(super) fn min(args: &[Go]) -> Answer {
    fold(args, |a, b| Some(a.min(b)))
}

pub(super) fn list(args: &[Go]) -> Answer {
    Ok(Go::Array(args.to_vec()))
}

pub(super) fn append(args: &[Go]) -> Answer {
    Ok(Go::Array([items(arg(args, 0)), &[arg(args, 1).clone()]].concat()))
}

pub(super) fn prepend(args: &[Go]) -> Answer {
    Ok(Go::Array([&[arg(args, 1).clone()], items(arg(args, 0))].concat()))
}

pub(super) fn first(args: &[Go]) -> Answer {
    Ok(items(arg(args, 0)).first().cloned().unwrap_or(Go::Nil))
}

pub(super) fn last(args: &[Go]) -> Answer {
    Ok(items(arg(args, 0)).last().cloned().unwrap_or(Go::Nil))
}

pub(super) fn has(args: &[Go]) -> Answer {
    Ok(items(arg(args, 1)).contains(arg(args, 0)).into())
}

pub(super) fn dict(args: &[Go]) -> Answer {
    let pairs = args.chunks(2).map(|pair| (text(arg(pair, 0)), arg(pair, 1).clone()));
    Ok(Go::Map(pairs.collect::<HashMap<_, _>>()))
}

fn entry(args: &[Go]) -> Option<&Go> {
    match arg(args, 0) {
        Go::Map(map) | Go::Object(map) => map.get(&text(arg(args, 1))),
        _ => None,
    }
}

pub(super) fn get(args: &[Go]) -> Answer {
    Ok(entry(args).cloned().unwrap_or_else(|| "".into()))
}

pub(super) fn has_key(args: &[Go]) -> Answer {
    Ok(entry(args).is_some().into())
}

pub(super) fn keys(args: &[Go]) -> Answer {
    let mut keys: Vec<&String> = match arg(args, 0) {
        Go::Map(map) | Go::Object(map) => map.keys().collect(),
        _ => Vec::new(),
    };
    keys.sort_unstable();
    Ok(Go::Array(keys.into_iter().map(|k| Go::from(k.as_str())).collect()))
}

pub(super) fn fail(args: &[Go]) -> Answer {
    refuse(text(arg(args, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(args: &[&str], f: gtmpl_ng::Func) -> String {
        text(&f(&args.iter().map(|a| Go::from(*a)).collect::<Vec<_>>()).unwrap())
    }

    #[test]
    fn base64_pads() {
        for (plain, coded) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj")] {
            assert_eq!(texts(&[plain], b64enc), coded);
        }
    }

    #[test]
    fn canonical_names_are_cut_and_trimmed() {
        let long = Go::from("a".repeat(62) + "-b");
        let cut = trunc(&[Go::from(63), long]).unwrap();
        assert_eq!(text(&trim_all(&[Go::from("-_."), cut]).unwrap()), "a".repeat(62));
    }

    #[test]
    fn sums_refuse_to_overflow() {
        assert!(add(&[Go::from(i64::MAX), Go::from(1)]).is_err());
        assert_eq!(text(&add(&[Go::from(1), Go::from("2")]).unwrap()), "3");
    }
}
