//! The terminal: where the status line goes, and how lines and it stay out of each other's way.

use std::io::{IsTerminal, Write, stderr, stdout};

use terminal_size::{Width, terminal_size_of};

/// To the first column, and clear to the end of the line.
const CLEAR: &str = "\r\x1b[K";
/// Assumed where the terminal does not tell its width.
const USUAL_WIDTH: usize = 80;

/// Whether people read the logs, in colour.
pub(super) fn wants_color() -> bool {
    stderr().is_terminal()
        && moves_cursor()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether the terminal understands more than text.
fn moves_cursor() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "dumb");
    set("TERM") || (cfg!(windows) && set("WT_SESSION"))
}

/// The width of the terminal on stdout, for what is printed once.
pub(crate) fn stdout_width() -> usize {
    terminal_size_of(stdout()).map_or(USUAL_WIDTH, |(Width(width), _)| width.into())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Stderr,
    Stdout,
}

/// Writes lines to stderr, around the status line if there is one.
pub(super) struct Output {
    place: Place,
    /// The status line that is on the terminal; empty if none is.
    shown: String,
}

impl Output {
    /// The status line goes to the terminal on stderr, if `among_lines` may stand there, else to the
    /// one on stdout; without a terminal there is none, nor where none is `wanted`.
    pub(super) fn new(wanted: bool, among_lines: bool) -> Output {
        let place = match (stderr().is_terminal(), stdout().is_terminal()) {
            _ if !wanted || !moves_cursor() => Place::Nowhere,
            (true, _) if among_lines => Place::Stderr,
            (false, true) => Place::Stdout,
            _ => Place::Nowhere,
        };
        Output { place, shown: String::new() }
    }

    /// The columns a status line may have; `None` if none is wanted.
    pub(super) fn status_width(&self) -> Option<usize> {
        let size = match self.place {
            Place::Nowhere => return None,
            Place::Stderr => terminal_size_of(stderr()),
            Place::Stdout => terminal_size_of(stdout()),
        };
        // In the last column the cursor would wait to wrap; and Ctrl-C is shown as `^C` behind the line.
        Some(size.map_or(USUAL_WIDTH, |(Width(width), _)| width.into()).saturating_sub(3))
    }

    /// Renews the status line.
    pub(super) fn status(&mut self, line: String) {
        self.to_place(&format!("{CLEAR}{line}"));
        self.shown = line;
    }

    /// Writes whole lines to stderr.
    pub(super) fn lines(&mut self, text: &[u8]) -> std::io::Result<()> {
        if self.place == Place::Stderr && !self.shown.is_empty() {
            // One write, or the line would flicker.
            let around = [CLEAR.as_bytes(), text, self.shown.as_bytes()].concat();
            stderr().write_all(&around)
        } else {
            stderr().write_all(text)
        }
    }

    /// Takes the status line away.
    pub(super) fn clear(&mut self) {
        if !self.shown.is_empty() {
            self.shown.clear();
            self.to_place(CLEAR);
        }
    }

    // A terminal that is gone is nobody's loss.
    fn to_place(&self, text: &str) {
        let _ = match self.place {
            Place::Nowhere => Ok(()),
            Place::Stderr => stderr().write_all(text.as_bytes()),
            Place::Stdout => stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()),
        };
    }
}
