//! Text commands. Read [`Ascii`] first, then `ascii/parse.rs`, which takes a line apart.

mod parse;

use core::error::Error;
use core::fmt;

use memchr::{memchr, memrchr};

use super::{KEY_MAX, Limits, Mode, Tokens};
use crate::{Decode, Input};
use parse::Head;

/// Decodes text commands.
///
/// A command that memcached answers with an error is a message too, [`Command::Refused`], since the
/// connection goes on behind it. Only what leaves no way to tell where the next command begins is an
/// [`AsciiError`].
///
/// ```
/// use windlass_proto::memcached::{Ascii, Command, Limits};
/// use windlass_proto::{Decode, Input};
///
/// let mut received = *b"set greeting 5 0 5\r\nhello\r\nget greeting\r\nget gre";
/// let mut input = Input::new(&mut received);
/// let mut ascii = Ascii::new(Limits::default());
/// match ascii.decode(&mut input)?.unwrap() {
///     Command::Store(store) => assert_eq!((store.key, store.flags, store.value), (&b"greeting"[..], 5, &b"hello"[..])),
///     other => panic!("{other:?}"),
/// }
/// match ascii.decode(&mut input)?.unwrap() {
///     Command::Get(get) => assert_eq!(get.keys.collect::<Vec<_>>(), [b"greeting"]),
///     other => panic!("{other:?}"),
/// }
/// assert!(ascii.decode(&mut input)?.is_none());
/// # Ok::<(), windlass_proto::memcached::AsciiError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ascii {
    limits: Limits,
    /// Bytes at the front of the input known to hold no LF.
    scanned: usize,
    /// Bytes the command at the front of the input takes with its value; 0 if that is not known.
    waits: usize,
    /// Bytes still to come of a value that was refused.
    drop: u64,
    /// The head of a list of keys that goes on.
    list: Option<List>,
}

#[derive(Clone, Copy, Debug)]
struct List {
    cas: bool,
    exptime: Option<i64>,
}

/// One text command.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Command<'b> {
    /// `get`, `gets`, `gat`, `gats`.
    Get(Get<'b>),
    /// `set`, `add`, `replace`, `append`, `prepend`, `cas`.
    Store(Store<'b>),
    /// `delete <key>`.
    Delete {
        /// Up to 250 bytes.
        key: &'b [u8],
        /// The client wants no answer.
        noreply: bool,
    },
    /// `incr <key> <delta>` and `decr`.
    Arith {
        /// Up to 250 bytes.
        key: &'b [u8],
        /// What to add or to take away.
        delta: u64,
        /// `decr`.
        down: bool,
        /// The client wants no answer.
        noreply: bool,
    },
    /// `touch <key> <exptime>`.
    Touch {
        /// Up to 250 bytes.
        key: &'b [u8],
        /// As in [`Store::exptime`].
        exptime: i64,
        /// The client wants no answer.
        noreply: bool,
    },
    /// `flush_all [<delay>]`.
    FlushAll {
        /// When, written as an exptime; at once if it is not above 0.
        delay: i64,
        /// The client wants no answer.
        noreply: bool,
    },
    /// `verbosity <level>`.
    Verbosity {
        /// The client wants no answer.
        noreply: bool,
    },
    /// `stats [<what>]`, with its arguments.
    Stats(Tokens<'b>),
    /// `version`.
    Version,
    /// `quit`: the client wants the connection closed.
    Quit,
    /// `mn`, `mg`, `ms`, `md`, `ma`, `me`.
    Meta(Meta<'b>),
    /// A command that is answered with an error, and no more.
    Refused {
        /// What is wrong with it.
        refusal: Refusal,
        /// The client wants no answer, not even this one.
        noreply: bool,
    },
    /// A storage command whose value is over the limit: it is answered at once, and the value dropped as
    /// it comes.
    TooLarge {
        /// Up to 250 bytes.
        key: &'b [u8],
        /// What was to be done with the value. A failed `set` takes what is stored with it, so that
        /// nobody goes on reading what the client thinks replaced.
        mode: Mode,
        /// The client wants no answer.
        noreply: bool,
    },
}

/// A list of keys to fetch. All were checked: up to 250 bytes each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Get<'b> {
    /// The keys, at least one on a short line.
    pub keys: Tokens<'b>,
    /// With the number that `cas` wants (`gets`, `gats`).
    pub cas: bool,
    /// Gives each a new exptime, as in [`Store::exptime`] (`gat`, `gats`).
    pub exptime: Option<i64>,
    /// The list ends here, and so does its answer. A line longer than [`Limits::line_max`] comes in
    /// several messages, of which only the last has this set.
    pub last: bool,
}

/// A value to store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Store<'b> {
    /// What is asked of the value that is there.
    pub mode: Mode,
    /// Up to 250 bytes.
    pub key: &'b [u8],
    /// Kept with the value and given back, of no meaning to the server.
    pub flags: u32,
    /// 0: never; up to 30 days: seconds from now; more: seconds since 1970; below 0: expired already.
    pub exptime: i64,
    /// Up to [`Limits::value_max`] bytes.
    pub value: &'b [u8],
    /// Store only if the value there still has this number (`cas`).
    pub cas: Option<u64>,
    /// The client wants no answer.
    pub noreply: bool,
}

/// A meta command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta<'b> {
    /// Which one.
    pub verb: MetaVerb,
    /// As it was written, up to 250 bytes; empty for `mn`.
    pub key: &'b [u8],
    /// The flags, one a word, not looked at.
    pub flags: Tokens<'b>,
    /// The value of `ms`, else empty.
    pub value: &'b [u8],
}

