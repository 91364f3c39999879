//! Where the body of an HTTP/1.1 message ends (RFC 9112, 6 and 7). Strict: what two readers could
//! take for two different things is refused, since that is what request smuggling is made of.
//! Bytes go by; nothing is kept of them but trailers, of which only some go on.

/// The most that the extensions of one chunk may measure.
const EXTENSION_MAX: u32 = 256;
/// The most that a trailer section may measure.
const TRAILERS_MAX: u32 = 16 * 1024;

/// The framing is wrong: what follows can't be told from what belongs to the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A body on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes are still to come.
    Length(u64),
    /// In chunks.
    Chunked(Chunks),
    /// All that comes until the connection ends.
    UntilClose,
}

impl Body {
    /// A message without a body.
    pub(super) const NONE: Self = Self::Length(0);

    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunks { at: At::Size, left: 0, count: 0, trailers: Vec::new() })
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks { at: At::Done, .. }))
    }

    /// How many of these bytes belong to the body: all of them, unless it ends among them; and how
    /// many of those go on as they are: all but its trailers. What they carry, chunk framing and
    /// trailers left away, is shown to `data`.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<Taken, Broken> {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                data(&bytes[..n]);
                *left -= n as u64;
                Ok(Taken { all: n, on: n })
            }
            Self::Chunked(chunks) => chunks.take(bytes, data),
            Self::UntilClose => {
                data(bytes);
                Ok(Taken { all: bytes.len(), on: bytes.len() })
            }
        }
    }

    /// What stands in the place of the trailers, once they are whole: those that may go on, and the
    /// end of the message. Nothing where there were none.
    pub(super) fn trailers(&mut self) -> Vec<u8> {
        match self {
            Self::Chunked(chunks) if chunks.at == At::Done => std::mem::take(&mut chunks.trailers),
            _ => Vec::new(),
        }
    }
}

/// How many bytes of a body there were.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Of the body.
    pub(super) all: usize,
    /// Of these, from the first on, those that go on as they are.
    pub(super) on: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataEnd,
    /// At the beginning of a line of the trailer section.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    End,
    Done,
}

/// The place in a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// Of this chunk's data; its size while that is read.
    left: u64,
    /// Digits of the size, bytes of the extension or of the trailer section.
    count: u32,
    /// The trailers: as they came, and once they are whole, as they go on.
    trailers: Vec<u8>,
}

impl Chunks {
    fn take(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Result<Taken, Broken> {
        let (mut n, mut on) = (0, None);
        while n < bytes.len() && self.at != At::Done {
            if self.at == At::Data {
                let rest = &bytes[n..];
                let part = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                data(&rest[..part]);
                self.left -= part as u64;
                n += part;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            self.step(bytes[n])?;
            let trailer = matches!(self.at, At::TrailerName | At::TrailerValue | At::TrailerEnd);
            if trailer || !self.trailers.is_empty() {
                on.get_or_insert(n);
                self.trailers.push(bytes[n]);
            }
            n += 1;
        }
        if self.at == At::Done && on.is_some() {
            self.trailers = onward(&self.trailers);
        }
        Ok(Taken { all: n, on: on.unwrap_or(n) })
    }

    /// Takes a byte that isn't data.
    fn step(&mut self, byte: u8) -> Result<(), Broken> {
        self.count += 1;
        self.at = match (self.at, byte) {
            (At::Size, _) if byte.is_ascii_hexdigit() && self.count <= 16 => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.left = self.left << 4 | u64::from(digit);
                At::Size
            }
            (At::Size, b'\r') if self.count > 1 => At::SizeEnd,
            (At::Size, b';') if self.count > 1 => {
                self.count = 0;
                At::Extension
            }
            (At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, _) if is_text(byte) && self.count <= EXTENSION_MAX => At::Extension,
            (At::SizeEnd, b'\n') => {
                self.count = 0;
                if self.left == 0 { At::Trailer } else { At::Data }
            }
            (At::DataCr, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => {
                self.count = 0;
                At::Size
            }
            (At::Trailer, b'\r') => At::End,
            (At::Trailer | At::TrailerName, _) if is_token(byte) && self.count <= TRAILERS_MAX => {
                At::TrailerName
            }
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerValue, b'\r') => At::TrailerEnd,
            (At::TrailerValue, _) if is_text(byte) && self.count <= TRAILERS_MAX => {
                At::TrailerValue
            }
            (At::TrailerEnd, b'\n') => At::Trailer,
            (At::End, b'\n') => At::Done,
            _ => return Err(Broken),
        };
        Ok(())
    }
}

/// Of a trailer section those fields that may go on. Whoever merges trailers into the head must not
/// be told by them where the message goes, where it ends, or who sent it (RFC 9110, 6.5.1).
fn onward(section: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(section.len());
    for line in section.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = std::str::from_utf8(name).unwrap_or_default();
        if line == b"\r\n" || may_trail(name) {
            out.extend_from_slice(line);
        }
    }
    out
}

