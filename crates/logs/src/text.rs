//! Comparing texts as the query language does: without regard to letter case and to
//! compatibility variants (NFKC_Casefold). Knows nothing of filters or entries.

use std::borrow::Cow;
use std::cmp::Ordering;

use unicode_normalization::UnicodeNormalization as _;

/// A text in its folded form, kept for comparing it with many others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folded {
    text: String,
    ascii: bool,
}

impl Folded {
    pub(crate) fn new(text: &str) -> Self {
        let text = fold(text).into_owned();
        let ascii = text.is_ascii();
        Self { text, ascii }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// `text`, folded, contains this one.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        if text.is_ascii() {
            return self.ascii && contains_ignore_case(text.as_bytes(), self.text.as_bytes());
        }
        fold(text).contains(&self.text)
    }

    /// How `text`, folded, is ordered against this one.
    pub(crate) fn order_of(&self, text: &str) -> Ordering {
        if text.is_ascii() {
            let lower = text.bytes().map(|byte| byte.to_ascii_lowercase());
            return lower.cmp(self.text.bytes());
        }
        fold(text).as_ref().cmp(&self.text)
    }

    pub(crate) fn equals(&self, text: &str) -> bool {
        if text.is_ascii() {
            return self.text.eq_ignore_ascii_case(text);
        }
        fold(text) == self.text
    }
}

/// `needle` is lower case already.
fn contains_ignore_case(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((&first, rest)) = needle.split_first() else { return true };
    let upper = first.to_ascii_uppercase();
    let Some(room) = haystack.len().checked_sub(rest.len()) else { return false };
    memchr::memchr2_iter(first, upper, &haystack[..room])
        .any(|at| haystack[at + 1..at + 1 + rest.len()].eq_ignore_ascii_case(rest))
}

/// NFKC_Casefold: compatibility forms, letter case and invisible characters are levelled out.
///
/// # Sources
/// Unicode Standard Annex 44 (NFKC_Casefold), which the language's reference names.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        };
    }
    let mut folded = fold_once(text);
    // Folding one form can yield another that folds again; two rounds settle all of Unicode.
    for _ in 0..3 {
        let again = fold_once(&folded);
        if again == folded {
            break;
        }
        folded = again;
    }
    Cow::Owned(folded)
}

fn fold_once(text: &str) -> String {
    let visible = text.chars().filter(|c| !is_ignorable(*c));
    let cased: String = visible.nfkc().flat_map(fold_case).collect();
    cased.chars().filter(|c| !is_ignorable(*c)).nfkc().collect()
}

/// Full case folding by way of the standard library's tables: lower, upper and lower again
/// brings all members of a case pair together. Only the dotless i must keep apart from i.
fn fold_case(c: char) -> impl Iterator<Item = char> {
    let keep = c == 'ı';
    let folded = c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    std::iter::once(c).filter(move |_| keep).chain(folded.filter(move |_| !keep))
}

/// Default_Ignorable_Code_Point: removed by the folding.
fn is_ignorable(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F
        | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFF8 | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
        | 0xE0000..=0xE0FFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_levels_case_and_compatibility_forms() {
        for (a, b) in [
            ("Straße", "STRASSE"),
            ("ﬁle", "FILE"),
            ("Ｅｒｒｏｒ", "error"),
            ("conn\u{200b}ection", "Connection"),
            ("e\u{301}", "É"),
            ("\u{212a}ey", "key"),
            ("a\u{a0}b", "A B"),
            ("ΣΑΣ", "σας"),
            ("ẞ", "ss"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} and {b}");
            assert!(Folded::new(a).equals(b));
            assert!(Folded::new(a).is_in(&format!("x{b}y")));
        }
        for (a, b) in [("ı", "i"), ("é", "e"), ("ß", "s")] {
            assert_ne!(fold(a), fold(b), "{a} and {b}");
        }
    }

    #[test]
    fn texts_are_found_at_every_place() {
        let needle = Folded::new("ReFused");
        assert!(needle.is_in("REFUSED"));
        assert!(needle.is_in("connection refused"));
        assert!(!needle.is_in("connection refuse"));
        assert!(!needle.is_in(""));
        assert!(Folded::new("").is_in(""));
        assert_eq!(needle.order_of("Refuse"), Ordering::Less);
        assert_eq!(needle.order_of("refused!"), Ordering::Greater);
        assert_eq!(needle.order_of("REFUSED"), Ordering::Equal);
    }
}
