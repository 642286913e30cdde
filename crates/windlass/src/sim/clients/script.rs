//! A client written as a list of what it does.

use std::collections::VecDeque;
use std::time::Duration;

use windlass_proto::Time;

use crate::sim::client::{Client, Ending, Line, Status, Step};

enum Act {
    Send(Vec<u8>),
    Expect(Vec<u8>),
    ExpectEnd,
    Sleep(Duration),
    Finish,
    Reset,
    Vanish,
}

/// A client that does one thing after another. It connects first, and closes at the end.
///
/// ```
/// use windlass::sim::Script;
///
/// let client = Script::new().send(b"GET k\r\n").expect(b"$-1\r\n").finish().expect_end();
/// # drop(client);
/// ```
#[derive(Default)]
pub struct Script {
    acts: VecDeque<Act>,
    received: Vec<u8>,
    wake: Option<Time>,
    acted: usize,
}

impl Script {
    /// Connects, and closes.
    pub fn new() -> Script {
        Script::default()
    }

    fn then(mut self, act: Act) -> Script {
        self.acts.push_back(act);
        self
    }

    /// Sends all of `bytes`.
    pub fn send(self, bytes: impl Into<Vec<u8>>) -> Script {
        self.then(Act::Send(bytes.into()))
    }

    /// Waits for exactly these bytes next; anything else fails the run.
    pub fn expect(self, bytes: impl Into<Vec<u8>>) -> Script {
        self.then(Act::Expect(bytes.into()))
    }

    /// Waits for the server's FIN, with nothing before it.
    pub fn expect_end(self) -> Script {
        self.then(Act::ExpectEnd)
    }

    /// Does nothing for a while, and reads nothing.
    pub fn sleep(self, pause: Duration) -> Script {
        self.then(Act::Sleep(pause))
    }

    /// Half-closes.
    pub fn finish(self) -> Script {
        self.then(Act::Finish)
    }

    /// Resets the connection.
    pub fn reset(self) -> Script {
        self.then(Act::Reset)
    }

    /// Is cut off without a word.
    pub fn vanish(self) -> Script {
        self.then(Act::Vanish)
    }

    /// Does the first act as far as it goes: `Ok(true)` when it is done.
    fn act(&mut self, line: &mut Line<'_>) -> Result<bool, String> {
        let ended = match line.status() {
            Status::Ended(how) => Some(how),
            _ => None,
        };
        match self.acts.front_mut() {
            None => {}
            Some(Act::Send(bytes)) => {
                let sent = line.send(bytes);
                bytes.drain(..sent);
                if !bytes.is_empty() {
                    return match ended {
                        Some(how) => Err(format!("ended by {how:?} with {} bytes to send", bytes.len())),
                        None => Ok(false),
                    };
                }
            }
            Some(Act::Expect(bytes)) => {
                let missing = bytes.len() - self.received.len();
                line.receive(&mut self.received, missing);
                let n = self.received.len();
                if self.received != bytes[..n] {
                    let text = String::from_utf8_lossy(&self.received).into_owned();
                    return Err(format!("expected {:?}, received {text:?}", String::from_utf8_lossy(bytes)));
                }
                if n < bytes.len() {
                    return match ended {
                        Some(how) => Err(format!("ended by {how:?} after {n} of {} bytes", bytes.len())),
                        None => Ok(false),
                    };
                }
                self.received.clear();
            }
            Some(Act::ExpectEnd) => {
                if line.receive(&mut self.received, usize::MAX) > 0 {
                    let text = String::from_utf8_lossy(&self.received).into_owned();
                    return Err(format!("expected the end, received {text:?}"));
                }
                return match ended {
                    Some(Ending::Fin) => Ok(true),
                    Some(how) => Err(format!("expected the end, not {how:?}")),
                    None => Ok(false),
                };
            }
            Some(Act::Sleep(pause)) => {
                let at = *self.wake.get_or_insert(line.now() + *pause);
                if line.now() < at {
                    return Ok(false);
                }
                self.wake = None;
            }
            Some(Act::Finish) => line.finish(),
            Some(Act::Reset) => line.reset(),
            Some(Act::Vanish) => line.vanish(),
        }
        Ok(true)
    }
}

impl Client for Script {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            line.connect();
        }
        if line.status() == Status::Connecting {
            return Step::Wait;
        }
        while !self.acts.is_empty() {
            // Asked before every act: who has just received the last bytes may find the end behind them.
            let open = !matches!(line.status(), Status::Ended(_));
            if !open && line.excused() {
                return Step::Done;
            }
            match self.act(line) {
                Ok(true) => {
                    self.acts.pop_front();
                    self.acted += 1;
                }
                Ok(false) if open && matches!(line.status(), Status::Ended(_)) => {}
                Ok(false) => return self.wake.map_or(Step::Wait, Step::Until),
                Err(what) => {
                    let act = self.acted;
                    return line.fail(format!("act {act}: {what}"));
                }
            }
        }
        Step::Done
    }
}
