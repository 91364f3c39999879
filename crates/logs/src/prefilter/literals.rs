//! The texts that every match of a filter must contain, read off its tree.

use regex_syntax::hir::{Hir, HirKind};

use crate::filter::{Expr, Op, Operand, Path, Test, Type, Value};

/// Groups of which each must be present by at least one of its literals.
type Groups = Vec<Vec<String>>;

/// Alternatives beyond these make a search slower than parsing.
const ALTERNATIVES_MAX: usize = 16;
/// Longer literals are cut: their rarest part is searched for anyway.
const BYTES_MAX: usize = 128;

/// Characters that JSON encoders write as they are. Not `/`, `<`, `>`, `&`, `'`, `=` and `+`,
/// which some escape, and no quotes or backslashes, which all do.
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" -_.:,;()[]{}#%*!?$^~|@".contains(&byte)
}

pub(super) fn required(expr: &Expr) -> Groups {
    of(expr, false)
}

/// What any match of any of the filters contains.
pub(super) fn required_by_any(exprs: &[&Expr]) -> Groups {
    any(exprs.iter().map(|expr| required(expr)))
}

fn of(expr: &Expr, negated: bool) -> Groups {
    match (expr, negated) {
        (Expr::Not(inner), _) => of(inner, !negated),
        (Expr::And(items), false) | (Expr::Or(items), true) => {
            items.iter().flat_map(|item| of(item, negated)).collect()
        }
        (Expr::Or(items), false) | (Expr::And(items), true) => {
            any(items.iter().map(|item| of(item, negated)))
        }
        (Expr::Test(test), false) => test_groups(test),
        // What is absent leaves no trace.
        (Expr::Test(_), true) => Vec::new(),
    }
}

/// One group for a choice: the best group of each branch, put together.
fn any(branches: impl Iterator<Item = Groups>) -> Groups {
    let mut together = Vec::new();
    for branch in branches {
        let Some(best) = branch.into_iter().max_by_key(|group| {
            group.iter().map(|literal| literal.len()).min().unwrap_or_default()
        }) else {
            return Vec::new();
        };
        together.extend(best);
    }
    together.sort();
    together.dedup();
    if together.len() > ALTERNATIVES_MAX { Vec::new() } else { vec![together] }
}

