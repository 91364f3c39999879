//! Escape sequences of a terminal, taken out: tools colour what they print, and people copy that.

use std::borrow::Cow;
use std::io::{self, Read};

/// Without escape sequences of a terminal.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    let mut colours = Colours::default();
    bytes.retain(|byte| colours.keeps(*byte));
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Takes the escape sequences of a terminal out of a stream, however it is cut.
///
/// # Sources
/// ECMA-48: CSI (`ESC [` … a byte from `@` to `~`), OSC (`ESC ]` … BEL or `ESC \`), and sequences of
/// two bytes or of three (`ESC (B`).
#[derive(Default)]
pub(crate) struct Colours(Escape);

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    Outside,
    Begun,
    Control,
    Command,
    CommandEnds,
    Charset,
}

/// A stream without them.
pub(crate) struct Plain<R> {
    pub(crate) inner: R,
    pub(crate) colours: Colours,
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.inner.read(buf)?;
            let mut kept = 0;
            for at in 0..read {
                if self.colours.keeps(buf[at]) {
                    buf[kept] = buf[at];
                    kept += 1;
                }
            }
            // An empty piece would mean the end.
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}

impl Colours {
    fn keeps(&mut self, byte: u8) -> bool {
        const ESC: u8 = 0x1b;
        let before = self.0;
        self.0 = match (before, byte) {
            // A line's end ends whatever was left open: a stray escape costs no more than its line.
            (_, b'\n') => Escape::Outside,
            (Escape::Outside | Escape::Begun | Escape::Control | Escape::Charset, ESC) => {
                Escape::Begun
            }
            (Escape::Begun, b'[') => Escape::Control,
            (Escape::Begun, b']') => Escape::Command,
            (Escape::Begun, b'(' | b')' | b'#') => Escape::Charset,
            (Escape::Control, b'@'..=b'~') | (Escape::Command, 7) => Escape::Outside,
            (Escape::Control, _) => Escape::Control,
            (Escape::Command, ESC) => Escape::CommandEnds,
            (Escape::Command, _) => Escape::Command,
            (Escape::Outside | Escape::Begun | Escape::CommandEnds | Escape::Charset, _) => {
                Escape::Outside
            }
        };
        byte == b'\n' || before == Escape::Outside && byte != ESC
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURED: &str = "\u{1b}[1;31mERROR\u{1b}[0m x\u{1b}]0;title\u{7}y\u{1b}(Bz \u{1b}]8;;http://a\u{1b}\\é\u{1b}[K\n\u{1b}]cut\nnext";

    #[test]
    fn what_is_left_is_what_a_reader_sees() {
        assert_eq!(plain(COLOURED), "ERROR xyz é\n\nnext");
        assert!(matches!(plain("as it is"), Cow::Borrowed("as it is")));
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        /// Gives one byte at a time.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let n = self.0.len().min(1).min(buf.len());
                let (now, rest) = self.0.split_at(n);
                buf[..n].copy_from_slice(now);
                self.0 = rest;
                Ok(n)
            }
        }
        let mut out = String::new();
        let mut stream = Plain { inner: Slow(COLOURED.as_bytes()), colours: Colours::default() };
        stream.read_to_string(&mut out).expect("UTF-8");
        assert_eq!(out, plain(COLOURED));
    }
}
