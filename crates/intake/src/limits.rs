//! How much of an input is read: what keeps a small file from taking a machine's memory or an hour.
//! Nothing here bounds the bytes of a log or of an archive that is as large as it looks.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Bounds of what is read. What lies beyond one is named with the option that raises it, and the
/// rest is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Members of one input's archives, those of archives within them counted too.
    pub members: usize,
    /// How many times its own size an input may come to when it is unpacked, over all that is packed
    /// within it.
    pub expansion: u64,
    /// Bytes that it may come to whatever its size.
    pub unpacked: u64,
    /// Bytes of a text that is read as a whole, such as a list of objects.
    pub text: u64,
    /// Bytes of one object or entry; one of many small values counts for more than its text.
    pub object: u64,
    /// Bytes of memory that all evidence together may take that is kept until it is judged.
    pub kept: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            members: 200_000,
            expansion: 1000,
            unpacked: 256 << 20,
            text: 1 << 30,
            object: 32 << 20,
            kept: sunup_evidence::collect::KEPT_MAX,
        }
    }
}

/// Shorter texts are not looked at: whatever they hold is little.
const SMALL: usize = 1 << 20;

/// What JSON takes in memory beyond its text, in proportion to [`Limits::object`].
const TIMES: u64 = 16;

impl Limits {
    /// Whether JSON takes more memory than one object may. A value takes some 32 bytes however
    /// short it is, a map at least 600.
    pub(crate) fn is_too_large(&self, json: &[u8]) -> bool {
        if json.len() < SMALL.min(usize::try_from(self.object).unwrap_or(SMALL)) {
            return false;
        }
        let opened = memchr::memchr2_iter(b'{', b'[', json)
            .map(|at| if json[at] == b'{' { 600 } else { 160 })
            .sum::<u64>();
        let values = memchr::memchr_iter(b',', json).count() as u64 * 32;
        json.len() as u64 > self.object || opened + values > self.object.saturating_mul(TIMES)
    }

    /// Nodes of YAML that one text may have: each takes some 160 bytes.
    pub(crate) fn yaml(&self) -> sunup_yaml::Limits {
        let nodes = self.object.saturating_mul(TIMES) / 128;
        let nodes_max = usize::try_from(nodes).unwrap_or(usize::MAX);
        sunup_yaml::Limits { nodes_max, ..sunup_yaml::Limits::default() }
    }

    /// Why an object is not read.
    pub(crate) fn object_told(&self) -> String {
        let mib = self.object.div_ceil(1 << 20);
        format!("an object of more than {mib} MiB, or of as many values: not read (--max-object)")
    }
}

/// What has been read of one input, and what came out of it.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    /// Bytes as they were handed over.
    raw: Cell<u64>,
    /// Bytes at all levels of unpacking.
    unpacked: Cell<u64>,
    members: Cell<usize>,
    over: Cell<bool>,
}

impl Spent {
    /// Counts a member; `false` where there were too many already.
    pub(crate) fn member(&self, limits: &Limits) -> bool {
        self.members.set(self.members.get() + 1);
        self.members.get() <= limits.members
    }

    /// Whether a limit of the whole input has been reached: nothing more of it is read.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Ends the reading of the input.
    pub(crate) fn end(&self) {
        self.over.set(true);
    }
}

/// A stream as it was handed over.
pub(crate) struct Raw<R> {
    pub(crate) inner: R,
    pub(crate) spent: Rc<Spent>,
}

impl<R: Read> Read for Raw<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buf)?;
        self.spent.raw.set(self.spent.raw.get() + len as u64);
        Ok(len)
    }
}

/// A stream that came out of unpacking, and ends where the input has come to too much.
pub(crate) struct Bounded<R> {
    pub(crate) inner: R,
    pub(crate) spent: Rc<Spent>,
    pub(crate) limits: Limits,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let spent = &self.spent;
        if spent.is_over() {
            return Ok(0);
        }
        let len = self.inner.read(buf)?;
        spent.unpacked.set(spent.unpacked.get().saturating_add(len as u64));
        let raw = spent.raw.get().saturating_mul(self.limits.expansion);
        if spent.unpacked.get() > raw.saturating_add(self.limits.unpacked) {
            spent.end();
            let times = self.limits.expansion;
            let why = format!("unpacks to more than {times} times its size (--max-expansion)");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        Ok(len)
    }
}
