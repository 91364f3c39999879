//! Zip archives as they stream by, member after member, without their directory: it stands at the
//! end, and a pipe has none yet.
//!
//! Knows the container alone; what a member holds is recognised as any file is.
//!
//! # Sources
//! PKWARE's APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.9 (data descriptor), 4.5.3 (zip64).

use std::io::{self, BufReader, Read};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use crate::members::{Members, NAME_MAX, Unread};

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const EXTRA_DATA: u32 = 0x0806_4b50;
const ZIP64: u16 = 1;

const BUFFER: usize = 64 << 10;

/// What stands before a member's bytes.
struct Header {
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    zip64: bool,
    name: String,
}

impl Header {
    fn is_encrypted(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Sizes and checksum follow the bytes.
    fn is_streamed(&self) -> bool {
        self.flags & 8 != 0
    }
}

/// Goes through an archive.
///
/// # Errors
/// What the reader reports, and where the archive can't be followed any further.
pub(crate) fn read(reader: impl Read, members: &mut impl Members) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    loop {
        match u32_of(&mut reader)? {
            LOCAL => {}
            EXTRA_DATA => {
                let len = u32_of(&mut reader)?;
                skip(&mut reader, u64::from(len))?;
                continue;
            }
            // The directory, and what follows it.
            _ => return Ok(()),
        }
        let header = header(&mut reader)?;
        if !one(&mut reader, header, members)? {
            return Ok(());
        }
    }
}

fn one<R: Read>(
    reader: &mut BufReader<R>,
    header: Header,
    members: &mut impl Members,
) -> io::Result<bool> {
    let unread = |why: &str| Unread::new(&header.name, why);
    if header.name.ends_with('/') && header.packed == 0 && !header.is_streamed() {
        return Ok(true);
    }
    let known = !header.is_streamed() || header.packed > 0;
    if header.name.len() > NAME_MAX && known {
        let goes_on = members.unread(Unread::named_too_long(header.name.as_bytes()));
        skip(reader, header.packed)?;
        if header.is_streamed() {
            descriptor(reader, header.zip64)?;
        }
        return Ok(goes_on);
    }
    if header.is_encrypted() || !matches!(header.method, 0 | 8) || !known && header.method == 0 {
        let goes_on = members.unread(unread(match header.method {
            _ if header.is_encrypted() => "encrypted: unpack it with its password first",
            0 => "stored without its length: unpack the archive first",
            _ => "packed by a method that is not read: unpack the archive first",
        }));
        if !known {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "where the next member begins is not said",
            ));
        }
        skip(reader, header.packed)?;
        if header.is_streamed() {
            descriptor(reader, header.zip64)?;
        }
        return Ok(goes_on);
    }
    let (crc, packed) = if header.method == 0 {
        let mut bytes = Checked::new(reader.by_ref().take(header.packed));
        let goes_on = members.member(&header.name, &mut bytes);
        if !goes_on {
            return Ok(false);
        }
        let crc = bytes.rest()?;
        if bytes.inner.limit() > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (crc, header.packed)
    } else {
        let mut bytes = Checked::new(DeflateDecoder::new(&mut *reader));
        let goes_on = members.member(&header.name, &mut bytes);
        if !goes_on {
            return Ok(false);
        }
        let crc = bytes.rest()?;
        (crc, bytes.inner.total_in())
    };
    let want = if header.is_streamed() { descriptor(reader, header.zip64)? } else { header.crc };
    // A member of a wrong length is caught by what should follow it.
    if known && packed < header.packed {
        skip(reader, header.packed - packed)?;
    }
    if crc != want {
        return Ok(members.unread(unread("its checksum differs: what could be unpacked was read")));
    }
    Ok(true)
}

/// A member's bytes, their checksum taken as they go by.
struct Checked<R> {
    inner: R,
    crc: Crc,
    fault: Option<io::Error>,
}

impl<R: Read> Checked<R> {
    fn new(inner: R) -> Self {
        Checked { inner, crc: Crc::new(), fault: None }
    }

    /// Passes over what has not been read; the checksum of all of it.
    fn rest(&mut self) -> io::Result<u32> {
        let copied = io::copy(self, &mut io::sink());
        match self.fault.take() {
            Some(error) => Err(error),
            None => copied.map(|_| self.crc.sum()),
        }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buf) {
            Ok(len) => {
                self.crc.update(&buf[..len]);
                Ok(len)
            }
            Err(error) => {
                self.fault = Some(io::Error::new(error.kind(), error.to_string()));
                Err(error)
            }
        }
    }
}

fn header(reader: &mut impl Read) -> io::Result<Header> {
    let mut raw = [0u8; 26];
    reader.read_exact(&mut raw)?;
    let short = |at: usize| u16::from_le_bytes([raw[at], raw[at + 1]]);
    let long = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let mut name = vec![0; usize::from(short(22))];
    reader.read_exact(&mut name)?;
    let mut extra = vec![0; usize::from(short(24))];
    reader.read_exact(&mut extra)?;
    let (mut packed, zip64) = (u64::from(long(14)), zip64(&extra));
    if let (0xffff_ffff, Some(field)) = (long(14), zip64) {
        // The length unpacked stands before it where that is long too.
        let at = if long(18) == 0xffff_ffff { 8 } else { 0 };
        let size = field.get(at..at + 8).and_then(|b| <[u8; 8]>::try_from(b).ok());
        packed = size.map_or(packed, u64::from_le_bytes);
    }
    Ok(Header {
        flags: short(2),
        method: short(4),
        crc: long(10),
        packed,
        zip64: zip64.is_some(),
        name: String::from_utf8_lossy(&name).into_owned(),
    })
}

