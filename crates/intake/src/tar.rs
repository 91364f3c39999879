//! Tar archives as they stream by, member after member. What stands before a member's bytes is
//! read in bounded memory: a name or a header may claim any length.
//!
//! Knows the container alone; what a member holds is recognised as any file is.
//!
//! # Sources
//! POSIX.1-2024, `pax`, "ustar Interchange Format" and "pax Header Block"; GNU tar's manual,
//! "Basic Tar Format" (`L`, `K`, `S`, numbers in base 256).

use std::io::{self, BufReader, Read};

use crate::members::{Members, NAME_MAX, Unread};

const BLOCK: usize = 512;
const BUFFER: usize = 64 << 10;

/// Headers that say more about the next member: longer ones hold nothing that is asked for.
const HEADER_MAX: u64 = 64 << 10;

/// What headers in front of a member say of it.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// A header was longer than is read: nothing is known of the member then.
    beyond: bool,
}

/// Goes through an archive.
///
/// # Errors
/// What the reader reports, and where the archive can't be followed any further.
pub(crate) fn read(reader: impl Read, members: &mut impl Members) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    let mut said = Said::default();
    let mut block = [0u8; BLOCK];
    while fill(&mut reader, &mut block)? && block.iter().any(|byte| *byte != 0) {
        check(&block)?;
        let size = number(&block[124..136]).ok_or_else(|| broken("a size that is no number"))?;
        match block[156] {
            b'L' => said.name = extension(&mut reader, size, &mut said.beyond)?,
            b'x' => {
                if let Some(records) = extension(&mut reader, size, &mut said.beyond)? {
                    said.add(&records);
                }
            }
            kind => {
                let said = std::mem::take(&mut said);
                let size = said.size.unwrap_or(size);
                let name = said.name.unwrap_or_else(|| name_of(&block));
                let goes_on = match kind {
                    _ if said.beyond => {
                        let why = "a name or a header of more than 64 KiB: the member is not read";
                        members.unread(Unread::new(&String::from_utf8_lossy(&name), why))
                    }
                    b'0' | b'7' | 0 if name.ends_with(b"/") => true,
                    b'0' | b'7' | 0 if name.len() > NAME_MAX => {
                        members.unread(Unread::named_too_long(&name))
                    }
                    b'0' | b'7' | 0 => {
                        let mut bytes = reader.by_ref().take(size);
                        let goes_on = members.member(&String::from_utf8_lossy(&name), &mut bytes);
                        let left = bytes.limit();
                        if !goes_on {
                            return Ok(());
                        }
                        skip(&mut reader, left)?;
                        skip(&mut reader, padding(size))?;
                        continue;
                    }
                    b'S' => {
                        pass_sparse_map(&mut reader, &block)?;
                        let why = "a file with holes: unpack the archive first";
                        members.unread(Unread::new(&String::from_utf8_lossy(&name), why))
                    }
                    _ => true,
                };
                if !goes_on {
                    return Ok(());
                }
                skip(&mut reader, size)?;
                skip(&mut reader, padding(size))?;
            }
        }
    }
    Ok(())
}

impl Said {
    /// Takes what is asked for out of records: `27 path=a/long/name\n`, the length being the record's.
    fn add(&mut self, mut records: &[u8]) {
        while let Some(space) = records.iter().position(|byte| *byte == b' ') {
            let len = std::str::from_utf8(&records[..space]).ok().and_then(|n| n.parse().ok());
            let Some(record) = len.and_then(|len: usize| records.get(space + 1..len)) else {
                return;
            };
            let record_end = space + 1 + record.len();
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            if let Some(path) = record.strip_prefix(b"path=") {
                self.name = Some(path.to_vec());
            } else if let Some(size) = record.strip_prefix(b"size=") {
                self.size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok());
            }
            records = &records[record_end..];
        }
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// Reads a block; `false` where the archive ends before it.
fn fill(reader: &mut impl Read, block: &mut [u8; BLOCK]) -> io::Result<bool> {
    let mut len = 0;
    while len < BLOCK {
        match reader.read(&mut block[len..]) {
            Ok(0) if len == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => len += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Holds a header against its checksum, which counts its own field as blanks.
fn check(block: &[u8; BLOCK]) -> io::Result<()> {
    let sum =
        |range: std::ops::Range<usize>| block[range].iter().map(|b| u64::from(*b)).sum::<u64>();
    let want = number(&block[148..156]);
    let got = sum(0..148) + 8 * u64::from(b' ') + sum(156..BLOCK);
    if want == Some(got) { Ok(()) } else { Err(broken("a header's checksum differs")) }
}

/// A number in octal digits, or in base 256 where its first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        // Negative ones are no sizes; what does not fit in 64 bits is no size either.
        let (zeros, low) = rest.split_at(rest.len().saturating_sub(8));
        let small = first & 0x7f == 0 && zeros.iter().all(|byte| *byte == 0);
        return small.then(|| low.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)));
    }
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let text = std::str::from_utf8(&field[..end]).ok()?.trim();
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// A header's own name, with the prefix that ustar has room for.
fn name_of(block: &[u8; BLOCK]) -> Vec<u8> {
    let until_zero = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        field[..end].to_vec()
    };
    let name = until_zero(&block[..100]);
    let prefix = until_zero(&block[345..500]);
    if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
        return [prefix, b"/".to_vec(), name].concat();
    }
    name
}

/// The bytes of a header about the next member; `None` where it is longer than is read.
fn extension(reader: &mut impl Read, size: u64, beyond: &mut bool) -> io::Result<Option<Vec<u8>>> {
    if size > HEADER_MAX {
        *beyond = true;
        skip(reader, size)?;
        skip(reader, padding(size))?;
        return Ok(None);
    }
    let mut bytes = Vec::new();
    reader.take(size).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    skip(reader, padding(size))?;
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(Some(bytes))
}

/// Passes the blocks in which a file with many holes goes on to say where they are.
fn pass_sparse_map(reader: &mut impl Read, header: &[u8; BLOCK]) -> io::Result<()> {
    let mut goes_on = header[482] != 0;
    let mut block = [0u8; BLOCK];
    while goes_on {
        if !fill(reader, &mut block)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        goes_on = block[504] != 0;
    }
    Ok(())
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn skip(reader: &mut impl Read, len: u64) -> io::Result<()> {
    let passed = io::copy(&mut reader.take(len), &mut io::sink())?;
    if passed < len { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
