//! A line that a container's runtime cut into parts is one line: a secret may stand across a cut, and
//! so may the word that tells it. The parts are held until the last is there.
//!
//! # Sources
//! The log format of the CRI (`kuberuntime/logs`): `TIME stdout|stderr P|F TEXT`, `P` where more follows.

/// Bytes of one line that are held; what is beyond them is removed.
const HELD_MAX: usize = 1 << 20;

/// Parts of lines that have not ended, one line a stream.
#[derive(Debug, Default)]
pub(super) struct Parts {
    out: Line,
    err: Line,
}

#[derive(Debug, Default)]
struct Line {
    parts: Vec<Part>,
    bytes: usize,
}

/// A part: what stands before its text, its text's length, and the line's end.
#[derive(Debug)]
struct Part {
    head: String,
    text: String,
    end: String,
}

/// A line whose parts are all there.
#[derive(Debug)]
pub(super) struct Joined {
    parts: Vec<Part>,
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Taken {
    /// No part of a line that was cut.
    Whole,
    /// A part that others follow.
    Held,
    /// A part of a line that is longer than what is held: `head` and `end` stay.
    Over { head: String, end: String },
    /// The last part.
    Last(Joined),
}

impl Parts {
    /// Takes a line, if it is a part of one.
    pub(super) fn take(&mut self, line: &str) -> Taken {
        let Some((head, err, more)) = head(line) else { return Taken::Whole };
        let held = if err { &mut self.err } else { &mut self.out };
        if held.parts.is_empty() && !more {
            return Taken::Whole;
        }
        let (head, rest) = line.split_at(head);
        let text = rest.trim_end_matches(['\r', '\n']);
        let end = rest[text.len()..].to_owned();
        held.bytes += line.len();
        if held.bytes > HELD_MAX && more {
            return Taken::Over { head: head.to_owned(), end };
        }
        let text = if held.bytes > HELD_MAX { String::new() } else { text.to_owned() };
        held.parts.push(Part { head: head.to_owned(), text, end });
        if more {
            return Taken::Held;
        }
        Taken::Last(Joined { parts: std::mem::take(held).parts })
    }

    /// What is held when there are no more lines.
    pub(super) fn rest(&mut self) -> Vec<Joined> {
        let held = [&mut self.out, &mut self.err].map(std::mem::take);
        held.into_iter()
            .filter(|line| !line.parts.is_empty())
            .map(|l| Joined { parts: l.parts })
            .collect()
    }
}

impl Joined {
    /// The line as if it had not been cut, with its end.
    pub(super) fn text(&self) -> String {
        let head = self.parts.first().map_or("", |part| part.head.as_str());
        let end = self.parts.last().map_or("", |part| part.end.as_str());
        let parts: String = self.parts.iter().map(|part| part.text.as_str()).collect();
        format!("{head}{parts}{end}")
    }

    /// What has become of that line, in as many parts as before.
    pub(super) fn cut(&self, told: &str) -> String {
        let head = self.parts.first().map_or("", |part| part.head.as_str());
        let told = told.trim_end_matches(['\r', '\n']);
        let mut rest = told.strip_prefix(head).unwrap_or("redacted");
        let mut out = String::with_capacity(told.len() + 64 * self.parts.len());
        for (number, part) in self.parts.iter().enumerate() {
            let last = number + 1 == self.parts.len();
            let mut len = if last { rest.len() } else { part.text.len().min(rest.len()) };
            while !rest.is_char_boundary(len) {
                len -= 1;
            }
            let (own, more) = rest.split_at(len);
            rest = more;
            out.push_str(&part.head);
            out.push_str(own);
            out.push_str(&part.end);
        }
        out
    }
}

/// How long what stands before a part's text is, whether it is of stderr, and whether more follows.
fn head(line: &str) -> Option<(usize, bool, bool)> {
    let time = line.find(' ')?;
    if !super::lead::is_time(&line[..time]) {
        return None;
    }
    let rest = &line[time + 1..];
    let err = rest.starts_with("stderr ");
    if !err && !rest.starts_with("stdout ") {
        return None;
    }
    let more = match rest.get(7..9)? {
        "P " => true,
        "F " => false,
        _ => return None,
    };
    Some((time + 10, err, more))
}