/// The meta commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetaVerb {
    /// `mn`: answers `MN`, behind whatever was quiet before it.
    Noop,
    /// `mg`
    Get,
    /// `ms`
    Set,
    /// `md`
    Delete,
    /// `ma`
    Arith,
    /// `me`
    Debug,
}

/// Why a command is answered with an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// No such command, or too many or too few words.
    Unknown,
    /// A word that is not what it should be, or a key of more than 250 bytes.
    Format,
    /// The exptime is no number.
    Exptime,
    /// What is to be added is no number of 64 bits.
    Delta,
    /// `delete` with a word it does not know.
    DeleteUsage,
    /// The value does not end where its length says.
    Chunk,
}

impl Refusal {
    /// A short stable name, fit for a metric's label.
    pub const fn label(self) -> &'static str {
        match self {
            Refusal::Unknown => "unknown",
            Refusal::Format => "format",
            Refusal::Exptime => "exptime",
            Refusal::Delta => "delta",
            Refusal::DeleteUsage => "delete_usage",
            Refusal::Chunk => "chunk",
        }
    }

    /// The line that goes back.
    pub const fn reply(self) -> &'static [u8] {
        match self {
            Refusal::Unknown => b"ERROR\r\n",
            Refusal::Format => b"CLIENT_ERROR bad command line format\r\n",
            Refusal::Exptime => b"CLIENT_ERROR invalid exptime argument\r\n",
            Refusal::Delta => b"CLIENT_ERROR invalid numeric delta argument\r\n",
            Refusal::DeleteUsage => {
                b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
            }
            Refusal::Chunk => b"CLIENT_ERROR bad data chunk\r\n",
        }
    }
}

/// What ends a connection of text commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AsciiError {
    /// A command line longer than the limit.
    LineTooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// A word that is no key, in a list of keys whose first ones may have been answered already.
    Key,
}

impl AsciiError {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            AsciiError::LineTooLong { .. } => "line_too_long",
            AsciiError::Key => "key",
        }
    }

    /// The line that goes back before the end.
    pub const fn reply(&self) -> &'static [u8] {
        match self {
            AsciiError::LineTooLong { .. } => b"CLIENT_ERROR line too long\r\n",
            AsciiError::Key => Refusal::Format.reply(),
        }
    }
}

impl fmt::Display for AsciiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsciiError::LineTooLong { max } => write!(f, "command line longer than {max} bytes"),
            AsciiError::Key => write!(f, "key longer than {KEY_MAX} bytes in a long list"),
        }
    }
}

impl Error for AsciiError {}

