//! What a text must hold for a pattern to match at all, read off the pattern: searching some hundred
//! literals at once costs less than asking one pattern.
//!
//! # Sources
//! Russ Cox, "Regular Expression Matching with a Trigram Index" (2012), section "Indexed Regular
//! Expression Search"; RE2's `prefilter.cc`, read as facts.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

/// Literals of which one must be there; a set of more of them says too little.
const SET_MAX: usize = 256;
/// Signs of a class that is taken apart.
const SIGNS_MAX: u32 = 8;

type Set = BTreeSet<String>;

/// What is known of a part of a pattern.
struct Part {
    /// All that it can match, in small letters.
    exact: Option<Set>,
    /// Literals of which one is in whatever it matches.
    needs: Option<Set>,
}

/// Literals, in small ASCII letters, of which one is in every text that the pattern matches, once its
/// ASCII letters are small as well; `None` where there are none.
pub(super) fn of(pattern: &str) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let all = part(&hir).best()?;
    // What holds another is found with it.
    let holds = |one: &String| all.iter().any(|other| other != one && one.contains(other.as_str()));
    Some(all.iter().filter(|one| !holds(one)).cloned().collect())
}

/// A small letter for each that a pattern takes for it whatever its case (Unicode's simple folding).
fn folded(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    }
}

impl Part {
    fn unknown(needs: Option<Set>) -> Self {
        Part { exact: None, needs }
    }

    fn best(self) -> Option<Set> {
        better(self.needs, self.exact.filter(says_something))
    }
}

fn says_something(set: &Set) -> bool {
    !set.is_empty() && set.len() <= SET_MAX && !set.contains("")
}

/// The set whose shortest literal is longer: it is found less often by chance.
fn better(a: Option<Set>, b: Option<Set>) -> Option<Set> {
    let worth = |set: &Set| (set.iter().map(String::len).min(), std::cmp::Reverse(set.len()));
    match (a, b) {
        (Some(a), Some(b)) => Some(if worth(&a) >= worth(&b) { a } else { b }),
        (a, b) => a.or(b),
    }
}

fn part(hir: &Hir) -> Part {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {
            Part { exact: Some(Set::from([String::new()])), needs: None }
        }
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok();
            Part::exact(text.map(|text| Set::from([text.chars().map(folded).collect()])))
        }
        HirKind::Class(Class::Unicode(class)) => {
            let signs: u32 =
                class.iter().map(|r| u32::from(r.end()) - u32::from(r.start()) + 1).sum();
            let few = signs <= SIGNS_MAX;
            Part::exact(few.then(|| {
                let signs = class.iter().flat_map(|range| range.start()..=range.end());
                signs.map(|c| folded(c).to_string()).collect()
            }))
        }
        HirKind::Class(Class::Bytes(_)) => Part::unknown(None),
        HirKind::Capture(capture) => part(&capture.sub),
        HirKind::Repetition(repeated) => {
            let inner = part(&repeated.sub);
            match (repeated.min, repeated.max) {
                (0, Some(1)) => Part::exact(inner.exact.map(|mut set| {
                    set.insert(String::new());
                    set
                })),
                (0, _) => Part::unknown(None),
                (1, Some(1)) => inner,
                _ => Part::unknown(inner.best()),
            }
        }
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => {
            let parts: Vec<Part> = parts.iter().map(part).collect();
            let exact: Option<Set> =
                parts.iter().map(|part| part.exact.clone()).try_fold(Set::new(), |mut all, one| {
                    all.extend(one?);
                    (all.len() <= SET_MAX).then_some(all)
                });
            let needs = parts.into_iter().try_fold(Set::new(), |mut all, one| {
                all.extend(one.best()?);
                (all.len() <= SET_MAX).then_some(all)
            });
            Part { exact, needs }
        }
    }
}

impl Part {
    fn exact(exact: Option<Set>) -> Self {
        Part { exact, needs: None }
    }
}

/// Parts in a row: what they can be together as long as that is few, and the best of what they need.
fn concat(parts: &[Hir]) -> Part {
    let (mut run, mut whole, mut needs) = (Set::from([String::new()]), true, None);
    for hir in parts {
        let next = part(hir);
        let joined =
            next.exact.as_ref().filter(|set| set.len() * run.len() <= SET_MAX).map(|set| {
                run.iter().flat_map(|a| set.iter().map(move |b| format!("{a}{b}"))).collect::<Set>()
            });
        match joined {
            Some(joined) => run = joined,
            None => {
                whole = false;
                needs = better(needs, Some(run).filter(says_something));
                run = match &next.exact {
                    Some(set) => set.clone(),
                    None => Set::from([String::new()]),
                };
                needs = better(needs, next.best());
            }
        }
    }
    if whole {
        return Part { exact: Some(run), needs };
    }
    Part::unknown(better(needs, Some(run).filter(says_something)))
}

#[cfg(test)]
mod tests {
    use super::of;

    fn needs(pattern: &str) -> String {
        of(pattern).map_or("nothing".to_owned(), |all| all.join(" "))
    }

    #[test]
    fn literals_are_read_off_a_pattern() {
        for (pattern, want) in [
            ("abc", "abc"),
            ("(?i)Token", "token"),
            ("a?bcd", "bcd"),
            ("[0-9]+-----BEGIN [A-Z]+-----", "-----begin "),
            ("(?:x|yy)[=:]", "x: x= yy: yy="),
            ("(?:ab)+c", "ab"),
            ("(?:ab)*", "nothing"),
            ("[a-z]+|abc", "nothing"),
            (r"\bhost(?:name)?[=:]\s", "host: host= hostname: hostname="),
            ("", "nothing"),
        ] {
            assert_eq!(needs(pattern), want, "{pattern}");
        }
    }
}
