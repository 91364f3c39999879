//! Logs as lines of text: what kubectl, container runtimes and applications put in front of a
//! message, and which JSON a line may hold.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use jiff::Timestamp;
use sunup_evidence::record::ContainerRef;
use sunup_logs::scan::Chunk;

use crate::colours::plain;
use crate::file::File;
use crate::front::{self, Split};
use crate::message;
use crate::out::{Out, borrowed};
use crate::{json, time};

/// How many lines at the start of a file are looked at whatever they say, to learn whose they
/// are.
const LOOK_AT: u64 = 32;

/// How many lines a stack trace may be away from the line that has its time.
const TRACE_LINES_MAX: usize = 100;

/// Reads the lines of a plain log that may matter.
pub(crate) fn lines(file: &File<'_>, chunk: &Chunk, out: &mut Out) {
    let all = file.filter.takes_all_of(file.whose.container.as_deref());
    let bytes = chunk.bytes.as_slice();
    let mut hit = file.filter.next_text(bytes, 0);
    // Parts of a line that were read with an earlier one.
    let mut joined: VecDeque<Range<usize>> = VecDeque::new();
    let mut above = Above::default();
    for (number, line) in chunk.lines() {
        let start = message::offset(bytes, line);
        let end = start + line.len();
        if hit.is_some_and(|h| h < start) {
            hit = file.filter.next_text(bytes, start);
        }
        let wanted = all || number <= LOOK_AT || hit.is_some_and(|h| h < end);
        while joined.front().is_some_and(|part| part.end <= start) {
            joined.pop_front();
        }
        if wanted && !joined.front().is_some_and(|part| part.contains(&start)) {
            one(file, bytes, (start..end, number), (&mut joined, &mut above), out);
        }
    }
}

/// Reads one line and the parts that belong to it; they are noted in `joined`.
fn one(
    file: &File<'_>,
    block: &[u8],
    (at, number): (Range<usize>, u64),
    (joined, above): (&mut VecDeque<Range<usize>>, &mut Above),
    out: &mut Out,
) {
    let lossy = String::from_utf8_lossy(&block[at.clone()]);
    // Tools colour the pod's name and the time too, not only the message.
    let raw = plain(&lossy);
    let mut split = front::split(&raw);
    if split.container.is_none()
        && file.whose.container.is_none()
        && let Some(((namespace, pod, container), rest)) = stern(&raw)
    {
        split = Split { namespace, container: Some((pod, container)), ..front::split(rest) };
    } else if split.container.is_none()
        && split.cri.is_none()
        && split.at.is_some()
        && file.whose.container.is_none()
        && let Some(((namespace, pod, container), rest)) = stern(split.text.trim_start())
    {
        // k9s saves what it shows: the time, padded, comes first.
        split = Split { namespace, container: Some((pod, container)), text: rest, ..split };
    }
    if let Some((stream, partial)) = split.cri {
        let whole = join_cri(block, &at, &split, (stream, partial), joined);
        let (own, text) = message::app(file, &whole);
        let when = split.at.or(own);
        return finish(file, &split, when, text, number, out);
    }
    if split.at.is_none() && split.text.starts_with('{') && split.container.is_none() {
        let whole = split.text.trim_end();
        if serde_json::from_str::<&serde_json::value::RawValue>(whole).is_ok() {
            return json::entry(file, whole.as_bytes(), number, out);
        }
    }
    let (own, text) = message::app(file, split.text);
    let when = split
        .at
        .or(own)
        .or_else(|| time::of_text(&text))
        .or_else(|| above.time_of_trace(block, at.start, &text));
    finish(file, &split, when, text, number, out);
}

fn finish(
    file: &File<'_>,
    split: &Split<'_>,
    at: Option<Timestamp>,
    text: Cow<'_, str>,
    number: u64,
    out: &mut Out,
) {
    let mut container = borrowed(&file.whose);
    if let Some((pod, name)) = split.container {
        container = ContainerRef {
            namespace: split.namespace.map(Cow::Borrowed).or(container.namespace),
            pod: Some(pod.into()),
            container: Some(name.into()),
            previous: container.previous,
            ..ContainerRef::default()
        };
    }
    message::log(file, container, at, text, number, out);
}

