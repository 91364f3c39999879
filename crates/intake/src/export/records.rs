//! Cutting a stream of separated values into records, in constant memory: quoted fields may hold
//! separators, quotes and line breaks.
//!
//! Knows quoting and nothing of what a field means. A quote opens a field only where one begins
//! and closes it only where one ends, so that a stray one spoils its own record and no more.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use sunup_logs::scan::{Broken, BrokenReason, Limits};

/// How values are separated and quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) separator: u8,
    /// A quote within quotes has a backslash in front, instead of being doubled.
    pub(crate) backslash: bool,
}

/// A record longer than this has lost its closing quote: no log service takes a line of a
/// quarter of it.
const RECORD_MAX: usize = 4 << 20;

/// After so many lost quotes line breaks alone end a record, so that no byte is looked at again
/// and again.
const LOST_MAX: u32 = 8;

/// One record and the line on which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) range: Range<usize>,
    pub(crate) line: u64,
}

/// Whole records that were read together.
#[derive(Debug, Default)]
pub(crate) struct RecordChunk {
    pub(crate) bytes: Vec<u8>,
    /// Records that are not blank, without their line breaks.
    pub(crate) records: Vec<Record>,
    pub(crate) broken: Vec<Broken>,
}

/// How far the record at hand has been looked at, and how far the text behind a quote that is
/// open is known to hold no line break.
#[derive(Clone, Copy)]
struct Scan {
    at: usize,
    open: Option<usize>,
}

/// How a record ends.
enum End {
    At(usize),
    /// Not within the bytes that are there.
    More,
    /// Another field begins within quotes: the closing one has been lost.
    Lost,
}

/// Iterator of [`RecordChunk`]s over a stream.
pub(crate) struct Records<R> {
    reader: R,
    dialect: Dialect,
    limits: Limits,
    carry: Vec<u8>,
    /// Line of the first byte of `carry`.
    line: u64,
    lost: u32,
    /// The rest of an over-long line is passed over.
    skipping: bool,
    done: bool,
}

impl<R: Read> Records<R> {
    pub(crate) fn new(reader: R, dialect: Dialect, limits: Limits) -> Self {
        Records {
            reader,
            dialect,
            limits,
            carry: Vec::new(),
            line: 1,
            lost: 0,
            skipping: false,
            done: false,
        }
    }

    fn chunk(&mut self) -> RecordChunk {
        let mut chunk =
            RecordChunk { bytes: std::mem::take(&mut self.carry), ..RecordChunk::default() };
        let block = self.limits.block_bytes.max(1);
        let mut wanted = block;
        let mut start = 0;
        let mut scan = Scan { at: 0, open: None };
        loop {
            self.fill(&mut chunk.bytes, wanted);
            while start < chunk.bytes.len() {
                let Some(end) = self.step(&mut chunk, start, &mut scan) else { break };
                start = end;
                scan = Scan { at: start, open: None };
            }
            if self.done || !chunk.records.is_empty() || !chunk.broken.is_empty() || self.skipping {
                self.carry.extend_from_slice(&chunk.bytes[start..]);
                chunk.bytes.truncate(start);
                return chunk;
            }
            wanted = chunk.bytes.len() + block;
        }
    }

    /// Passes one record, or what cannot be one; `None` where the bytes end before it does.
    fn step(&mut self, chunk: &mut RecordChunk, start: usize, scan: &mut Scan) -> Option<usize> {
        let bytes = chunk.bytes.as_slice();
        if self.skipping {
            let end = memchr::memchr(b'\n', &bytes[start..]).map(|n| start + n + 1);
            self.skipping = end.is_none();
            self.line += u64::from(end.is_some());
            return end.or(Some(bytes.len()));
        }
        let open = |scan: &Scan| scan.open.is_some();
        let end = match self.record_end(bytes, start, scan) {
            End::At(end) => end,
            End::Lost => return Some(self.give_up(chunk, start, true)),
            End::More if bytes.len() - start > RECORD_MAX || self.done && open(scan) => {
                return Some(self.give_up(chunk, start, open(scan)));
            }
            End::More if self.done => bytes.len(),
            End::More => return None,
        };
        let record = &bytes[start..end];
        let line = self.line;
        self.line += memchr::memchr_iter(b'\n', record).count() as u64;
        let kept = record.trim_ascii_end().len();
        if kept > 0 {
            chunk.records.push(Record { range: start..start + kept, line });
        }
        Some(end)
    }

    fn record_end(&self, bytes: &[u8], start: usize, scan: &mut Scan) -> End {
        if self.lost < LOST_MAX {
            return end(bytes, start, scan, self.dialect, self.done);
        }
        scan.open = None;
        memchr::memchr(b'\n', &bytes[start..]).map_or(End::More, |n| End::At(start + n + 1))
    }

