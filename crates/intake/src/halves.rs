//! Lines that Docker cut: it writes what is longer than its buffer in several entries of its `json-file`,
//! and only the last of them ends the line. Joined within a block, by stream.
//!
//! # Sources
//! moby `daemon/logger/copier.go` (`defaultBufSize`) and `daemon/logger/jsonfilelog/jsonlog`.

use memchr::memmem;

/// What Docker reads of a line at a time.
const BUFFER: usize = 16 * 1024;
const HEAD: &[u8] = b"{\"log\":\"";
const TAIL: &[u8] = b"\",\"stream\":\"";

/// What has been cut and is not whole yet.
#[derive(Debug, Default)]
pub(crate) struct Halves {
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    stream: Vec<u8>,
    /// The text so far, as JSON writes it, behind the entry's beginning.
    joined: Vec<u8>,
    /// What stands behind the text in the first part.
    tail: Vec<u8>,
}

impl Open {
    fn whole(mut self) -> (u64, Vec<u8>) {
        self.joined.extend_from_slice(&self.tail);
        (self.number, self.joined)
    }
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// It is whole by itself.
    Nothing,
    /// It is kept until its rest comes.
    Part,
    /// It was the rest of a line: which it began as, and all of it.
    Whole(u64, Vec<u8>),
}

impl Halves {
    /// Looks at the next line.
    pub(crate) fn take(&mut self, number: u64, line: &[u8]) -> Took {
        if line.len() <= BUFFER && self.open.is_empty() {
            return Took::Nothing;
        }
        let Some((text, tail)) = parts(line) else { return Took::Nothing };
        let stream = tail[TAIL.len()..].split(|byte| *byte == b'"').next().unwrap_or_default();
        let cut = is_cut(text);
        let at = self.open.iter().position(|open| open.stream == stream);
        match (at, cut) {
            (None, false) => Took::Nothing,
            (None, true) => {
                let (stream, tail) = (stream.to_vec(), tail.to_vec());
                self.open.push(Open { number, stream, joined: [HEAD, text].concat(), tail });
                Took::Part
            }
            (Some(at), _) => {
                self.open[at].joined.extend_from_slice(text);
                if cut {
                    return Took::Part;
                }
                let (number, whole) = self.open.remove(at).whole();
                Took::Whole(number, whole)
            }
        }
    }

    /// What never became whole.
    pub(crate) fn rest(self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        self.open.into_iter().map(Open::whole)
    }
}

/// The text of an entry, as JSON writes it, and what stands behind it.
fn parts(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(HEAD)?;
    let end = memmem::rfind(rest, TAIL)?;
    Some((&rest[..end], &rest[end..]))
}

/// Whether the buffer was full before the line ended. Other collectors take the end of a line away: theirs
/// are whole.
fn is_cut(text: &[u8]) -> bool {
    if text.len() < BUFFER || text.ends_with(b"\\n") {
        return false;
    }
    let quoted = [b"\"", text, b"\""].concat();
    let Ok(text) = serde_json::from_slice::<String>(&quoted) else { return false };
    // A byte that is no text is written as a character of three.
    let odd = text.matches('\u{fffd}').count();
    (BUFFER..=BUFFER + 2 * odd).contains(&text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str, stream: &str, second: u8) -> Vec<u8> {
        let text = serde_json::to_string(text).expect("text");
        format!(
            "{{\"log\":{text},\"stream\":\"{stream}\",\"time\":\"2026-10-02T07:14:0{second}Z\"}}"
        )
        .into_bytes()
    }

    #[test]
    fn the_parts_of_a_line_are_one() {
        let full = |first: &str| format!("{first}{}", "\t".repeat(BUFFER - first.len()));
        let (a, b) = (full("\"a\""), full("b"));
        let mut halves = Halves::default();
        assert_eq!(halves.take(1, &entry("up\n", "stdout", 0)), Took::Nothing);
        assert_eq!(halves.take(2, &entry(&a, "stdout", 1)), Took::Part);
        assert_eq!(halves.take(3, &entry("other\n", "stderr", 2)), Took::Nothing);
        assert_eq!(halves.take(4, b"{\"a\":1}"), Took::Nothing);
        assert_eq!(halves.take(5, &entry(&b, "stdout", 3)), Took::Part);
        let whole = entry(&format!("{a}{b}end\n"), "stdout", 1);
        assert_eq!(halves.take(6, &entry("end\n", "stdout", 4)), Took::Whole(2, whole));
        assert_eq!(halves.take(7, &entry("end\n", "stdout", 5)), Took::Nothing);
        assert_eq!(halves.rest().count(), 0);
    }

    #[test]
    fn what_is_whole_stays_by_itself() {
        let long = "x".repeat(BUFFER);
        let mut halves = Halves::default();
        for text in [format!("{}\n", &long[1..]), format!("{long}y"), long[1..].to_owned()] {
            assert_eq!(halves.take(1, &entry(&text, "stdout", 0)), Took::Nothing);
        }
        // A file that ends too early.
        assert_eq!(halves.take(2, &entry(&long, "stdout", 0)), Took::Part);
        assert_eq!(halves.rest().collect::<Vec<_>>(), [(2, entry(&long, "stdout", 0))]);
    }
}
