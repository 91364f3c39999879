//! Compressed streams and texts of other encodings, opened up by content.

use std::cell::RefCell;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use xz4rust::{XzDecoder, XzNextBlockResult};

/// A compressed file within a compressed file is followed this far.
const LAYERS_MAX: usize = 4;

const BUFFER: usize = 256 << 10;

/// Bytes that are unpacked at once.
const AT_ONCE: usize = 16 << 10;

/// The largest window of an xz stream: what `xz -9` writes.
const XZ_WINDOW_MAX: usize = 64 << 20;

/// The largest window of a zstd stream: what `zstd --long` writes.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The largest window within something that is packed itself: what `zstd -19` and `xz -6` write.
const INNER_WINDOW_LOG: u32 = 23;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0x1f, 0x8b, 8, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Packing::Xz),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Some(Packing::Bzip2),
        // A stream of nothing.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => Some(Packing::Bzip2),
        _ => None,
    }
}

/// How many bytes tell how a stream is packed.
const MAGIC: usize = 6;

/// A stream as its packing gives it.
enum Unpacked<R: Read> {
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<R>>),
    Xz(Box<Xz<R>>),
    Bzip2(MultiBzDecoder<R>),
}

impl<R: Read> Unpacked<R> {
    /// `inner` where something packed is unpacked around it: several windows are held at once then.
    fn new(packing: Packing, packed: R, inner: bool) -> io::Result<Self> {
        Ok(match packing {
            Packing::Gzip => {
                let buffered = BufReader::with_capacity(BUFFER, packed);
                Unpacked::Gzip(Box::new(MultiGzDecoder::new(buffered)))
            }
            Packing::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(packed)?;
                decoder.window_log_max(if inner { INNER_WINDOW_LOG } else { ZSTD_WINDOW_LOG })?;
                Unpacked::Zstd(decoder)
            }
            Packing::Xz => {
                let window = if inner { 1 << INNER_WINDOW_LOG } else { XZ_WINDOW_MAX };
                Unpacked::Xz(Box::new(Xz::new(packed, window)))
            }
            Packing::Bzip2 => Unpacked::Bzip2(MultiBzDecoder::new(packed)),
        })
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // A decoder that meets damage takes with it what it has unpacked since it was asked.
        let len = buf.len().min(AT_ONCE);
        let buf = &mut buf[..len];
        match self {
            Unpacked::Gzip(inner) => inner.read(buf),
            Unpacked::Zstd(inner) => inner.read(buf).map_err(of_window),
            Unpacked::Xz(inner) => inner.read(buf),
            Unpacked::Bzip2(inner) => inner.read(buf),
        }
    }
}

/// zstd's words for a window that is too large, with what to do.
fn of_window(error: io::Error) -> io::Error {
    if !error.to_string().contains("requires too much memory") {
        return error;
    }
    let why = format!(
        "zstd with a window of more than {} MiB, or of more than {} MiB within something packed: \
         decompress it first (zstd -d --long=31)",
        1 << (ZSTD_WINDOW_LOG - 20),
        1 << (INNER_WINDOW_LOG - 20),
    );
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// xz streams one after another, with the zero bytes that may stand between them.
struct Xz<R> {
    inner: R,
    /// The largest that is taken.
    window: usize,
    decoder: XzDecoder<'static>,
    raw: Vec<u8>,
    at: usize,
    len: usize,
    /// Between two streams.
    between: bool,
}

impl<R: Read> Xz<R> {
    fn new(inner: R, window: usize) -> Self {
        let decoder = XzDecoder::with_alloc_dict_size(0, window);
        Xz { inner, window, decoder, raw: vec![0; 64 << 10], at: 0, len: 0, between: false }
    }
}

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !buf.is_empty() {
            if self.at == self.len {
                (self.at, self.len) = (0, self.inner.read(&mut self.raw)?);
                if self.len == 0 {
                    let ends = if self.between { Ok(0) } else { Err(io::ErrorKind::UnexpectedEof) };
                    return ends.map_err(io::Error::from);
                }
            }
            if self.between {
                if self.raw[self.at] == 0 {
                    self.at += 1;
                    continue;
                }
                self.decoder.reset();
                self.between = false;
            }
            let (used, made) = match self.decoder.decode(&self.raw[self.at..self.len], buf) {
                Ok(XzNextBlockResult::NeedMoreData(used, made)) => (used, made),
                Ok(XzNextBlockResult::EndOfStream(used, made)) => {
                    self.between = true;
                    (used, made)
                }
                Err(xz4rust::XzError::DictionaryTooLarge(_)) => {
                    let mib = self.window >> 20;
                    let why = format!(
                        "xz with a window of more than {mib} MiB: decompress it first (xz -d)"
                    );
                    return Err(io::Error::new(io::ErrorKind::Unsupported, why));
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            };
            self.at += used;
            if made > 0 {
                return Ok(made);
            }
        }
        Ok(0)
    }
}

/// Whether a stream that begins so is compressed.
pub(crate) fn is_packed(head: &[u8]) -> bool {
    packing(head).is_some()
}