    /// Tells of a record without an end; where the next one may begin.
    fn give_up(&mut self, chunk: &mut RecordChunk, start: usize, quoted: bool) -> usize {
        let line = self.line;
        let reason = match quoted {
            true => BrokenReason::OpenString,
            false => BrokenReason::TooLong(RECORD_MAX),
        };
        chunk.broken.push(Broken { line, reason });
        self.lost += u32::from(quoted);
        match memchr::memchr(b'\n', &chunk.bytes[start..]) {
            Some(n) => {
                self.line += 1;
                start + n + 1
            }
            None => {
                self.skipping = true;
                chunk.bytes.len()
            }
        }
    }

    fn fill(&mut self, bytes: &mut Vec<u8>, wanted: usize) {
        let missing = wanted.saturating_sub(bytes.len());
        if self.done || missing == 0 {
            return;
        }
        let before = bytes.len();
        // What goes wrong while reading is noted by the reader; what came before counts.
        let _ = self.reader.by_ref().take(missing as u64).read_to_end(bytes);
        self.done = bytes.len() - before < missing;
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = std::io::Result<RecordChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.done && self.carry.is_empty() {
                return None;
            }
            let chunk = self.chunk();
            if !chunk.records.is_empty() || !chunk.broken.is_empty() {
                return Some(Ok(chunk));
            }
        }
    }
}

/// Goes on looking for the end of the record at `start`; with `done` no more bytes follow.
fn end(bytes: &[u8], start: usize, scan: &mut Scan, dialect: Dialect, done: bool) -> End {
    loop {
        let rest = bytes.get(scan.at..).unwrap_or_default();
        let Some(flat) = scan.open else {
            let Some(n) = memchr::memchr2(b'"', b'\n', rest) else {
                scan.at = bytes.len();
                return End::More;
            };
            let at = scan.at + n;
            scan.at = at + 1;
            if bytes[at] == b'\n' {
                return End::At(at + 1);
            }
            scan.open = opens(&bytes[start..at], dialect.separator).then_some(at);
            continue;
        };
        let found = match dialect.backslash {
            true => memchr::memchr2(b'"', b'\\', rest),
            false => memchr::memchr(b'"', rest),
        };
        let Some(n) = found else {
            scan.at = bytes.len();
            return End::More;
        };
        let at = scan.at + n;
        let Some(next) = bytes.get(at + 1) else {
            // Whether it closes, the next byte says.
            scan.at = if done { bytes.len() } else { at };
            scan.open = scan.open.filter(|_| !done || bytes[at] != b'"');
            return End::More;
        };
        match (bytes[at], next) {
            (b'\\', _) => scan.at = at + 2,
            (_, b'"') if !dialect.backslash => scan.at = at + 2,
            (_, b'\r' | b'\n') => (scan.at, scan.open) = (at + 1, None),
            (_, next) if *next == dialect.separator => (scan.at, scan.open) = (at + 1, None),
            // Behind a separator on another line it opens what should not begin here.
            _ if bytes[at - 1] == dialect.separator => {
                if memchr::memchr(b'\n', &bytes[flat..at]).is_some() {
                    return End::Lost;
                }
                (scan.at, scan.open) = (at + 1, Some(at));
            }
            _ => scan.at = at + 1,
        }
    }
}

/// Whether a quote behind these bytes of a record opens a field.
fn opens(before: &[u8], separator: u8) -> bool {
    // A few spaces behind the separator are common; a tab may be the separator itself.
    let blank = before.iter().rev().take(4).take_while(|b| **b == b' ').count();
    let before = &before[..before.len() - blank];
    before.last().is_none_or(|last| *last == separator)
        || before.ends_with(b"\xEF\xBB\xBF") && before.len() == 3
}

/// Calls `each` with the fields of a record, at most `most` of them, and their numbers; says how
/// many fields there are, those beyond `most` counted as one.
pub(crate) fn fields<'r>(
    record: &'r [u8],
    dialect: Dialect,
    most: usize,
    mut each: impl FnMut(usize, Cow<'r, [u8]>),
) -> usize {
    let mut at = 0;
    for number in 0..most {
        let blank = record[at..].iter().take(4).take_while(|b| **b == b' ').count();
        let quoted = record.get(at + blank) == Some(&b'"');
        let (field, next) = match quoted {
            true => quoted_field(record, at + blank + 1, dialect),
            false => {
                let len = memchr::memchr(dialect.separator, &record[at..]);
                let end = len.map_or(record.len(), |n| at + n);
                (Cow::Borrowed(&record[at..end]), len.map(|_| end + 1))
            }
        };
        each(number, field);
        match next {
            Some(next) => at = next,
            None => return number + 1,
        }
    }
    most + 1
}

