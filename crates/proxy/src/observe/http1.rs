//! HTTP/1 framing, as much as counting needs (RFC 9112): where a message begins and ends, and a
//! response's status. Holds at most one short line and the methods of unanswered requests.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::lost::Lost;

/// What is kept of a line; the rest of a longer one is skipped. Every line that matters is shorter.
const LINE_KEPT: usize = 128;
/// Requests that may be unanswered before we stop looking: nobody pipelines that many.
const PIPELINE_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Headers,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Until the connection closes.
    Rest,
}

/// What a request means for its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Its response has headers of a body that doesn't come.
    Head,
    /// A 2xx ends HTTP on this connection.
    Connect,
}

/// One direction.
#[derive(Debug)]
struct Messages {
    at: At,
    line: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
}

impl Default for Messages {
    fn default() -> Self {
        Self { at: At::Start, line: Vec::new(), length: None, chunked: false }
    }
}

impl Messages {
    /// Takes up to the end of a line; the line, where it is complete. Nothing is copied of a line
    /// that came whole.
    fn line<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Cow<'b, [u8]>> {
        let end = memchr::memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = LINE_KEPT - self.line.len().min(LINE_KEPT);
        let kept = &part[..part.len().min(room)];
        *bytes = end.map_or(&[][..], |end| &bytes[end + 1..]);
        if end.is_some() && self.line.is_empty() {
            return Some(Cow::Borrowed(kept.strip_suffix(b"\r").unwrap_or(kept)));
        }
        self.line.extend_from_slice(kept);
        end?;
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Some(Cow::Owned(std::mem::take(&mut self.line)))
    }

    /// What is left of `length` bytes that go by without being looked at.
    fn skip(bytes: &mut &[u8], length: u64) -> u64 {
        let n = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
        *bytes = &bytes[n..];
        length - n as u64
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Lost> {
        let Some(colon) = line.iter().position(|b| *b == b':') else { return Err(Lost) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).map_err(|_| Lost)?;
            self.length = Some(text.parse().map_err(|_| Lost)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = value.to_ascii_lowercase().ends_with(b"chunked");
        }
        Ok(())
    }

    /// Moves through a body and its chunks; `true` while there is more to do.
    fn body(&mut self, bytes: &mut &[u8]) -> Result<bool, Lost> {
        self.at = match self.at {
            At::Body(left) => match Self::skip(bytes, left) {
                0 => At::Start,
                left => At::Body(left),
            },
            At::Chunk(left) => match Self::skip(bytes, left) {
                0 => At::ChunkEnd,
                left => At::Chunk(left),
            },
            At::ChunkEnd => match self.line(bytes) {
                Some(line) if line.is_empty() => At::ChunkSize,
                Some(_) => return Err(Lost),
                None => return Ok(false),
            },
            At::ChunkSize => match self.line(bytes) {
                Some(line) => match chunk_size(&line).ok_or(Lost)? {
                    0 => At::Trailers,
                    size => At::Chunk(size),
                },
                None => return Ok(false),
            },
            At::Trailers => match self.line(bytes) {
                Some(line) if line.is_empty() => At::Start,
                Some(_) => At::Trailers,
                None => return Ok(false),
            },
            At::Rest => {
                *bytes = &[];
                At::Rest
            }
            At::Start | At::Headers => return Ok(true),
        };
        Ok(!bytes.is_empty())
    }

    fn begin(&mut self) {
        (self.length, self.chunked, self.at) = (None, false, At::Headers);
    }

    /// After the headers: what body follows, where there is one.
    fn framing(&mut self, without: At) {
        self.at = match (self.chunked, self.length) {
            (true, _) => At::ChunkSize,
            (false, Some(0)) => At::Start,
            (false, Some(length)) => At::Body(length),
            (false, None) => without,
        };
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|b| *b == b';').next()?.trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    up: Messages,
    down: Messages,
    unanswered: VecDeque<Kind>,
    /// Status of the response whose headers are being read.
    status: u16,
}

impl Exchange {
    /// Looks at bytes of the client; adds how many requests began.
    pub(super) fn requests(&mut self, mut bytes: &[u8], count: &mut u64) -> Result<(), Lost> {
        while !bytes.is_empty() {
            match self.up.at {
                At::Start => {
                    let Some(line) = self.up.line(&mut bytes) else { break };
                    // Empty lines before a request are allowed (RFC 9112, 2.2).
                    if line.is_empty() {
                        continue;
                    }
                    if self.unanswered.len() >= PIPELINE_MAX {
                        return Err(Lost);
                    }
                    self.unanswered.push_back(kind(&line).ok_or(Lost)?);
                    *count += 1;
                    self.up.begin();
                }
                At::Headers => match self.up.line(&mut bytes) {
                    Some(line) if line.is_empty() => self.up.framing(At::Start),
                    Some(line) => self.up.header(&line)?,
                    None => break,
                },
                _ => {
                    self.up.body(&mut bytes)?;
                }
            }
        }
        Ok(())
    }

    /// Looks at bytes of the destination; tells the class of each final response.
    pub(super) fn responses(
        &mut self,
        mut bytes: &[u8],
        count: &mut impl FnMut(u8),
    ) -> Result<(), Lost> {
        while !bytes.is_empty() {
            match self.down.at {
                At::Start => {
                    let Some(line) = self.down.line(&mut bytes) else { break };
                    self.status = status(&line).ok_or(Lost)?;
                    self.down.begin();
                }
                At::Headers => match self.down.line(&mut bytes) {
                    Some(line) if line.is_empty() => self.headers_end(count)?,
                    Some(line) => self.down.header(&line)?,
                    None => break,
                },
                _ => {
                    self.down.body(&mut bytes)?;
                }
            }
        }
        Ok(())
    }

    /// RFC 9112, 6.3: whether a body follows the headers.
    fn headers_end(&mut self, count: &mut impl FnMut(u8)) -> Result<(), Lost> {
        if self.status == 101 {
            count(1);
            return Err(Lost);
        }
        if self.status < 200 {
            self.down.at = At::Start;
            return Ok(());
        }
        count(u8::try_from(self.status / 100).unwrap_or(0));
        match (self.unanswered.pop_front().ok_or(Lost)?, self.status) {
            (Kind::Connect, 200..300) => Err(Lost),
            (Kind::Head, _) | (_, 204 | 304) => {
                self.down.at = At::Start;
                Ok(())
            }
            _ => {
                self.down.framing(At::Rest);
                Ok(())
            }
        }
    }
}

fn kind(line: &[u8]) -> Option<Kind> {
    let method = line.split(|b| *b == b' ').next()?;
    // The line may have been cut: its version isn't looked at.
    (line.len() > method.len()).then_some(match method {
        b"HEAD" => Kind::Head,
        b"CONNECT" => Kind::Connect,
        _ => Kind::Plain,
    })
}

fn status(line: &[u8]) -> Option<u16> {
    let code = line.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    (100..600).contains(&code).then_some(code)
}
