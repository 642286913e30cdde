//! The steps in RESP.

use std::io::Write as _;
use std::sync::Arc;

use windlass_proto::resp::{Replies, Reply, Value};
use windlass_proto::{Decode as _, Input};

use super::script::Step;
use super::{Dialect, Names};
use crate::load::{Fault, excerpt};

/// RESP2, which every server speaks before it is asked for more.
#[derive(Clone)]
pub(super) struct Resp {
    pub(super) password: Option<Arc<str>>,
    pub(super) replies: Replies,
}

impl Resp {
    fn next<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Reply<'b>>, Fault> {
        let begins = excerpt(input.peek());
        self.replies.decode(input).map_err(|error| Fault::Wrong(format!("{error}: {begins}")))
    }
}

impl Dialect for Resp {
    fn greet(&self, out: &mut Vec<u8>) -> bool {
        let Some(password) = &self.password else { return false };
        array(&["AUTH", password], out);
        true
    }

    fn greeted(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        let Some(reply) = self.next(input)? else { return Ok(false) };
        match reply.value() {
            Value::Simple(b"OK") => Ok(true),
            other => Err(wrong("AUTH", &other)),
        }
    }

    fn ask(&self, step: Step, names: &Names<'_>, out: &mut Vec<u8>) {
        match step {
            Step::Set { key, version } => {
                let (name, size) = (&names.keys[key], names.values.size);
                // Writing to memory cannot fail.
                let _ = write!(out, "*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n${size}\r\n", name.len());
                names.write_value(key, version, out);
                out.extend_from_slice(b"\r\n");
            }
            Step::Get { key, .. } => array(&["GET", &names.keys[key]], out),
            Step::Reset => array(&["SET", names.counter, "0"], out),
            Step::Incr { .. } => array(&["INCR", names.counter], out),
        }
    }

    fn hear(&mut self, step: Step, names: &Names<'_>, input: &mut Input<'_>) -> Result<bool, Fault> {
        let Some(reply) = self.next(input)? else { return Ok(false) };
        match (step, reply.value()) {
            (Step::Set { .. } | Step::Reset, Value::Simple(b"OK")) => {}
            (Step::Get { key, version }, Value::Bulk(value)) => names.check_value(key, version, value)?,
            (Step::Incr { to }, Value::Integer(count)) if u64::try_from(count) == Ok(to) => {}
            (Step::Incr { to }, Value::Integer(count)) => {
                return Err(Fault::Wrong(format!("the counter is {count} where it must be {to}")));
            }
            (Step::Set { .. } | Step::Reset, other) => return Err(wrong("SET", &other)),
            (Step::Get { .. }, other) => return Err(wrong("GET", &other)),
            (Step::Incr { .. }, other) => return Err(wrong("INCR", &other)),
        }
        Ok(true)
    }
}

fn array(words: &[&str], out: &mut Vec<u8>) {
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n{word}\r\n", word.len());
    }
}

fn wrong(command: &str, value: &Value<'_>) -> Fault {
    match value {
        Value::Error(text) => Fault::Refused(format!("{command}: {}", excerpt(text))),
        Value::Bulk(bytes) => Fault::Wrong(format!("{} to {command}", excerpt(bytes))),
        Value::Null => Fault::Wrong(format!("{command}: what was stored is gone")),
        other => Fault::Wrong(format!("{other:?} to {command}")),
    }
}
