//! Standard output and standard error: colours where they are wanted, broken pipes told apart.

use std::io::{self, Write as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use sunup_api::show;

use crate::global::{Color, Global};

impl Global {
    /// The choice in `anstream`'s words. `Auto` honours `NO_COLOR`, `CLICOLOR_FORCE` and `TERM`.
    fn choice(self) -> ColorChoice {
        match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }
}

/// Writes styled text to standard output; the styles are dropped where they are not wanted.
pub(crate) fn print(global: &Global, text: &str) -> io::Result<()> {
    let mut out = AutoStream::new(io::stdout().lock(), global.choice());
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes styled text to standard error, where a failure to do so is of no use to anybody.
pub(crate) fn eprint(global: &Global, text: &str) {
    let mut out = AutoStream::new(io::stderr().lock(), global.choice());
    let _ = out.write_all(text.as_bytes());
}

/// Prints an error and its causes; whatever names they have, no line of them looks like one of ours.
pub(crate) fn error(global: &Global, error: &anyhow::Error) {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let said = show::indented(&format!("{error:#}"));
    eprint(global, &format!("{red}error{red:#}: {said}\n"));
}

/// Prints something worth knowing that is no part of the output.
pub(crate) fn note(global: &Global, text: &str) {
    let bold = Style::new().bold();
    eprint(global, &format!("{bold}note{bold:#}: {}\n", show::indented(text)));
}

/// Whether the error is that nobody reads our output any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