impl Ascii {
    /// A decoder with these limits.
    pub const fn new(limits: Limits) -> Ascii {
        Ascii { limits, scanned: 0, waits: 0, drop: 0, list: None }
    }

    /// Takes what there is of a refused value. False while more of it is to come.
    fn dropped(&mut self, input: &mut Input<'_>) -> bool {
        let n = usize::try_from(self.drop).unwrap_or(usize::MAX);
        self.drop -= input.skip(n) as u64;
        self.drop == 0
    }

    /// The command at the front, whose line ends with the LF at `end`.
    fn command<'b>(&mut self, input: &mut Input<'b>, end: usize) -> Option<Command<'b>> {
        let head = match parse::head(trim(&input.peek()[..end])) {
            Some(head) => head,
            None => {
                self.scanned = 0;
                return parse::command(trim(input.take(end + 1)?));
            }
        };
        let (len, refused) = match &head {
            Head::Store(store) => (store.len, None),
            Head::Meta(meta) => (meta.len, None),
            Head::Refused { refusal, noreply } => (0, Some((*refusal, *noreply))),
        };
        if let Some((refusal, noreply)) = refused {
            self.scanned = 0;
            input.skip(end + 1);
            return Some(Command::Refused { refusal, noreply });
        }
        if len > self.limits.value_max as u64 {
            self.scanned = 0;
            self.drop = len.saturating_add(2);
            let line = input.take(end + 1)?;
            return Some(head.too_large(line));
        }
        let total = end + 1 + len as usize + 2;
        if input.len() < total {
            self.scanned = end;
            self.waits = total;
            input.need(total);
            return None;
        }
        (self.scanned, self.waits) = (0, 0);
        let line = input.take(end + 1)?;
        let chunk = input.take(len as usize + 2)?;
        Some(head.with_value(line, chunk))
    }

    /// A piece of a list of keys: the first `window` bytes hold no LF, and no more of a line is looked at.
    fn piece<'b>(&mut self, input: &mut Input<'b>, window: usize) -> Result<Command<'b>, AsciiError> {
        let too_long = AsciiError::LineTooLong { max: self.limits.line_max };
        self.scanned = 0;
        // The last word may go on behind the window.
        let cut = memrchr(b' ', &input.peek()[..window]).ok_or(match self.list {
            Some(_) => AsciiError::Key,
            None => too_long,
        })?;
        let Some(line) = input.take(cut + 1) else { return Err(too_long) };
        let mut tokens = Tokens::new(line);
        let list = match self.list {
            Some(list) => list,
            None => parse::list(&mut tokens).ok_or(too_long)?,
        };
        self.list = Some(list);
        if tokens.clone().any(|key| key.len() > KEY_MAX) {
            return Err(AsciiError::Key);
        }
        Ok(Command::Get(Get { keys: tokens, cas: list.cas, exptime: list.exptime, last: false }))
    }
}

impl Decode for Ascii {
    type Message<'b> = Command<'b>;
    type Error = AsciiError;

    #[inline]
    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Command<'b>>, AsciiError> {
        if self.drop > 0 && !self.dropped(input) {
            return Ok(None);
        }
        if input.len() < self.waits {
            input.need(self.waits);
            return Ok(None);
        }
        let window = input.len().min(self.limits.line_max);
        let from = self.scanned.min(window);
        let Some(end) = memchr(b'\n', &input.peek()[from..window]).map(|at| from + at) else {
            if window < self.limits.line_max {
                self.scanned = window;
                return Ok(None);
            }
            return self.piece(input, window).map(Some);
        };
        let Some(list) = self.list.take() else { return Ok(self.command(input, end)) };
        self.scanned = 0;
        let Some(line) = input.take(end + 1) else { return Ok(None) };
        let keys = Tokens::new(trim(line));
        if keys.clone().any(|key| key.len() > KEY_MAX) {
            return Err(AsciiError::Key);
        }
        Ok(Some(Command::Get(Get { keys, cas: list.cas, exptime: list.exptime, last: true })))
    }
}

/// A line without its ending.
#[inline]
fn trim(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