fn test_groups(test: &Test) -> Groups {
    match test {
        Test::Global(value) => match &value.number {
            // A fraction may be written in many ways; whole numbers are found by their digits.
            Some(crate::filter::Number::Float(_)) => Vec::new(),
            _ if value.null => Vec::new(),
            _ => runs(value.folded.as_str()),
        },
        Test::Compare { operand: Operand::Field(path), op, value, .. } => {
            let mut groups = key(path);
            if matches!(op, Op::Eq | Op::Has) && is_text(path, value) {
                groups.extend(runs(value.folded.as_str()));
            }
            groups
        }
        Test::Compare { operand, .. } => innermost(operand),
        Test::Regex { operand, negated, pattern, .. } => {
            let mut groups = innermost(operand);
            if !negated && matches!(operand, Operand::Field(_)) {
                groups.extend(pattern_groups(pattern));
            }
            groups
        }
        Test::Present(path) | Test::InNet { path, .. } | Test::Sample { path, .. } => key(path),
        Test::LogId(id) => {
            runs_of(id, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        Test::Source(source) => runs(source.to_ascii_lowercase().as_str()),
        Test::Search { query, .. } => {
            query.tokens.iter().chain(&query.phrases).flat_map(|text| runs(text)).collect()
        }
    }
}

fn innermost(operand: &Operand) -> Groups {
    match operand {
        Operand::Field(path) => key(path),
        Operand::Extract { of, .. } | Operand::Cast { of, .. } => innermost(of),
    }
}

/// A key of a payload or of labels must be there, spelled as in the path.
fn key(path: &Path) -> Groups {
    let free = matches!(path.kind, Type::Struct) || (path.kind == Type::Text && !path.defaulted);
    match path.parts.last() {
        Some(last) if free && path.parts.len() > path.declared && last.bytes().all(is_plain) => {
            vec![vec![last.to_ascii_lowercase()]]
        }
        _ => Vec::new(),
    }
}

/// Whether the comparison can only be one of texts: a number, a time or a truth value may be
/// written in several ways.
fn is_text(path: &Path, value: &Value) -> bool {
    let other = value.null || value.number.is_some() || value.boolean.is_some();
    match path.kind {
        Type::Text | Type::Labels => !value.null,
        Type::Struct | Type::Message(_) => !other,
        Type::Proto => !other && value.time.is_none() && value.duration.is_none(),
        Type::Int | Type::Bool | Type::Severity | Type::Time | Type::Duration => false,
    }
}

/// The stretches of plain characters in a text: each must be there.
fn runs(text: &str) -> Groups {
    runs_of(text, is_plain)
}

fn runs_of(text: &str, plain: impl Fn(u8) -> bool) -> Groups {
    // What stands in percent encoding stands there in another form than here.
    let encoded = text.contains('%');
    text.as_bytes()
        .split(|byte| !plain(*byte) || (encoded && *byte == b'%'))
        .filter(|run| run.len() > 1)
        .map(|run| {
            let run = &run[..run.len().min(BYTES_MAX)];
            vec![String::from_utf8_lossy(run).to_ascii_lowercase()]
        })
        .collect()
}

/// The texts that every match of a regular expression contains.
fn pattern_groups(pattern: &str) -> Groups {
    let translated = crate::filter::re2::translate(pattern).ok();
    let hir = translated.and_then(|translated| regex_syntax::parse(&translated).ok());
    hir.map(|hir| in_hir(&hir)).unwrap_or_default()
}

fn in_hir(hir: &Hir) -> Groups {
    match hir.kind() {
        HirKind::Capture(capture) => in_hir(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => in_hir(&repetition.sub),
        HirKind::Alternation(branches) => any(branches.iter().map(in_hir)),
        HirKind::Literal(_) | HirKind::Class(_) => {
            let mut run = Vec::new();
            match append(hir, &mut run) {
                true => finish(&mut run).into_iter().collect(),
                false => Vec::new(),
            }
        }
        HirKind::Concat(parts) => {
            let mut groups = Vec::new();
            let mut run = Vec::new();
            for part in parts {
                if append(part, &mut run) {
                    continue;
                }
                groups.extend(finish(&mut run));
                groups.extend(in_hir(part));
            }
            groups.extend(finish(&mut run));
            groups
        }
        HirKind::Repetition(_) | HirKind::Empty | HirKind::Look(_) => Vec::new(),
    }
}

/// Adds a part that stands for one text, letter case aside, to the run.
fn append(hir: &Hir, run: &mut Vec<u8>) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => {
            run.extend(literal.0.iter().map(u8::to_ascii_lowercase));
            true
        }
        // `(?i)k` is a class of K, k and the Kelvin sign; the last is never rejected unseen.
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            let mut chars = class.ranges().iter().flat_map(|range| {
                let small = u32::from(range.end()) - u32::from(range.start()) < 4;
                if small { range.start()..=range.end() } else { '\0'..='\x01' }
            });
            let Some(first) = chars.next().filter(char::is_ascii_alphabetic) else { return false };
            let same = |c: char| {
                c.eq_ignore_ascii_case(&first)
                    || crate::text::fold(c.encode_utf8(&mut [0; 4]))
                        .eq_ignore_ascii_case(first.encode_utf8(&mut [0; 4]))
            };
            if !chars.all(same) {
                return false;
            }
            run.extend(u8::try_from(first.to_ascii_lowercase()));
            true
        }
        HirKind::Capture(capture) => append(&capture.sub, run),
        _ => false,
    }
}

fn finish(run: &mut Vec<u8>) -> Groups {
    let text = String::from_utf8_lossy(&std::mem::take(run)).into_owned();
    runs_plain(&text)
}

/// Literals of a pattern are taken as they are: `%` has no second meaning there.
fn runs_plain(text: &str) -> Groups {
    text.as_bytes()
        .split(|byte| !is_plain(*byte))
        .filter(|run| run.len() > 1)
        .map(|run| vec![String::from_utf8_lossy(&run[..run.len().min(BYTES_MAX)]).into_owned()])
        .collect()
}
