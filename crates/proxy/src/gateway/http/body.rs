//! Where the body of an HTTP/1.1 message ends (RFC 9112, 6 and 7). Strict: what two readers could
//! take for two different things is refused, since that is what request smuggling is made of.
//! Bytes go by; nothing is kept of them.

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
        Self::Chunked(Chunks { at: At::Size, left: 0, count: 0 })
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks { at: At::Done, .. }))
    }

    /// How many of these bytes belong to the body: all of them, unless it ends among them. What
    /// they carry, chunk framing and trailers left away, is shown to `data`.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<usize, Broken> {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                data(&bytes[..n]);
                *left -= n as u64;
                Ok(n)
            }
            Self::Chunked(chunks) => chunks.take(bytes, data),
            Self::UntilClose => {
                data(bytes);
                Ok(bytes.len())
            }
        }
    }
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
}

impl Chunks {
    fn take(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, Broken> {
        let mut n = 0;
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
            n += 1;
        }
        Ok(n)
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
        let (mut whole, mut body) = (Vec::new(), Body::chunked());
        let n = body.take(bytes, |data| whole.extend_from_slice(data));
        let (mut parts, mut slow, mut m) = (Vec::new(), Body::chunked(), Ok(0));
        for byte in bytes {
            match slow.take(&[*byte], |data| parts.extend_from_slice(data)) {
                Ok(n) => m = m.map(|m: usize| m + n),
                Err(Broken) => m = Err(Broken),
            }
            if m.is_err() {
                break;
            }
        }
        assert_eq!(n, m);
        n.map(|n| {
            assert_eq!((whole.as_slice(), body.is_done()), (parts.as_slice(), slow.is_done()));
            (whole, n, body.is_done())
        })
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