fn zip64(mut extra: &[u8]) -> Option<&[u8]> {
    while let [a, b, c, d, rest @ ..] = extra {
        let len = usize::from(u16::from_le_bytes([*c, *d]));
        let field = rest.get(..len)?;
        if u16::from_le_bytes([*a, *b]) == ZIP64 {
            return Some(field);
        }
        extra = &rest[len..];
    }
    None
}

/// What follows a streamed member's bytes: its checksum.
fn descriptor(reader: &mut impl Read, zip64: bool) -> io::Result<u32> {
    let first = u32_of(reader)?;
    let crc = if first == DESCRIPTOR { u32_of(reader)? } else { first };
    skip(reader, if zip64 { 16 } else { 8 })?;
    Ok(crc)
}

fn u32_of(reader: &mut impl Read) -> io::Result<u32> {
    let mut raw = [0u8; 4];
    reader.read_exact(&mut raw)?;
    Ok(u32::from_le_bytes(raw))
}

fn skip(reader: &mut impl Read, bytes: u64) -> io::Result<()> {
    let passed = io::copy(&mut reader.by_ref().take(bytes), &mut io::sink())?;
    if passed < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use super::*;

    /// How a member is packed.
    #[derive(Clone, Copy)]
    pub(crate) enum As {
        Stored,
        Deflated,
        /// With its sizes behind it, as programs write that can't go back.
        Streamed,
    }

    /// An archive with these members.
    pub(crate) fn zip(members: &[(&str, &[u8], As)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, bytes, how) in members {
            let mut crc = Crc::new();
            crc.update(bytes);
            let packed = match how {
                As::Stored => bytes.to_vec(),
                As::Deflated | As::Streamed => {
                    let level = flate2::Compression::default();
                    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), level);
                    packer.write_all(bytes).expect("in memory");
                    packer.finish().expect("in memory")
                }
            };
            let streamed = matches!(how, As::Streamed);
            let sizes: Vec<u8> = [crc.sum(), packed.len() as u32, bytes.len() as u32]
                .into_iter()
                .flat_map(u32::to_le_bytes)
                .collect();
            let method: u16 = if matches!(how, As::Stored) { 0 } else { 8 };
            let flags: u16 = if streamed { 8 } else { 0 };
            out.extend(LOCAL.to_le_bytes());
            for short in [20, flags, method, 0, 0] {
                out.extend(short.to_le_bytes());
            }
            out.extend(if streamed { vec![0; 12] } else { sizes.clone() });
            out.extend((name.len() as u16).to_le_bytes());
            out.extend(0u16.to_le_bytes());
            out.extend(name.as_bytes());
            out.extend(packed);
            if streamed {
                out.extend(DESCRIPTOR.to_le_bytes());
                out.extend(sizes);
            }
        }
        out.extend(0x0201_4b50u32.to_le_bytes());
        out.extend([0; 40]);
        out
    }

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Members for Seen {
        fn member(&mut self, name: &str, bytes: &mut dyn Read) -> bool {
            // Half of it only: the rest is passed over.
            let mut some = [0; 3];
            let len = bytes.read(&mut some).unwrap_or(0);
            self.0.push(format!("{name}={}", String::from_utf8_lossy(&some[..len])));
            true
        }

        fn unread(&mut self, unread: Unread) -> bool {
            self.0.push(format!("{}: {}", unread.name, unread.why));
            true
        }
    }

    fn seen(bytes: &[u8]) -> (Vec<String>, bool) {
        let mut seen = Seen::default();
        let ended = read(bytes, &mut seen).is_ok();
        (seen.0, ended)
    }

    #[test]
    fn members_of_every_kind_follow_each_other() {
        let long = "abc".repeat(50_000);
        let archive = zip(&[
            ("a/", b"", As::Stored),
            ("a/b", long.as_bytes(), As::Streamed),
            ("c", b"def", As::Stored),
            ("d", long.as_bytes(), As::Deflated),
        ]);
        assert_eq!(seen(&archive), (vec!["a/b=abc".into(), "c=def".into(), "d=abc".into()], true));
    }

    #[test]
    fn broken_archives_give_what_came_before() {
        let archive = zip(&[("a", b"abc", As::Stored), ("b", b"defghi", As::Deflated)]);
        for len in 0..archive.len() - 44 {
            let (names, ended) = seen(&archive[..len]);
            assert!(!ended && names.len() <= 2, "{len}: {names:?}");
        }
        let mut wrong = archive.clone();
        wrong[14] ^= 1;
        let told = seen(&wrong).0;
        assert!(told[1].starts_with("a: its checksum differs"), "{told:?}");
        let mut locked = archive.clone();
        locked[6] |= 1;
        assert!(seen(&locked).0[0].starts_with("a: encrypted"), "{:?}", seen(&locked).0);
        let mut strange = archive;
        strange[8] = 14;
        assert!(seen(&strange).0[0].starts_with("a: packed by a method"));
        assert_eq!(seen(&strange).0[1], "b=def");
    }
}
