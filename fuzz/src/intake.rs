//! Reading, whatever is handed over: nothing panics, nothing takes more than its limits, and the
//! outcome is the same however the bytes arrive.

use std::io::{self, Cursor, Read};

use sunup_evidence::collect::Collector;
use sunup_evidence::scope::Scope;
use sunup_evidence::snapshot::Snapshot;
use sunup_intake::{Input, Limits, Options, Summary};

use crate::dice;

/// Small, so that what lies behind a limit is met often.
fn limits() -> Limits {
    Limits {
        members: MEMBERS,
        expansion: 200,
        unpacked: 1 << 20,
        text: 1 << 20,
        object: 64 << 10,
        ..Limits::default()
    }
}

const MEMBERS: usize = 64;

/// Reads one text or archive as standard input, whole and, now and then, in pieces.
pub fn stream(bytes: &[u8]) {
    let (summary, snapshot) = read(Cursor::new(bytes.to_vec()));
    assert!(summary.files <= MEMBERS as u64 + 1, "{summary:?}");
    let dice = dice(bytes);
    if dice % 4 == 0 {
        let size = 1 + (dice / 4 % 97) as usize;
        let pieces = read(Pieces { bytes: bytes.to_vec(), at: 0, size });
        // Of what is packed and damaged some bytes before the damage are lost, more or fewer.
        let damaged = summary.unreadable > 0 && is_packed(bytes);
        if !damaged {
            assert_eq!(pieces.0, summary, "in pieces of {size}");
            assert_eq!(told(&pieces.1), told(&snapshot), "in pieces of {size}");
        }
    }
}

fn read(reader: impl Read + Send + 'static) -> (Summary, Snapshot) {
    collect(Input::Stdin(Box::new(reader)))
}

/// What the doctor says of it: a snapshot has indices as well, which are in no order.
fn told(snapshot: &Snapshot) -> String {
    sunup_doctor::report::json(&sunup_doctor::diagnose(snapshot).report)
}

fn is_packed(bytes: &[u8]) -> bool {
    matches!(sunup_intake::shape(bytes, true), sunup_intake::Shape::Packed)
}

/// What is read of an input.
pub fn collect(input: Input) -> (Summary, Snapshot) {
    let mut collector = Collector::new(Scope::default());
    let options = Options { threads: 1, limits: limits(), ..Options::default() };
    let summary = sunup_intake::read(vec![input], &options, &mut collector);
    (summary, collector.finish())
}

/// A reader that hands over a few bytes at a time.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    size: usize,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.at..];
        let len = rest.len().min(self.size).min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}