/// Whether a line has pod and container in front, as stern writes them.
pub(crate) fn is_stern(line: &str) -> bool {
    stern(line).is_some()
}

type Whose<'a> = (Option<&'a str>, &'a str, &'a str);

/// Takes off `POD CONTAINER ` or `NAMESPACE POD CONTAINER `, as stern writes it before each line. A
/// pod is known by the end that Kubernetes gives the names of those that it makes.
fn stern(raw: &str) -> Option<(Whose<'_>, &str)> {
    let label = |t: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        t.len() < 254 && t.starts_with(|c: char| c.is_ascii_alphanumeric()) && t.chars().all(plain)
    };
    let (first, rest) = raw.split_once(' ').filter(|(first, _)| label(first))?;
    let (second, rest) = rest.split_once(' ').filter(|(second, _)| label(second))?;
    if is_made(first) {
        return Some(((None, first, second), rest));
    }
    let (third, rest) = rest.split_once(' ').filter(|(third, _)| label(third))?;
    is_made(second).then_some(((Some(first), second, third), rest))
}

/// Whether a pod's name ends as those of ReplicaSets, Jobs and DaemonSets do.
///
/// # Sources
/// k8s.io/apimachinery `pkg/util/rand/rand.go`: the letters and digits of generated names.
fn is_made(name: &str) -> bool {
    const LETTERS: &str = "bcdfghjklmnpqrstvwxz2456789";
    let end = name.rsplit_once('-').map(|(_, end)| end);
    // Words have vowels, which these names never have; a number is no name either.
    end.is_some_and(|e| {
        e.len() == 5
            && e.chars().all(|c| LETTERS.contains(c))
            && !e.chars().all(|c| c.is_ascii_digit())
    })
}

/// Joins the parts of a line that the runtime cut at 16 KiB: those of the same stream before and
/// behind it, up to the one marked as full. Lines of the other stream among them are their own.
fn join_cri<'a>(
    block: &'a [u8],
    at: &Range<usize>,
    split: &Split<'a>,
    (stream, partial): (&str, bool),
    joined: &mut VecDeque<Range<usize>>,
) -> Cow<'a, str> {
    let mut before = Vec::new();
    let mut start = line_start(block, at.start);
    // The other stream's lines count too: there may be any number of them between.
    for _ in 0..TRACE_LINES_MAX {
        let Some(line) = line_before(block, start) else { break };
        start = line.start;
        let raw = String::from_utf8_lossy(&block[line]);
        match front::split(&raw) {
            Split { cri: Some((other, _)), .. } if other != stream => {}
            Split { cri: Some((_, true)), text, .. } => before.push(text.to_owned()),
            _ => break,
        }
    }
    let mut end = at.end;
    let mut after = Vec::new();
    let mut goes_on = partial;
    for _ in 0..TRACE_LINES_MAX {
        let Some(line) = line_behind(block, end).filter(|_| goes_on) else { break };
        end = line.end;
        let raw = String::from_utf8_lossy(&block[line.clone()]);
        match front::split(&raw) {
            Split { cri: Some((other, _)), .. } if other != stream => {}
            Split { cri: Some((_, more)), text, .. } => {
                after.push(text.to_owned());
                joined.push_back(line);
                goes_on = more;
            }
            _ => break,
        }
    }
    if before.is_empty() && after.is_empty() {
        return Cow::Borrowed(split.text);
    }
    before.reverse();
    Cow::Owned(before.concat() + split.text + &after.concat())
}

/// Lines come without the white space they begin with: where this one really begins.
fn line_start(block: &[u8], start: usize) -> usize {
    memchr::memrchr(b'\n', &block[..start]).map_or(0, |n| n + 1)
}

