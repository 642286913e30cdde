//! The steps in memcached's text protocol.

use std::io::Write as _;

use windlass_proto::Input;

use super::script::Step;
use super::{Dialect, Names};
use crate::load::{Fault, excerpt};

/// The longest line that a server may answer with.
const LINE_MAX: usize = 2048;

/// Commands and replies in lines.
#[derive(Clone)]
pub(super) struct Text;

impl Dialect for Text {
    fn ask(&self, step: Step, names: &Names<'_>, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = match step {
            Step::Set { key, version } => {
                let _ = write!(out, "set {} 0 0 {}\r\n", names.keys[key], names.values.size);
                names.write_value(key, version, out);
                write!(out, "\r\n")
            }
            Step::Get { key, .. } => write!(out, "get {}\r\n", names.keys[key]),
            Step::Reset => write!(out, "set {} 0 0 1\r\n0\r\n", names.counter),
            Step::Incr { .. } => write!(out, "incr {} 1\r\n", names.counter),
        };
    }

    fn hear(&mut self, step: Step, names: &Names<'_>, input: &mut Input<'_>) -> Result<bool, Fault> {
        let Some(end) = line(input.peek())? else { return Ok(false) };
        let first = &input.peek()[..end];
        let used = end + 2;
        match step {
            Step::Set { .. } | Step::Reset if first == b"STORED" => {}
            Step::Incr { to } if number(first) == Some(to) => {}
            Step::Incr { to } => {
                if let Some(count) = number(first) {
                    return Err(Fault::Wrong(format!("the counter is {count} where it must be {to}")));
                }
                return Err(wrong("incr", first));
            }
            Step::Get { key, version } => {
                let size = names.values.size;
                let head = format!("VALUE {} 0 {size}", names.keys[key]);
                if first == b"END" {
                    return Err(Fault::Wrong("get: what was stored is gone".into()));
                }
                if first != head.as_bytes() {
                    return Err(wrong("get", first));
                }
                let all = used + size + b"\r\nEND\r\n".len();
                let Some(whole) = input.peek().get(..all) else { return Ok(false) };
                let (value, tail) = whole[used..].split_at(size);
                names.check_value(key, version, value)?;
                if tail != b"\r\nEND\r\n" {
                    return Err(Fault::Wrong(format!("{} behind a value", excerpt(tail))));
                }
                input.skip(all);
                return Ok(true);
            }
            Step::Set { .. } | Step::Reset => return Err(wrong("set", first)),
        }
        input.skip(used);
        Ok(true)
    }
}

/// Where the first line ends, if it does.
fn line(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let seen = &bytes[..bytes.len().min(LINE_MAX)];
    match seen.windows(2).position(|pair| pair == b"\r\n") {
        None if seen.len() == LINE_MAX => Err(Fault::Wrong(format!("{} is no line", excerpt(bytes)))),
        end => Ok(end),
    }
}

fn number(line: &[u8]) -> Option<u64> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

fn wrong(command: &str, line: &[u8]) -> Fault {
    let refused = line == b"ERROR" || line.starts_with(b"CLIENT_ERROR") || line.starts_with(b"SERVER_ERROR");
    let what = format!("{} to {command}", excerpt(line));
    if refused { Fault::Refused(what) } else { Fault::Wrong(what) }
}
