//! Clients and backends of the simulations.

use std::time::Duration;

use windlass::proto::Encode;
use windlass::proto::proxy_protocol::{Addresses, Header, ProxyProtocol, Version};
use windlass::proto::testing::Rng;
use windlass::sim::{Answer, Client, Ending, Line, Status, Step};

/// What backends of one run do when they are called: anything but accept and then break.
pub(crate) fn patient_mood(rng: &mut Rng) -> impl FnMut(&mut Rng) -> Answer + 'static {
    let good = 1 + rng.below(8);
    move |rng: &mut Rng| match rng.below(4 + good) {
        0 => Answer::Refuse,
        1 => Answer::Unreachable,
        2 => Answer::Silent,
        3 => Answer::Late(Duration::from_millis(rng.below(3_000))),
        _ => Answer::Accept,
    }
}

/// Anything at all.
pub(crate) fn rude_mood(rng: &mut Rng) -> impl FnMut(&mut Rng) -> Answer + 'static {
    let mut patient = patient_mood(rng);
    move |rng: &mut Rng| if rng.chance(1, 8) { Answer::Reset } else { patient(rng) }
}

/// The header of one and the same client.
pub(crate) fn header(version: Version) -> Vec<u8> {
    let addresses = Addresses::tcp(([203, 0, 113, 7], 51_000).into(), ([198, 51, 100, 1], 443).into());
    let mut bytes = Vec::new();
    ProxyProtocol::writes(version).encode(&Header::new(version, addresses), &mut bytes).expect("it fits");
    bytes
}

/// A backend that sends everything back.
pub(crate) struct Echoer {
    pending: Vec<u8>,
    /// Has to come first, and is not sent back.
    prefix: Vec<u8>,
    /// Resets, or finishes, after so many bytes.
    resets_after: Option<usize>,
    finishes_after: Option<usize>,
}

impl Echoer {
    pub(crate) fn patient() -> Echoer {
        Echoer::behind(Vec::new())
    }

    /// A check connects and says nothing; whoever says something says this first.
    pub(crate) fn behind(prefix: Vec<u8>) -> Echoer {
        Echoer { pending: Vec::new(), prefix, resets_after: None, finishes_after: None }
    }

    pub(crate) fn rude(rng: &mut Rng) -> Echoer {
        let resets_after = rng.chance(1, 4).then(|| rng.below(2_000) as usize);
        let finishes_after = rng.chance(1, 4).then(|| rng.below(2_000) as usize);
        Echoer { resets_after, finishes_after, ..Echoer::patient() }
    }
}

impl Client for Echoer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        let before = self.pending.len();
        line.receive(&mut self.pending, usize::MAX);
        let got = self.pending.len() - before;
        if !self.prefix.is_empty() && !self.pending.is_empty() {
            let first = self.prefix.len().min(self.pending.len());
            // A check of ours comes with a header that says so.
            let local = self.pending.get(12) == Some(&0x20) || self.pending.starts_with(b"PROXY U");
            if self.pending[..first] != self.prefix[..first]
                && !local
                && !b"PROXY UNKNOWN".starts_with(&self.pending)
            {
                return line.fail(format!("no header: {}", self.pending.escape_ascii()));
            }
            if local || first < self.prefix.len() {
                return if matches!(line.status(), Status::Ended(_)) { Step::Done } else { Step::Wait };
            }
            self.pending.drain(..first);
            self.prefix.clear();
        }
        if let Some(left) = &mut self.resets_after {
            *left = left.saturating_sub(got);
            if *left == 0 {
                line.reset();
                return Step::Done;
            }
        }
        let sent = line.send(&self.pending);
        self.pending.drain(..sent);
        if let Some(left) = &mut self.finishes_after {
            *left = left.saturating_sub(sent);
            if *left == 0 {
                line.finish();
            }
        }
        match line.status() {
            // What is left after its own end is never sent.
            Status::Ended(Ending::Fin) if self.pending.is_empty() || self.finishes_after == Some(0) => {
                line.finish();
                Step::Done
            }
            Status::Ended(Ending::Fin) | Status::Open | Status::Connecting => Step::Wait,
            _ => Step::Done,
        }
    }
}

/// Says what it has to say, at its own pace, and ends its half when it likes; and wants to hear all of what the
/// other side says, to its end.
pub(crate) struct Speaker {
    begun: bool,
    connects: bool,
    text: Vec<u8>,
    sent: usize,
    piece_max: u64,
    pause_max: u64,
    /// Ends its half only when it has heard the other's end.
    waits: bool,
    finished: bool,
    heard: Vec<u8>,
    wanted: Wanted,
}

enum Wanted {
    /// Its length in four bytes, and then the pattern.
    Speech,
    /// These bytes.
    Exactly(Vec<u8>),
}

fn pattern(n: usize) -> u8 {
    (n % 251) as u8
}

impl Speaker {
    fn new(rng: &mut Rng, most: u64) -> Speaker {
        let most = most >> rng.below(8);
        let length = rng.below(most) as usize;
        let mut text = (length as u32).to_be_bytes().to_vec();
        text.extend((0..length).map(pattern));
        Speaker {
            begun: false,
            connects: false,
            piece_max: 1 + (text.len() as u64 >> rng.below(4)),
            pause_max: if rng.chance(1, 2) { 0 } else { 1 << rng.below(26) },
            waits: rng.chance(1, 3),
            text,
            sent: 0,
            finished: false,
            heard: Vec::new(),
            wanted: Wanted::Speech,
        }
    }

