//! The text analyser behind the SEARCH function. Knows texts only.
//!
//! # Sources
//! BigQuery, "Text analyzer rules", LOG_ANALYZER: texts are split at the delimiters below, also
//! at some of them in URL encoding; tokens are compared without regard to letter case.

use crate::text::fold;

const DELIMITERS: &str = "[]<>(){}|!;,'\"*&?+/:=@.-$%\\_\n\r \t";
const ENCODED: [&str; 15] = [
    "%2526", "%2520", "%21", "%26", "%3b", "%7c", "%20", "%2b", "%3d", "%5d", "%5b", "%3a", "%0a",
    "%2c", "%28",
];

/// What SEARCH looks for.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// As written.
    pub(crate) source: String,
    /// Folded; each must be a token of the text.
    pub(crate) tokens: Vec<String>,
    /// Folded; texts in backticks, delimiters and all.
    pub(crate) phrases: Vec<String>,
}

impl Query {
    /// `None` where there is nothing to search for, or a backtick is left open.
    pub(crate) fn new(source: &str) -> Option<Self> {
        let folded = fold(source);
        let mut query = Self { source: source.to_owned(), tokens: Vec::new(), phrases: Vec::new() };
        let parts: Vec<&str> = folded.split('`').collect();
        if parts.len().is_multiple_of(2) {
            return None;
        }
        for (n, part) in parts.into_iter().enumerate() {
            match n % 2 {
                0 => query.tokens.extend(tokens(part).map(str::to_owned)),
                _ if part.is_empty() => {}
                _ => query.phrases.push(part.to_owned()),
            }
        }
        (!query.tokens.is_empty() || !query.phrases.is_empty()).then_some(query)
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len() + self.phrases.len()
    }

    /// Marks in `found` which tokens and phrases `text` holds.
    pub(crate) fn mark(&self, text: &str, found: &mut [bool]) {
        let text = fold(text);
        for (n, token) in self.tokens.iter().enumerate() {
            // Splitting is dear: most texts do not even contain the letters.
            found[n] =
                found[n] || (text.contains(token.as_str()) && tokens(&text).any(|t| t == token));
        }
        for (n, phrase) in self.phrases.iter().enumerate() {
            let n = self.tokens.len() + n;
            found[n] = found[n] || has_phrase(&text, phrase);
        }
    }
}

fn has_phrase(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let behind = text[at + phrase.len()..].chars().next();
        let bounded = |c: Option<char>| c.is_none_or(|c| DELIMITERS.contains(c));
        bounded(before) && bounded(behind)
    })
}

/// The tokens of a folded text.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let (end, skip) = delimiter(rest).unwrap_or((rest.len(), 0));
            let token = &rest[..end];
            rest = &rest[end + skip..];
            if !token.is_empty() {
                return Some(token);
            }
        }
    })
}

/// Where the next delimiter is and how long it is.
fn delimiter(text: &str) -> Option<(usize, usize)> {
    let at = text.find(|c| DELIMITERS.contains(c))?;
    let encoded = ENCODED.iter().chain(&["%29"]).find(|code| text[at..].starts_with(**code));
    Some((at, encoded.map_or(1, |code| code.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(query: &str, text: &str) -> bool {
        let query = Query::new(query).expect("a query");
        let mut found = vec![false; query.len()];
        query.mark(text, &mut found);
        found.into_iter().all(|found| found)
    }

    #[test]
    fn tokens_are_whole_words_in_any_order_and_case() {
        for (query, text, expected) in [
            ("world", "Hello World", true),
            ("world", "worldwide", false),
            ("World hello", "hello, world!", true),
            ("hello world", "hello", false),
            ("Hello Kit", "Hello Kitty", false),
            ("10.0.0.1", "from 10.0.0.1:80", true),
            ("b", "a%20b", true),
            ("`hello world`", "say HELLO WORLD.", true),
            ("`world hello`", "hello world", false),
            ("`ell`", "hello", false),
        ] {
            assert_eq!(holds(query, text), expected, "{query} in {text}");
        }
        assert!(Query::new(" .. ").is_none());
        assert!(Query::new("`open").is_none());
    }
}
