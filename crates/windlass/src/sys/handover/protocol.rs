//! The words of a hand-over: lines of text over a Unix stream, some with descriptors attached.
//!
//! ```text
//! successor                      predecessor
//! windlass handover 1     -->
//!                         <--    offer 3              or: refused WHY, and the end
//!                         <--    control              each of these with one descriptor
//!                         <--    listener 0
//!                         <--    listener 0
//! ready control 0         -->                         what it has taken
//!                         <--    goodbye              or: refused WHY, when that came too late
//! ```
//!
//! Behind the goodbye nothing is said. The successor holds the line as long as it is there, so that its
//! predecessor, which may be long about its connections, learns of its end.
//!
//! The first line is understood by every version, so that two that do not fit can say so. What a
//! descriptor is (UDP sockets are listeners too), and where it listens, is asked of the descriptor itself
//! and not of the line.

use std::fmt;

/// The version of everything behind the first line.
pub(crate) const VERSION: u32 = 1;
/// The longest line: room for the number of every listener there may be.
pub(crate) const LINE_MAX: usize = 8 * 1024;
/// The most descriptors one hand-over passes.
pub(crate) const DESCRIPTORS_MAX: usize = 16 * 1024;

const HELLO: &str = "windlass handover ";

/// What a descriptor is to its server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Item {
    /// A listener or a bound UDP socket, by the number of its address among the server's.
    Listener(u16),
    /// The listener on which the next successor asks.
    Control,
}

/// A line from the successor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// Its version.
    Hello(u32),
    /// It stands ready, and this is what it has taken.
    Ready(Vec<Item>),
}

/// A line from the predecessor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// So many descriptors follow.
    Offer(usize),
    /// One of them.
    Given(Item),
    Refused(String),
    /// The predecessor accepts no more.
    Goodbye,
}

impl Item {
    fn parse(text: &str) -> Option<Item> {
        match text.split_once(' ') {
            None if text == "control" => Some(Item::Control),
            Some(("listener", n)) => Some(Item::Listener(n.parse().ok()?)),
            _ => None,
        }
    }
}

impl Ask {
    pub(crate) fn parse(line: &str) -> Option<Ask> {
        if let Some(version) = line.strip_prefix(HELLO) {
            return Some(Ask::Hello(version.parse().ok()?));
        }
        let words = if line == "ready" { "" } else { line.strip_prefix("ready ")? };
        let item = |word: &str| match word {
            "control" => Some(Item::Control),
            n => Some(Item::Listener(n.parse().ok()?)),
        };
        Some(Ask::Ready(words.split_ascii_whitespace().map(item).collect::<Option<_>>()?))
    }
}

impl Answer {
    pub(crate) fn parse(line: &str) -> Option<Answer> {
        if let Some(n) = line.strip_prefix("offer ") {
            return n.parse().ok().filter(|n| *n <= DESCRIPTORS_MAX).map(Answer::Offer);
        }
        if let Some(why) = line.strip_prefix("refused ") {
            return Some(Answer::Refused(why.to_string()));
        }
        if line == "goodbye" {
            return Some(Answer::Goodbye);
        }
        Item::parse(line).map(Answer::Given)
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Listener(n) => write!(f, "listener {n}"),
            Item::Control => f.write_str("control"),
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Hello(version) => writeln!(f, "{HELLO}{version}"),
            Ask::Ready(taken) => {
                f.write_str("ready")?;
                for item in taken {
                    match item {
                        Item::Listener(n) => write!(f, " {n}")?,
                        Item::Control => f.write_str(" control")?,
                    }
                }
                f.write_str("\n")
            }
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Offer(n) => writeln!(f, "offer {n}"),
            Answer::Given(item) => writeln!(f, "{item}"),
            Answer::Refused(why) => writeln!(f, "refused {why}"),
            Answer::Goodbye => writeln!(f, "goodbye"),
        }
    }
}

/// What has been received and not been taken: lines, and what comes of one that never ends.
#[derive(Default, Debug)]
pub(crate) struct Incoming(Vec<u8>);

/// Neither a line nor the beginning of one.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Garbage;

impl Incoming {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn line(&mut self) -> Result<Option<String>, Garbage> {
        let Some(end) = self.0.iter().position(|byte| *byte == b'\n') else {
            return if self.0.len() > LINE_MAX { Err(Garbage) } else { Ok(None) };
        };
        let line = String::from_utf8(self.0[..end].to_vec()).map_err(|_| Garbage)?;
        self.0.drain(..=end);
        if line.len() > LINE_MAX { Err(Garbage) } else { Ok(Some(line)) }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
