//! The same document written otherwise: comments, doubled indentation, quoted keys, CRLF, JSON.
//! Line-based; whoever uses a variant checks that it still reads as the original does.

use serde_json::Value;
use sunup_yaml::{Limits, read};

/// A small generator (xorshift64*), so that every run is the same.
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % n
    }
}

/// A line and, inside of a block scalar, the indentation of that scalar's text.
fn lines(text: &str) -> Vec<(&str, Option<usize>)> {
    let mut block: Option<(usize, Option<usize>)> = None;
    let mut out = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some((opened, inner)) = &mut block {
            if line.trim().is_empty() || indent > *opened {
                let inner = *inner.get_or_insert(indent);
                out.push((line, Some(inner)));
                continue;
            }
            block = None;
        }
        let code = line.trim_end();
        let code = code.trim_end_matches(['-', '+']);
        if code.ends_with(": |") || code.ends_with(": >") || code.ends_with("- |") {
            let dashes = line.trim_start();
            let past = dashes.len() - dashes.trim_start_matches(['-', ' ']).len();
            block = Some((indent + past, None));
        }
        out.push((line, None));
    }
    out
}

fn join(lines: impl Iterator<Item = String>) -> String {
    lines.map(|l| l + "\n").collect()
}

pub(crate) fn commented(text: &str, seed: &mut Seed) -> String {
    let mut n = 0;
    join(lines(text).into_iter().flat_map(|(line, block)| {
        let mut out = Vec::new();
        let marker = line.starts_with("---") || line.starts_with("...") || line.starts_with('%');
        let indent = line.len() - line.trim_start().len();
        if block.is_none() && !marker && seed.below(3) == 0 {
            n += 1;
            out.push(format!("{}#\tnote {n}: \"it's\" {{ - é", " ".repeat(indent)));
        }
        if block.is_none() && !marker && seed.below(6) == 0 {
            out.push(String::new());
        }
        let open = line.trim_end().ends_with(['|', '>', '-', '+']);
        if block.is_none() && !marker && !open && !line.trim().is_empty() && seed.below(3) == 0 {
            n += 1;
            out.push(format!("{line} # tail {n}"));
        } else {
            out.push(line.to_owned());
        }
        out
    }))
}

pub(crate) fn doubled(text: &str) -> String {
    join(lines(text).into_iter().map(|(line, block)| {
        let rest = line.trim_start();
        let indent = line.len() - rest.len();
        if let Some(inner) = block {
            return if rest.is_empty() { String::new() } else { " ".repeat(inner) + line };
        }
        let mut out = " ".repeat(indent * 2);
        let mut rest = rest;
        while let Some(next) = rest.strip_prefix("- ") {
            out.push_str("-   ");
            rest = next;
        }
        out + rest
    }))
}

pub(crate) fn quoted_keys(text: &str, quote: char) -> String {
    join(lines(text).into_iter().map(|(line, block)| {
        let start = line.len() - line.trim_start_matches([' ', '-']).len();
        let good = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
        let key = line[start..].find(|c| !good(c)).unwrap_or(line.len() - start);
        let colon = line[start + key..].starts_with(':');
        if block.is_some() || key == 0 || !colon || line.starts_with("---") {
            return line.to_owned();
        }
        let (key, rest) = line[start..].split_at(key);
        format!("{}{quote}{key}{quote}{rest}", &line[..start])
    }))
}

/// Every document as JSON.
pub(crate) fn json(text: &str, pretty: bool) -> String {
    let docs: Vec<_> = values(text)
        .iter()
        .map(|v| {
            if pretty { serde_json::to_string_pretty(v) } else { serde_json::to_string(v) }.unwrap()
        })
        .collect();
    docs.join("\n---\n") + "\n"
}

pub(crate) fn values(text: &str) -> Vec<Value> {
    let stream = read(text, &Limits::default());
    assert_eq!(stream.errors, [], "{text}");
    stream.documents.into_iter().map(|d| d.value).collect()
}

/// Every variant that reads as the original does, with its name.
pub(crate) fn all(text: &str, seed: &mut Seed) -> Vec<(&'static str, String)> {
    let lf = text.replace("\r\n", "\n");
    let mut out = vec![
        ("as it is", text.to_owned()),
        ("commented", commented(&lf, seed)),
        ("doubled", doubled(&lf)),
        ("single-quoted keys", quoted_keys(&lf, '\'')),
        ("double-quoted keys, commented", commented(&quoted_keys(&lf, '"'), seed)),
        ("doubled, commented, CRLF", commented(&doubled(&lf), seed).replace('\n', "\r\n")),
        ("no final newline", lf.trim_end().to_owned()),
        ("pretty JSON", json(text, true)),
        ("JSON", json(text, false)),
        ("JSON, CRLF, no final newline", json(text, true).trim_end().replace('\n', "\r\n")),
    ];
    let want = values(text);
    out.retain(|(_, variant)| {
        let stream = read(variant, &Limits::default());
        stream.errors.is_empty() && stream.documents.iter().map(|d| &d.value).eq(&want)
    });
    out
}