/// The line above the one that begins at `start`.
pub(crate) fn line_before(block: &[u8], start: usize) -> Option<Range<usize>> {
    let end = start.checked_sub(1)?;
    let from = memchr::memrchr(b'\n', &block[..end]).map_or(0, |n| n + 1);
    Some(from..end)
}

fn line_behind(block: &[u8], end: usize) -> Option<Range<usize>> {
    let from = end + memchr::memchr(b'\n', block.get(end..)?)? + 1;
    let to = memchr::memchr(b'\n', block.get(from..)?).map_or(block.len(), |n| from + n);
    (from < to).then_some(from..to)
}

/// Lines above the one that is being read, looked at once each however many lines below ask.
#[derive(Default)]
struct Above {
    /// One below the other, as they stand in the block.
    lines: VecDeque<(Range<usize>, Option<Seen>)>,
}

/// What a line says of those below it.
#[derive(Clone, Copy)]
struct Seen {
    at: Option<Timestamp>,
    blank: bool,
    traceback: bool,
}

impl Above {
    /// A line of a stack trace or of a cause was written with the line above it that has a time.
    /// Only lines that show that they go on count: a line that stands by itself has no time then.
    fn time_of_trace(&mut self, block: &[u8], start: usize, text: &str) -> Option<Timestamp> {
        let start = line_start(block, start);
        let mut goes_on = block.get(start).is_some_and(|b| matches!(b, b' ' | b'\t'))
            || text.starts_with("Caused by")
            || text.starts_with("Suppressed");
        self.reach(block, start);
        let near = self.lines.len().saturating_sub(TRACE_LINES_MAX);
        for (distance, (line, seen)) in self.lines.range_mut(near..).rev().enumerate() {
            let seen = *seen.get_or_insert_with(|| Seen::of(&block[line.clone()]));
            goes_on |= seen.traceback;
            if seen.at.is_some() {
                return seen.at.filter(|_| goes_on || distance == 0);
            }
            if seen.blank && !goes_on {
                return None;
            }
        }
        None
    }

    /// Takes up the lines that stand above `start` and are not there yet.
    fn reach(&mut self, block: &[u8], start: usize) {
        let known = self.lines.back().map_or(0, |(line, _)| line.end + 1);
        let mut new = Vec::new();
        let mut below = start;
        while new.len() < TRACE_LINES_MAX && below > known {
            let Some(line) = line_before(block, below) else { break };
            below = line.start;
            new.push(line);
        }
        if below > known {
            self.lines.clear();
        }
        self.lines.extend(new.into_iter().rev().map(|line| (line, None)));
        let beyond = self.lines.len().saturating_sub(TRACE_LINES_MAX);
        self.lines.drain(..beyond);
    }
}

impl Seen {
    fn of(line: &[u8]) -> Seen {
        let line = String::from_utf8_lossy(line);
        Seen {
            at: time::of_text(&line).or_else(|| time::rfc3339(&line).map(|(at, _)| at)),
            blank: line.trim().is_empty(),
            traceback: line.starts_with("Traceback (most recent call last)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::stern;

    #[test]
    fn stern_names_pod_and_container_before_each_line() {
        let whose = |raw| stern(raw).map(|((ns, pod, container), text)| (ns, pod, container, text));
        assert_eq!(
            whose("web-5b6f7c9d4-9xk2l istio-proxy 2026 info"),
            Some((None, "web-5b6f7c9d4-9xk2l", "istio-proxy", "2026 info"))
        );
        assert_eq!(
            whose("shop nightly-28811-hq7wz app dial tcp"),
            Some((Some("shop"), "nightly-28811-hq7wz", "app", "dial tcp"))
        );
        for other in [
            "worker-thread connected to redis",
            "order-12345 was refused by db",
            "connection refused by peer",
            "web-5b6f7c9d4-9xk2l",
            "2026-10-02T07:14:05Z error dial tcp",
        ] {
            assert_eq!(whose(other), None, "{other}");
        }
    }
}
