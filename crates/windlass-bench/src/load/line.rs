//! One connection of a load, as the loop sees it: what is owed, what arrives, what goes wrong.

use rustix::io::Errno;

use super::wire::Wire;

/// A connection that sends messages and verifies what comes back for them.
pub(crate) trait Line: Send {
    /// What it speaks over.
    fn wire(&self) -> &Wire;

    /// What was asked for and what came back.
    fn owed(&self) -> &Owed;

    /// The same, to be changed.
    fn owed_mut(&mut self) -> &mut Owed;

    /// Messages whose sending has begun.
    fn begun(&self) -> u64;

    /// Bytes that have come back on this connection.
    fn received(&self) -> u64;

    /// Hands what is owed to the kernel. True: the socket refused some of it.
    fn flush(&mut self) -> Result<bool, Fault>;

    /// Reads once into `scratch` and verifies. `None`: nothing is there.
    fn read(&mut self, scratch: &mut [u8]) -> Result<Option<Arrived>, Fault>;

    /// Goes on over a fresh connection. What was under way on the old one is sent again.
    fn renew(&mut self, wire: Wire);
}

/// Makes the lines of a load.
pub(crate) trait Speech: Clone + Send + Sync {
    /// What it makes.
    type Line: Line;

    /// A line over `wire`, number `number` of the whole run.
    fn line(&self, wire: Wire, number: usize) -> Self::Line;

    /// Says and hears what stands before the first message, waiting as long as that takes.
    fn open(&self, line: &mut Self::Line) -> Result<(), Fault> {
        let _ = line;
        Ok(())
    }
}

/// How many messages a connection was asked to send, and how many are done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Owed {
    /// Messages asked for and messages completed.
    pub(crate) issued: u64,
    pub(crate) done: u64,
    /// The last moment at which something came back, or the wait for it began.
    pub(crate) progress: u64,
}

impl Owed {
    /// Messages that have not come back.
    pub(crate) fn outstanding(&self) -> u64 {
        self.issued - self.done
    }

    /// Asks for `messages` more to be sent.
    pub(crate) fn issue(&mut self, messages: u64, now: u64) {
        if self.outstanding() == 0 {
            self.progress = now;
        }
        self.issued += messages;
    }
}

/// How a round of reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Whole messages that were completed.
    pub(crate) messages: u64,
    /// Bytes received.
    pub(crate) bytes: u64,
    /// More may be there: a shorter read would have emptied the socket.
    pub(crate) more: bool,
    /// The connection ends here in good order, and another is to take its place.
    pub(crate) over: bool,
}

/// What went wrong on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A byte differs from what was sent; the offset counts from the start of the connection.
    Corrupt { offset: u64 },
    /// More came back than was asked for.
    Surplus,
    /// A reply is not the one that belongs here, or none at all.
    Wrong(String),
    /// The server says that it does not want to.
    Refused(String),
    /// A message did not come, or came again.
    Delivery { kind: &'static str, what: String },
    /// The server closed while replies were owed: bytes, where what comes back is known to the byte,
    /// or messages.
    Closed { owed: u64, unit: &'static str },
    /// No connection came about.
    Connect(String),
    /// TLS failed.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "nobody speaks it"))]
    Tls(String),
    /// The kernel reported an error.
    Failed(Errno),
}

impl Fault {
    /// The kind, as reports count it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Fault::Corrupt { .. } | Fault::Surplus | Fault::Wrong(_) => "wrong_reply",
            Fault::Refused(_) => "error_reply",
            Fault::Delivery { kind, .. } => kind,
            Fault::Closed { .. } => "closed",
            Fault::Connect(_) => "connect",
            Fault::Tls(_) => "tls",
            Fault::Failed(Errno::CONNREFUSED) => "connect",
            Fault::Failed(Errno::CONNRESET | Errno::PIPE) => "reset",
            Fault::Failed(_) => "io",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Corrupt { offset } => write!(f, "wrong byte at offset {offset}"),
            Fault::Surplus => write!(f, "more came back than was asked for"),
            Fault::Wrong(what) => write!(f, "wrong reply: {what}"),
            Fault::Delivery { what, .. } => f.write_str(what),
            Fault::Refused(what) => write!(f, "the server answered an error: {what}"),
            Fault::Closed { owed, unit } => write!(f, "the server closed and owes {owed} {unit}"),
            Fault::Connect(why) => f.write_str(why),
            Fault::Tls(why) => write!(f, "TLS: {why}"),
            Fault::Failed(error) => write!(f, "{error}"),
        }
    }
}

/// The beginning of what a server sent, for people.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 48;
    let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    let more = if bytes.len() > SHOWN { ".." } else { "" };
    format!("\"{shown}{more}\"")
}