/// Whether a field may stand behind a body.
fn may_trail(name: &str) -> bool {
    const NEVER: [&str; 36] = [
        // Framing, routing, hops.
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        // Modifiers of the request, controls, conditions.
        "age",
        "cache-control",
        "date",
        "expect",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "retry-after",
        "vary",
        "warning",
        // Who asks, and who is asked to say it.
        "authorization",
        "cookie",
        "forwarded",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "www-authenticate",
        // How the body is to be read.
        "content-encoding",
        "content-range",
        "content-type",
    ];
    let name = name.replace('_', "-");
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    !NEVER.iter().any(is) && !says_who_asks(&name)
}

/// Whether a field tells what a proxy in front of the destination knows of the client: only we may
/// say that.
pub(super) fn says_who_asks(name: &str) -> bool {
    let begins = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    begins("x-forwarded-") || begins("x-envoy-")
}

/// What a field value or an extension may hold: no control character but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// What a name may hold (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data and how many bytes were taken, whole and byte by byte alike.
    fn taken(bytes: &[u8]) -> Result<(Vec<u8>, usize, bool), Broken> {
        let (whole, fast) = taken_by(bytes, bytes.len().max(1));
        for size in [1, 2, 3, 7] {
            let (parts, slow) = taken_by(bytes, size);
            assert_eq!((&whole, &fast), (&parts, &slow), "by {size}");
        }
        fast.map(|(n, _, done)| (whole, n, done))
    }

    /// Data; how many bytes were taken, what went on, and whether that was all of it.
    type Went = Result<(usize, Vec<u8>, bool), Broken>;

    fn taken_by(bytes: &[u8], size: usize) -> (Vec<u8>, Went) {
        let (mut data, mut on, mut n) = (Vec::new(), Vec::new(), 0);
        let mut body = Body::chunked();
        for part in bytes.chunks(size) {
            match body.take(part, |bytes| data.extend_from_slice(bytes)) {
                Ok(taken) => {
                    n += taken.all;
                    on.extend_from_slice(&part[..taken.on]);
                    on.extend(body.trailers());
                }
                Err(Broken) => return (Vec::new(), Err(Broken)),
            }
        }
        (data, Ok((n, on, body.is_done())))
    }

    fn went_on(bytes: &str) -> String {
        let [whole, slow] = [bytes.len(), 1].map(|size| taken_by(bytes.as_bytes(), size).1);
        assert_eq!(whole, slow);
        String::from_utf8(whole.unwrap().1).unwrap()
    }

    #[test]
    fn trailers_that_say_where_it_goes_or_who_sent_it_stay_behind() {
        for plain in ["0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "3;x=y\r\nabc\r\n00;z\r\n\r\n"] {
            assert_eq!(went_on(plain), plain);
        }
        let good = "3\r\nabc\r\n0\r\ngrpc-status: 0\r\nX-Sum: 9\r\n\r\n";
        assert_eq!(went_on(good), good);
        let bad = "3\r\nabc\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\nContent-Length: 7\r\na: b\r\n\
                   x-envoy-internal: true\r\nHOST: other\r\nTransfer-Encoding: chunked\r\n\
                   X_FORWARDED-CLIENT_CERT: By=x\r\nAuthorization: Bearer t\r\n\r\n";
        assert_eq!(went_on(bad), "3\r\nabc\r\n0\r\na: b\r\n\r\n");
        let all = "0\r\nhost: other\r\n\r\n";
        assert_eq!(went_on(all), "0\r\n\r\n");
        // Nothing of the next message is taken for this one's.
        let next = format!("{all}GET / HTTP/1.1\r\n");
        assert_eq!(went_on(&next), "0\r\n\r\n");
    }

    #[test]
    fn chunks_end_where_the_rfc_says() {
        let plain = b"5\r\nhello\r\n0\r\n\r\nGET";
        assert_eq!(taken(plain), Ok((b"hello".to_vec(), plain.len() - 3, true)));
        let all = b"A;a=\"b\"\r\n0123456789\r\n00\r\nX-T: \xe9\r\ny:\r\n\r\n";
        assert_eq!(taken(all), Ok((b"0123456789".to_vec(), all.len(), true)));
        for end in 0..all.len() {
            assert!(!taken(&all[..end]).unwrap().2, "{end}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for wrong in [
            &b"\r\n"[..],
            b"5\nhello\r\n",
            b"5 \r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"-1\r\n",
            b"5;a\nb\r\nhello",
            b"5;a\rb\r\nhello",
            b"5\r\nhelloo\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"0\r\n\n",
            b"0\r\n folded: x\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\nx: a\nb\r\n\r\n",
            b"11111111111111111\r\n",
        ] {
            let said = String::from_utf8_lossy(wrong).into_owned();
            assert_eq!(taken(wrong), Err(Broken), "{said:?}");
        }
        let long = [b"5;".to_vec(), vec![b'a'; 300]].concat();
        assert_eq!(taken(&long), Err(Broken));
        let long = [b"0\r\nx:".to_vec(), vec![b'a'; 17_000]].concat();
        assert_eq!(taken(&long), Err(Broken));
    }
}
