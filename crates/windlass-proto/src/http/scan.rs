//! Where a head ends: line by line, with every limit, before any of it is parsed.

use memchr::memchr;

use crate::http::{HttpError, Limits};

/// Looks for the empty line, and goes on where it stopped: a head that comes byte by byte is read once.
///
/// Whatever it finds wrong is found at a place in the bytes and not at a moment in time, so how they were
/// split makes no difference. What is parsed is parsed only once the whole head is there, so errors of the
/// parser come after all of these.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Scan {
    // Where the line under way begins, and how far it is known to hold no LF.
    line: usize,
    seen: usize,
    lines: usize,
}

/// What the scan goes by.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) first_line_max: usize,
    pub(crate) line_max: usize,
    pub(crate) total_max: usize,
    pub(crate) lines_max: usize,
    pub(crate) too_long: HttpError,
    /// The first line is a start line, which is not counted, and neither empty nor folded.
    pub(crate) start_line: bool,
}

impl Bounds {
    pub(crate) fn head(limits: &Limits) -> Bounds {
        Bounds {
            first_line_max: limits.start_line_max,
            line_max: limits.header_line_max,
            total_max: limits.head_max,
            lines_max: limits.lines_max(),
            too_long: HttpError::HeadTooLong,
            start_line: true,
        }
    }

    pub(crate) fn trailers(limits: &Limits) -> Bounds {
        Bounds {
            first_line_max: limits.header_line_max,
            line_max: limits.header_line_max,
            total_max: limits.trailers_max,
            lines_max: limits.lines_max(),
            too_long: HttpError::TrailersTooLong,
            start_line: false,
        }
    }
}

impl Scan {
    pub(crate) const fn new() -> Scan {
        Scan { line: 0, seen: 0, lines: 0 }
    }

    /// The length of the head with its empty line, once it is there; then the scan begins anew.
    pub(crate) fn end(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<Option<usize>, HttpError> {
        loop {
            let first = self.line == 0;
            let start_line = first && bounds.start_line;
            let line_max = if first { bounds.first_line_max } else { bounds.line_max };
            // An LF has to stand before this place.
            let limit = self.line.saturating_add(line_max).min(bounds.total_max);
            let window = &bytes[..bytes.len().min(limit)];
            let from = self.seen.min(window.len());
            let Some(at) = memchr(b'\n', &window[from..]).map(|at| from + at) else {
                self.seen = window.len();
                if bytes.len() < limit {
                    return Ok(None);
                }
                return Err(if limit == bounds.total_max {
                    bounds.too_long
                } else if start_line {
                    HttpError::StartLineTooLong
                } else {
                    HttpError::LineTooLong
                });
            };
            let Some(line) = window[self.line..at].strip_suffix(b"\r") else {
                return Err(HttpError::BareLf);
            };
            if line.is_empty() && !start_line {
                *self = Scan::default();
                return Ok(Some(at + 1));
            }
            if !start_line {
                match line[0] {
                    b' ' | b'\t' => return Err(HttpError::Fold),
                    b'\r' => return Err(HttpError::HeaderName),
                    _ => {}
                }
                self.lines += 1;
                if self.lines > bounds.lines_max {
                    return Err(HttpError::TooManyHeaders);
                }
            }
            self.line = at + 1;
            self.seen = self.line;
        }
    }
}