    /// On the side that is called. It may be the one that waits for the other's end.
    pub(crate) fn backend(rng: &mut Rng, most: u64) -> Speaker {
        Speaker::new(rng, most)
    }

    /// On the side that calls. Never waits, or both might.
    pub(crate) fn client(rng: &mut Rng, most: u64) -> Speaker {
        Speaker { connects: true, waits: false, ..Speaker::new(rng, most) }
    }

    /// A client that says `first` before its speech, and wants its speech back.
    pub(crate) fn echoed(rng: &mut Rng, first: Vec<u8>) -> Speaker {
        let mut speaker = Speaker::client(rng, 2_000);
        speaker.wanted = Wanted::Exactly(speaker.text.clone());
        speaker.text.splice(..0, first);
        speaker
    }

    /// Whether it has heard all it wants; an error if something else came.
    fn heard_all(&self) -> Result<bool, String> {
        let wanted = match &self.wanted {
            Wanted::Exactly(bytes) => {
                let n = self.heard.len().min(bytes.len());
                if self.heard[..n] != bytes[..n] || self.heard.len() > bytes.len() {
                    return Err("something else came".into());
                }
                bytes.len()
            }
            Wanted::Speech => {
                let Some((length, speech)) = self.heard.split_first_chunk::<4>() else { return Ok(false) };
                if let Some(at) = speech.iter().enumerate().position(|(n, byte)| *byte != pattern(n)) {
                    return Err(format!("byte {at} came wrong"));
                }
                4 + u32::from_be_bytes(*length) as usize
            }
        };
        if self.heard.len() > wanted {
            return Err(format!("{} bytes came, of {wanted}", self.heard.len()));
        }
        Ok(self.heard.len() == wanted)
    }
}

impl Client for Speaker {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if self.connects && !self.begun {
            if line.shutdown_at().is_some() {
                return Step::Done;
            }
            line.connect();
        }
        self.begun = true;
        line.receive(&mut self.heard, usize::MAX);
        let all = match self.heard_all() {
            Ok(all) => all,
            Err(what) => return line.fail(what),
        };
        let ended = match line.status() {
            Status::Open => false,
            Status::Ended(Ending::Fin) if all => true,
            // A check says nothing, and hangs up.
            Status::Ended(_) if !self.connects && self.heard.is_empty() => return Step::Done,
            Status::Ended(_) if line.excused() || line.shutdown_at().is_some() => return Step::Done,
            Status::Ended(how) => {
                return line.fail(format!(
                    "{how:?} after {} bytes, {} sent of {}",
                    self.heard.len(),
                    self.sent,
                    self.text.len()
                ));
            }
            _ => return Step::Wait,
        };
        if self.sent < self.text.len() {
            let most = self.piece_max.min((self.text.len() - self.sent) as u64);
            let piece = 1 + line.rng().below(most) as usize;
            let n = line.send(&self.text[self.sent..self.sent + piece]);
            self.sent += n;
            if n > 0 {
                let pause = line.rng().below(self.pause_max + 1);
                return Step::Until(line.after(Duration::from_nanos(1 + pause)));
            }
            return Step::Wait;
        }
        if !self.finished && (!self.waits || ended) {
            self.finished = true;
            line.finish();
        }
        match line.status() {
            _ if ended && self.finished => Step::Done,
            // What has just been done was the last that happened.
            Status::Ended(_) => Step::Until(line.after(Duration::from_millis(1))),
            _ => Step::Wait,
        }
    }
}

/// Says something, believes nothing, and may leave at any moment in any way. What comes back must be what it
/// said, as far as it comes.
pub(crate) struct Reckless {
    begun: bool,
    text: Vec<u8>,
    sent: usize,
    heard: Vec<u8>,
    leaves: u64,
    leaves_after: usize,
}

impl Reckless {
    pub(crate) fn new(rng: &mut Rng) -> Reckless {
        let length = 1 + rng.below(4_000) as usize;
        Reckless {
            begun: false,
            text: (0..length).map(pattern).collect(),
            sent: 0,
            heard: Vec::new(),
            leaves: rng.below(6),
            leaves_after: rng.below(length as u64 + 1) as usize,
        }
    }
}

impl Client for Reckless {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if !self.begun {
            self.begun = true;
            line.connect();
        }
        line.receive(&mut self.heard, usize::MAX);
        if self.heard.len() > self.sent || self.heard[..] != self.text[..self.heard.len()] {
            return line.fail("what came back is not what was sent");
        }
        if matches!(line.status(), Status::Ended(_)) {
            return Step::Done;
        }
        if self.sent < self.text.len() {
            let most = (self.text.len() - self.sent) as u64;
            let piece = 1 + line.rng().below(most) as usize;
            self.sent += line.send(&self.text[self.sent..self.sent + piece]);
        }
        if self.sent >= self.leaves_after {
            match self.leaves {
                0 => line.reset(),
                1 => line.vanish(),
                2 => line.close(),
                3 => line.finish(),
                _ if self.heard.len() < self.text.len() => {}
                _ => return Step::Done,
            }
            if self.leaves < 3 {
                return Step::Done;
            }
        }
        Step::Until(line.after(Duration::from_millis(1 + self.leaves * 7)))
    }
}
