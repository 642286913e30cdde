//! The steps in memcached's binary protocol.

use windlass_proto::Input;

use super::script::Step;
use super::{Dialect, Names};
use crate::load::{Fault, excerpt};

const HEAD: usize = 24;
const REQUEST: u8 = 0x80;
const RESPONSE: u8 = 0x81;
const GET: u8 = 0x00;
const SET: u8 = 0x01;
const INCREMENT: u8 = 0x05;

/// Heads of 24 bytes, with what they announce behind them.
#[derive(Clone)]
pub(super) struct Binary;

impl Dialect for Binary {
    fn ask(&self, step: Step, names: &Names<'_>, out: &mut Vec<u8>) {
        match step {
            Step::Set { key, version } => {
                request(SET, &[0; 8], &names.keys[key], names.values.size, out);
                names.write_value(key, version, out);
            }
            Step::Get { key, .. } => request(GET, &[], &names.keys[key], 0, out),
            Step::Reset => {
                request(SET, &[0; 8], names.counter, 1, out);
                out.push(b'0');
            }
            Step::Incr { .. } => {
                // By 1, from 0 if it is not there; and it must be there, says the time of all ones.
                let mut extras = [0; 20];
                extras[7] = 1;
                extras[16..].fill(0xFF);
                request(INCREMENT, &extras, names.counter, 0, out);
            }
        }
    }

    fn hear(&mut self, step: Step, names: &Names<'_>, input: &mut Input<'_>) -> Result<bool, Fault> {
        let bytes = input.peek();
        if bytes[0] != RESPONSE {
            return Err(Fault::Wrong(format!("{} is no binary response", excerpt(bytes))));
        }
        let Some(head) = bytes.get(..HEAD) else { return Ok(false) };
        let (operation, command) = match step {
            Step::Get { .. } => (GET, "Get"),
            Step::Set { .. } | Step::Reset => (SET, "Set"),
            Step::Incr { .. } => (INCREMENT, "Increment"),
        };
        let (keys, extras) = (usize::from(u16::from_be_bytes([head[2], head[3]])), usize::from(head[4]));
        let status = u16::from_be_bytes([head[6], head[7]]);
        let body = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
        if head[1] != operation || keys + extras > body || body > names.values.size.max(1024) + 8 {
            return Err(Fault::Wrong(format!("{} to {command}", excerpt(head))));
        }
        let Some(whole) = bytes.get(..HEAD + body) else { return Ok(false) };
        let value = &whole[HEAD + keys + extras..];
        match (status, step) {
            (0, Step::Get { key, version }) => names.check_value(key, version, value)?,
            (0, Step::Incr { to }) => {
                let count = <[u8; 8]>::try_from(value).map(u64::from_be_bytes).ok();
                if count != Some(to) {
                    return Err(Fault::Wrong(format!("the counter is {count:?} where it must be {to}")));
                }
            }
            (0, Step::Set { .. } | Step::Reset) if value.is_empty() => {}
            (0, _) => return Err(Fault::Wrong(format!("{} to {command}", excerpt(value)))),
            // Not there: but it was stored.
            (1, _) => return Err(Fault::Wrong(format!("{command}: what was stored is gone"))),
            (status, _) => {
                return Err(Fault::Refused(format!("status {status} to {command}: {}", excerpt(value))));
            }
        }
        input.skip(HEAD + body);
        Ok(true)
    }
}

fn request(operation: u8, extras: &[u8], key: &str, value: usize, out: &mut Vec<u8>) {
    let mut head = [0; HEAD];
    (head[0], head[1]) = (REQUEST, operation);
    head[2..4].copy_from_slice(&(key.len() as u16).to_be_bytes());
    head[4] = extras.len() as u8;
    head[8..12].copy_from_slice(&((extras.len() + key.len() + value) as u32).to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(extras);
    out.extend_from_slice(key.as_bytes());
}
