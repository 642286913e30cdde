//! Errors as Redis words them: clients and their tests look at the texts.

use std::fmt::Write as _;

use windlass::proto::resp::{Args, parse_decimal};

use crate::store::StoreError;

/// How a command ends.
pub(super) type Done = Result<(), Fail>;

/// Why a command was not carried out: the line of the error reply.
#[derive(Debug)]
pub(super) enum Fail {
    Text(&'static str),
    Said(String),
    Store(StoreError),
}

pub(super) const SYNTAX: Fail = Fail::Text("ERR syntax error");
pub(super) const NOT_INTEGER: Fail = Fail::Text("ERR value is not an integer or out of range");
pub(super) const NOT_FLOAT: Fail = Fail::Text("ERR value is not a valid float");
pub(super) const OVERFLOW: Fail = Fail::Text("ERR increment or decrement would overflow");
pub(super) const NOT_FINITE: Fail = Fail::Text("ERR increment would produce NaN or Infinity");
pub(super) const NO_KEY: Fail = Fail::Text("ERR no such key");
pub(super) const NOT_POSITIVE: Fail = Fail::Text("ERR value is out of range, must be positive");
pub(super) const TOO_LONG: Fail = Fail::Text("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

impl From<StoreError> for Fail {
    fn from(error: StoreError) -> Fail {
        Fail::Store(error)
    }
}

impl Fail {
    pub(super) fn text(self) -> String {
        match self {
            Fail::Text(text) => text.into(),
            Fail::Said(text) => text,
            Fail::Store(StoreError::WrongType) => {
                "WRONGTYPE Operation against a key holding the wrong kind of value".into()
            }
            Fail::Store(StoreError::OutOfMemory) => {
                "OOM command not allowed when used memory > 'maxmemory'.".into()
            }
            Fail::Store(StoreError::ValueTooLong { .. }) => TOO_LONG.text(),
            Fail::Store(error) => format!("ERR {error}"),
        }
    }
}

pub(super) fn arity(name: &str) -> Fail {
    Fail::Said(format!("ERR wrong number of arguments for '{name}' command"))
}

pub(super) fn expire_time(name: &str) -> Fail {
    Fail::Said(format!("ERR invalid expire time in '{name}' command"))
}

pub(super) fn unknown_command(name: &[u8], args: Args<'_>) -> Fail {
    let mut text = format!("ERR unknown command '{}', with args beginning with: ", shown(name, 128));
    let mut room = 128;
    for arg in args {
        let _ = write!(text, "'{}' ", shown(arg, room));
        room = room.saturating_sub(arg.len().min(room) + 3);
        if room == 0 {
            break;
        }
    }
    Fail::Said(text)
}

pub(super) fn unknown_subcommand(command: &str, name: &[u8]) -> Fail {
    Fail::Said(format!("ERR unknown subcommand '{}'. Try {} HELP.", shown(name, 128), command.to_uppercase()))
}

/// The start of what a client sent, fit for a line.
fn shown(text: &[u8], max: usize) -> String {
    let text = &text[..text.len().min(max)];
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn integer(text: &[u8]) -> Result<i64, Fail> {
    parse_decimal(text).ok_or(NOT_INTEGER)
}

/// A number with a fraction, infinity included.
pub(super) fn float(text: &[u8]) -> Result<f64, Fail> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    number.filter(|number| !number.is_nan()).ok_or(NOT_FLOAT)
}
