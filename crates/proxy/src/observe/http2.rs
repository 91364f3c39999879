//! HTTP/2 frames, as much as counting needs (RFC 9113, 4.1): streams that clients open and the
//! class of the first response on each. Header blocks stay compressed: a status is read where it
//! stands in the static table or as a literal, and is `other` where it only refers to the
//! connection's dynamic table.

use std::collections::HashSet;

use super::lost::Lost;

/// The connection preface of HTTP/2 (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams that may be unanswered before we stop looking.
const STREAMS_MAX: usize = 4096;
/// Bytes of a payload that are kept: padding, priority and the first field fit.
const PAYLOAD_KEPT: usize = 16;
const HEADERS: u8 = 1;

#[derive(Debug, Default)]
struct Direction {
    head: Vec<u8>,
    payload: Vec<u8>,
    left: usize,
}

impl Direction {
    /// Goes through bytes; shows type, flags, stream and the beginning of each frame's payload.
    fn frames(
        &mut self,
        mut bytes: &[u8],
        mut frame: impl FnMut(u8, u8, u32, &[u8]) -> Result<(), Lost>,
    ) -> Result<(), Lost> {
        loop {
            if self.head.len() < 9 {
                let n = (9 - self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..n]);
                bytes = &bytes[n..];
                if self.head.len() < 9 {
                    return Ok(());
                }
                let h = &self.head;
                self.left = usize::from(h[0]) << 16 | usize::from(h[1]) << 8 | usize::from(h[2]);
            }
            let n = self.left.min(bytes.len());
            let kept = n.min(PAYLOAD_KEPT - self.payload.len().min(PAYLOAD_KEPT));
            self.payload.extend_from_slice(&bytes[..kept]);
            bytes = &bytes[n..];
            self.left -= n;
            if self.left > 0 {
                return Ok(());
            }
            let h = &self.head;
            let stream = u32::from_be_bytes([h[5] & 0x7f, h[6], h[7], h[8]]);
            frame(h[3], h[4], stream, &self.payload)?;
            self.head.clear();
            self.payload.clear();
        }
    }
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    preface: usize,
    up: Direction,
    down: Direction,
    highest: u32,
    unanswered: HashSet<u32>,
}

impl Frames {
    /// Looks at bytes of the client; adds how many requests began.
    pub(super) fn requests(&mut self, mut bytes: &[u8], count: &mut u64) -> Result<(), Lost> {
        let n = (PREFACE.len() - self.preface).min(bytes.len());
        if bytes[..n] != PREFACE[self.preface..self.preface + n] {
            return Err(Lost);
        }
        self.preface += n;
        bytes = &bytes[n..];
        let (highest, unanswered) = (&mut self.highest, &mut self.unanswered);
        self.up.frames(bytes, |kind, _, stream, _| {
            // Trailers come as HEADERS too, on a stream that is known.
            if kind == HEADERS && stream % 2 == 1 && stream > *highest {
                *highest = stream;
                *count += 1;
                unanswered.insert(stream);
            }
            if unanswered.len() > STREAMS_MAX { Err(Lost) } else { Ok(()) }
        })
    }

    /// Looks at bytes of the destination; tells the class of each stream's first final response.
    pub(super) fn responses(
        &mut self,
        bytes: &[u8],
        count: &mut impl FnMut(u8),
    ) -> Result<(), Lost> {
        let unanswered = &mut self.unanswered;
        self.down.frames(bytes, |kind, flags, stream, payload| {
            const RST_STREAM: u8 = 3;
            match kind {
                RST_STREAM => drop(unanswered.remove(&stream)),
                HEADERS if unanswered.contains(&stream) => {
                    let class = class(flags, payload);
                    if class != 1 {
                        unanswered.remove(&stream);
                        count(class);
                    }
                }
                _ => {}
            }
            Ok(())
        })
    }
}

/// First digit of the status, 0 where the first field doesn't show it (RFC 7541, 6 and A).
fn class(flags: u8, payload: &[u8]) -> u8 {
    let (padded, priority) = (flags & 0x8 != 0, flags & 0x20 != 0);
    let start = usize::from(padded) + if priority { 5 } else { 0 };
    match payload.get(start..) {
        Some([0x88..=0x8a, ..]) => 2,
        Some([0x8b, ..]) => 3,
        Some([0x8c | 0x8d, ..]) => 4,
        Some([0x8e, ..]) => 5,
        Some([0x08 | 0x18 | 0x48..=0x4e, 3, digit @ b'1'..=b'5', ..]) => digit - b'0',
        // Huffman (RFC 7541, B): '1' to '5' are 00001, 00010, 011001, 011010, 011011.
        Some([0x08 | 0x18 | 0x48..=0x4e, 0x82 | 0x83, first, ..]) => match first >> 2 {
            0b00_0010 | 0b00_0011 => 1,
            0b00_0100 | 0b00_0101 => 2,
            0b01_1001 => 3,
            0b01_1010 => 4,
            0b01_1011 => 5,
            _ => 0,
        },
        _ => 0,
    }
}