/// The field behind the quote before `from`, and where the next one begins.
fn quoted_field(record: &[u8], from: usize, dialect: Dialect) -> (Cow<'_, [u8]>, Option<usize>) {
    let escape = if dialect.backslash { b'\\' } else { b'"' };
    let mut own: Vec<u8> = Vec::new();
    let (mut kept, mut at) = (from, from);
    let (end, next) = loop {
        let Some(n) = memchr::memchr2(b'"', escape, &record[at..]) else {
            break (record.len(), None);
        };
        at += n;
        match (record[at], record.get(at + 1)) {
            (b'"', None) => break (at, None),
            (b'"', Some(next)) if *next == dialect.separator => break (at, Some(at + 2)),
            (byte, Some(next)) if byte == escape && (byte == b'\\' || *next == b'"') => {
                // JSON within the field keeps the escapes of its own.
                own.extend_from_slice(&record[kept..at]);
                let plain = matches!(next, b'"' | b'\\') || byte == b'"';
                own.extend_from_slice(if plain {
                    &record[at + 1..at + 2]
                } else {
                    &record[at..at + 2]
                });
                at += 2;
                kept = at;
            }
            _ => at += 1,
        }
    };
    if own.is_empty() {
        return (Cow::Borrowed(&record[kept..end]), next);
    }
    own.extend_from_slice(&record[kept..end.max(kept)]);
    (Cow::Owned(own), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMA: Dialect = Dialect { separator: b',', backslash: false };
    const BACKSLASH: Dialect = Dialect { separator: b',', backslash: true };

    /// Records as texts with their lines, cut in blocks of `block` bytes; broken ones as `!`.
    fn cut(text: &str, dialect: Dialect, block: usize) -> Vec<String> {
        let limits = Limits { block_bytes: block, entry_bytes_max: 1 << 20 };
        let mut out = Vec::new();
        for chunk in Records::new(text.as_bytes(), dialect, limits) {
            let chunk = chunk.expect("bytes in memory can be read");
            for record in &chunk.records {
                let bytes = &chunk.bytes[record.range.clone()];
                out.push(format!("{}:{}", record.line, String::from_utf8_lossy(bytes)));
            }
            out.extend(chunk.broken.iter().map(|b| format!("{}!", b.line)));
        }
        let line =
            |text: &String| text.split([':', '!']).next().and_then(|n| n.parse::<u64>().ok());
        out.sort_by_key(line);
        out
    }

    fn split(record: &str, dialect: Dialect) -> Vec<String> {
        let mut out = Vec::new();
        fields(record.as_bytes(), dialect, 64, |_, field| {
            out.push(String::from_utf8_lossy(&field).into_owned());
        });
        out
    }

    #[test]
    fn records_end_outside_quotes_whatever_the_blocks() {
        let text = "a,b\r\n\n1,\"x\ny\"\"z\n\"\n2,\"\"\n3,q\"q\n\"\"\"w\"\"\",4\n5,\"last\"";
        let want = [
            "1:a,b",
            "3:1,\"x\ny\"\"z\n\"",
            "6:2,\"\"",
            "7:3,q\"q",
            "8:\"\"\"w\"\"\",4",
            "9:5,\"last\"",
        ];
        for block in [1, 2, 3, 5, 7, 1000] {
            assert_eq!(cut(text, COMMA, block), want, "{block}");
        }
    }

    #[test]
    fn fields_lose_their_quotes() {
        assert_eq!(split("a,\"b,\"\"c\"\"\",,\"\"", COMMA), ["a", "b,\"c\"", "", ""]);
        assert_eq!(split("a, \"b,c\" ,d", COMMA), ["a", "b,c\" ,d"]);
        assert_eq!(split("a, \"b,c\",d", COMMA), ["a", "b,c", "d"]);
        assert_eq!(split(r#""{\"a\":\"b\\nc\"}",d"#, BACKSLASH), [r#"{"a":"b\nc"}"#, "d"]);
        assert_eq!(split("a\"b,c", COMMA), ["a\"b", "c"]);
        assert_eq!(split("\"a", COMMA), ["a"]);
    }

    #[test]
    fn a_lost_quote_costs_its_own_line() {
        let text = "1,\"never closed\n2,plain\n3,\"fine\"\n4,plain\n";
        for block in [1, 8, 1000] {
            assert_eq!(cut(text, COMMA, block), ["1!", "2:2,plain", "3:3,\"fine\"", "4:4,plain"]);
            assert_eq!(cut("1,\"never\n2,a\n3,b\n", COMMA, block), ["1!", "2:2,a", "3:3,b"]);
        }
    }

    #[test]
    fn quotes_without_end_are_given_up_on() {
        let mut text = String::new();
        for n in 0..40 {
            text.push_str(&format!("{n},\"{}\n", "x".repeat(1 << 20)));
        }
        let began = std::time::Instant::now();
        let got = cut(&text, COMMA, 1 << 20);
        assert!(got.len() >= 39, "{}", got.len());
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
        let endless = format!("1,\"{}", "y".repeat(12 << 20));
        assert_eq!(cut(&endless, COMMA, 1 << 20), ["1!"]);
        let long = format!("{}\n2,a\n", "z".repeat(12 << 20));
        assert_eq!(cut(&long, COMMA, 1 << 20), ["1!", "2:2,a"]);
    }

    #[test]
    fn a_million_columns_are_counted_as_one_too_many() {
        let wide = "x,".repeat(1_000_000);
        assert_eq!(fields(wide.as_bytes(), COMMA, 64, |_, _| {}), 65);
        assert_eq!(cut(&wide, COMMA, 4096).len(), 1);
    }
}
