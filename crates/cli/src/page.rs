//! How a report for people is to look where it goes: as wide as there is room.

use std::io::IsTerminal as _;

use sunup_doctor::report::Look;

/// Columns of a report that goes into a file or a pipe.
const WIDTH: usize = 80;
/// On a terminal of any width, lines longer than this are hard to read.
const WIDTH_MAX: usize = 110;
/// Below this the drawing makes no sense any more.
const WIDTH_MIN: usize = 60;

/// For standard output.
pub(crate) fn look(verbose: bool) -> Look {
    let terminal = std::io::stdout().is_terminal();
    let width = match terminal_size::terminal_size_of(std::io::stdout()) {
        Some((terminal_size::Width(columns), _)) => {
            usize::from(columns).clamp(WIDTH_MIN, WIDTH_MAX)
        }
        None => WIDTH,
    };
    // A pipe or a file takes UTF-8; what a terminal can show, its environment says.
    Look { width, ascii: terminal && only_ascii(), verbose }
}

/// Whether the terminal is one that draws nothing but ASCII.
fn only_ascii() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if set("TERM").is_some_and(|term| matches!(term.as_str(), "dumb" | "linux")) {
        return true;
    }
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        !(locale.contains("utf-8") || locale.contains("utf8"))
    })
}