/// A stream with the bytes in front of it that were read to see what it is.
pub(crate) type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// The first bytes of a stream, and the stream with them back in front.
pub(crate) fn peek<R: Read>(mut reader: R, bytes: usize) -> io::Result<(Vec<u8>, Whole<R>)> {
    let mut head = Vec::new();
    reader.by_ref().take(bytes as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(reader)))
}

pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        let why = format!("{} is a directory", path.display());
        return Err(io::Error::new(io::ErrorKind::IsADirectory, why));
    }
    let mut reader: Box<dyn Read + Send> = Box::new(file);
    for layer in 0..LAYERS_MAX {
        let (head, whole) = peek(reader, MAGIC)?;
        reader = match packing(&head) {
            Some(packing) => Box::new(Unpacked::new(packing, whole, layer > 0)?),
            None => return Ok(Box::new(whole)),
        };
    }
    Ok(reader)
}

/// A stream without its compression, and whether it had any. It lies `depth` archives deep; what
/// comes out of each layer is `bounded`.
pub(crate) fn unpacked<'r, B: Read + 'r>(
    reader: Box<dyn Read + 'r>,
    depth: usize,
    bounded: impl Fn(Box<dyn Read + 'r>) -> B,
) -> io::Result<(Box<dyn Read + 'r>, bool)> {
    let mut reader = reader;
    for layer in 0..LAYERS_MAX {
        let (head, whole) = peek(reader, MAGIC)?;
        reader = match packing(&head) {
            Some(packing) => {
                let unpacked = Unpacked::new(packing, whole, layer + depth > 0)?;
                Box::new(bounded(Box::new(unpacked)))
            }
            // What came out of an archive counts as unpacked, too.
            None if depth > 0 && layer == 0 => {
                return Ok((Box::new(bounded(Box::new(whole))), false));
            }
            None => return Ok((Box::new(whole), layer > 0)),
        };
    }
    Ok((reader, true))
}

/// What went wrong while a stream was read; what came before counts.
pub(crate) type Fault = Rc<RefCell<Option<io::Error>>>;

/// A stream that ends where it breaks, and remembers why.
pub(crate) struct Tolerant<R> {
    pub(crate) inner: R,
    pub(crate) fault: Fault,
}

impl<R: Read> Read for Tolerant<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.fault.borrow().is_some() {
            return Ok(0);
        }
        match self.inner.read(buf) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                *self.fault.borrow_mut() = Some(error);
                Ok(0)
            }
            read => read,
        }
    }
}

/// Counts bytes as they are read.
pub(crate) struct Counted<R, F> {
    pub(crate) inner: R,
    pub(crate) count: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        (self.count)(read as u64);
        Ok(read)
    }
}

/// Whether a text is UTF-16: by its byte order mark, or by ASCII with zero bytes between.
pub(crate) fn utf16(head: &[u8]) -> Option<Order> {
    match head {
        [0xff, 0xfe, ..] => Some(Order::Little),
        [0xfe, 0xff, ..] => Some(Order::Big),
        [a, 0, b, 0, ..] if is_plain(*a) && is_plain(*b) => Some(Order::Little),
        [0, a, 0, b, ..] if is_plain(*a) && is_plain(*b) => Some(Order::Big),
        _ => None,
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte.is_ascii_whitespace()
}

/// Order of the two bytes of a UTF-16 unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

/// UTF-16 as UTF-8; what is no character becomes U+FFFD.
pub(crate) struct Utf16<R> {
    inner: R,
    order: Order,
    odd: Option<u8>,
    high: Option<u16>,
    ready: Vec<u8>,
    given: usize,
}

impl<R: Read> Utf16<R> {
    pub(crate) fn new(inner: R, order: Order) -> Self {
        Utf16 { inner, order, odd: None, high: None, ready: Vec::new(), given: 0 }
    }

    fn more(&mut self) -> io::Result<bool> {
        let mut raw = [0u8; 16 << 10];
        let len = self.inner.read(&mut raw)?;
        self.ready.clear();
        self.given = 0;
        for byte in &raw[..len] {
            match self.odd.take() {
                None => self.odd = Some(*byte),
                Some(first) => {
                    let pair = [first, *byte];
                    self.unit(match self.order {
                        Order::Little => u16::from_le_bytes(pair),
                        Order::Big => u16::from_be_bytes(pair),
                    });
                }
            }
        }
        Ok(len > 0)
    }

    fn unit(&mut self, unit: u16) {
        let units: Vec<u16> = self.high.take().into_iter().chain([unit]).collect();
        if units.len() == 1 && (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return;
        }
        for c in char::decode_utf16(units) {
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            if c != '\u{feff}' {
                self.ready.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() {
            if !self.more()? {
                return Ok(0);
            }
        }
        let len = buf.len().min(self.ready.len() - self.given);
        buf[..len].copy_from_slice(&self.ready[self.given..self.given + len]);
        self.given += len;
        Ok(len)
    }
}
