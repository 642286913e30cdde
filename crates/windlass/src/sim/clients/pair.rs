//! The client of a relay: it talks to another of its kind, and each checks what the other says.

use std::time::Duration;

use windlass_proto::testing::Rng;

use super::{patience, pause};
use crate::sim::client::{Client, Ending, Line, Status, Step};

/// What a server says before it couples two [`pair_client`]s.
pub const COUPLED: u8 = b'C';
/// What it says to one for whom nobody has come, before it ends the connection.
pub const ALONE: u8 = b'A';

/// Sends a stream that tells what it will be, and checks the one that comes from the other end of the
/// relay: every byte, in order, once, and then its end.
///
/// The server couples two of them: it sends [`COUPLED`] to each and then passes everything on, in both
/// directions; or [`ALONE`], and ends the connection. Moods are drawn from the seed: it sends in random
/// pieces, thinks, reads slowly, ends its half early, or keeps its last part until the other has ended.
pub fn pair_client(rng: &mut Rng) -> PairClient {
    PairClient::new(rng, Manner::Good)
}

/// As [`pair_client`], but one that may reset its connection in the middle, vanish, or stop reading.
/// What it has sent until then must still arrive, and its reset must not look like an end.
pub fn rude_pair_client(rng: &mut Rng) -> PairClient {
    let manner = [Manner::Resets, Manner::Vanishes, Manner::Deaf][rng.below(3) as usize];
    PairClient::new(rng, manner)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    Good,
    Resets,
    Vanishes,
    Deaf,
}

/// What each stream begins with: a seed, a length, the part sent last, and the manner.
const HEAD: usize = 8 + 4 + 4 + 1;

/// See [`pair_client`].
pub struct PairClient {
    manner: Manner,
    text: Vec<u8>,
    sent: usize,
    /// Sent only once the other has ended.
    kept_back: usize,
    piece_max: usize,
    think_max: Duration,
    gulp: usize,
    gulps: u32,
    digest: Duration,
    begun: bool,
    /// Sends before it is told that it is coupled.
    eager: bool,
    among_rude: bool,
    may_be_cut: bool,
    finished: bool,
    received: Vec<u8>,
    coupled: bool,
    wake: Option<windlass_proto::Time>,
    /// Bytes of the other's stream that were right.
    checked: usize,
    other: Option<Other>,
}

/// The other end, as its head describes it.
struct Other {
    text: Vec<u8>,
    /// Held back until we have ended.
    kept_back: usize,
    manner: u8,
}

impl PairClient {
    fn new(rng: &mut Rng, manner: Manner) -> PairClient {
        PairClient {
            manner,
            text: rng.next_u64().to_le_bytes().to_vec(),
            sent: 0,
            kept_back: 0,
            piece_max: 0,
            think_max: Duration::ZERO,
            gulp: usize::MAX,
            gulps: 8,
            digest: Duration::ZERO,
            begun: false,
            eager: rng.chance(1, 3),
            among_rude: false,
            may_be_cut: false,
            finished: false,
            received: Vec::new(),
            coupled: false,
            wake: None,
            checked: 0,
            other: None,
        }
    }

    /// The other end may be a [`rude_pair_client`].
    pub fn among_rude(mut self) -> PairClient {
        self.among_rude = true;
        self
    }

    /// The server may end both in good order before they have said everything.
    pub fn may_be_cut(mut self) -> PairClient {
        self.may_be_cut = true;
        self
    }

    /// Draws the mood, when the run's network and limits are known.
    fn begin(&mut self, line: &mut Line<'_>) {
        let (most, patience) = (line.volume_max() as u64, patience(line.limits()));
        let rng = line.rng();
        let most = if rng.chance(1, 4) { most } else { most >> rng.below(10) };
        let length = rng.below(most + 1) as usize;
        // Silence of the one that waits is as long as the other takes, and a silent pair is ended.
        self.kept_back = if rng.chance(1, 3) { rng.below(length as u64 + 1) as usize } else { 0 };
        let seed = u64::from_le_bytes(self.text[..8].try_into().expect("eight bytes"));
        self.text = stream(seed, length, self.kept_back, self.manner as u8);
        let whole = rng.chance(1, 3);
        let most = self.text.len() as u64 >> rng.below(6);
        self.piece_max = if whole { self.text.len() } else { 1 + rng.below(most) as usize };
        self.think_max =
            if rng.chance(1, 2) { Duration::ZERO } else { pause(rng, Duration::from_millis(100)) };
        if rng.chance(1, 3) {
            self.gulp = length / 8 + 1 + rng.below(length as u64 + 1) as usize;
            self.digest = pause(rng, patience / 4);
        }
        if self.manner != Manner::Good {
            // Acts when so much is sent.
            self.kept_back = rng.below(length as u64 + 1) as usize;
        }
        self.begun = true;
    }

    fn read(&mut self, line: &mut Line<'_>) -> Result<bool, String> {
        if self.manner == Manner::Deaf && self.coupled {
            return Ok(false);
        }
        if self.gulps == 0 {
            (self.gulp, self.digest) = (usize::MAX, Duration::ZERO);
        }
        self.gulps = self.gulps.saturating_sub(1);
        let n = line.receive(&mut self.received, self.gulp);
        if !self.coupled && !self.received.is_empty() {
            match self.received.remove(0) {
                COUPLED => self.coupled = true,
                ALONE => {}
                other => return Err(format!("the server said {other}")),
            }
        }
        self.check()?;
        // More may be there, and nobody says so again.
        if n > 0 && self.digest.is_zero() {
            return self.read(line);
        }
        Ok(n > 0)
    }

    /// Checks what has come against what the other's head announces.
    fn check(&mut self) -> Result<(), String> {
        if !self.coupled && !self.received.is_empty() {
            return Err(format!("{} bytes from a relay that is none", self.received.len()));
        }
        if self.other.is_none() && self.received.len() >= HEAD {
            let word = |at: usize| u32::from_le_bytes(self.received[at..at + 4].try_into().expect("four"));
            let seed = u64::from_le_bytes(self.received[..8].try_into().expect("eight"));
            let (length, kept_back, manner) = (word(8) as usize, word(12) as usize, self.received[16]);
            if length > 1 << 24 || kept_back > length || manner > Manner::Deaf as u8 {
                return Err("the other's head is garbled".into());
            }
            self.other = Some(Other { text: stream(seed, length, kept_back, manner), kept_back, manner });
        }
        let Some(other) = &self.other else { return Ok(()) };
        let expected = &other.text[self.checked..];
        if self.received.len() > expected.len() {
            return Err(format!("more than the {} bytes the other sends", other.text.len()));
        }
        if let Some(at) = self.received.iter().zip(expected).position(|(a, b)| a != b) {
            return Err(format!("byte {} of {} came wrong", self.checked + at, other.text.len()));
        }
        self.checked += self.received.len();
        self.received.clear();
        Ok(())
    }

    /// All of the other's stream has come.
    fn has_all(&self) -> bool {
        self.other.as_ref().is_some_and(|other| self.checked == other.text.len())
    }

    /// The other has ended its half, or was never going to before we do.
    fn may_send_last(&self, line: &Line<'_>) -> bool {
        let both_wait = self.other.as_ref().is_some_and(|other| other.kept_back > 0 || other.manner != 0);
        both_wait || matches!(line.status(), Status::Ended(Ending::Fin))
    }

    fn write(&mut self, line: &mut Line<'_>) -> bool {
        let most = match self.manner {
            Manner::Good if self.may_send_last(line) => self.text.len(),
            _ => self.text.len() - self.kept_back,
        };
        let most = self.piece_max.min(most.saturating_sub(self.sent));
        if most == 0 {
            return false;
        }
        let piece = 1 + line.rng().below(most as u64) as usize;
        let n = line.send(&self.text[self.sent..self.sent + piece]);
        self.sent += n;
        n > 0
    }

    /// What the end of the connection says about the relay.
    fn ended(&self, line: &mut Line<'_>, how: Ending) -> Step {
        if line.excused() || !self.coupled || self.manner != Manner::Good {
            return Step::Done;
        }
        let fine = match (&self.other, how) {
            // By a reset, if it went on sending for longer than the server lingers.
            _ if self.may_be_cut => true,
            (Some(other), _) if other.manner == Manner::Good as u8 => false,
            // Silent for too long, both are ended in good order; but a reset is passed on as one.
            (Some(other), Ending::Fin) => other.manner != Manner::Resets as u8,
            (Some(_), _) => true,
            (None, _) => self.among_rude,
        };
        if fine {
            return Step::Done;
        }
        let (sent, all, checked) = (self.sent, self.text.len(), self.checked);
        let of = self.other.as_ref().map_or(0, |other| other.text.len());
        line.fail(format!("ended by {how:?}: sent {sent} of {all} bytes, received {checked} of {of}"))
    }

    fn sleep(&mut self, line: &mut Line<'_>, most: Duration) -> Step {
        let pause = pause(line.rng(), most) + Duration::from_nanos(1);
        let at = line.after(pause);
        self.wake = Some(at);
        Step::Until(at)
    }

    /// Sends the end, or breaks off, when it is time; true when there is nothing left to do.
    fn finish(&mut self, line: &mut Line<'_>) -> bool {
        let due = self.coupled && self.sent >= HEAD && self.sent + self.kept_back >= self.text.len();
        match self.manner {
            Manner::Good if self.sent == self.text.len() && !self.finished => {
                self.finished = true;
                line.finish();
            }
            Manner::Resets if due => line.reset(),
            Manner::Vanishes if due => line.vanish(),
            _ => {}
        }
        match line.status() {
            Status::Ended(Ending::Own) => true,
            _ if self.manner != Manner::Good => line.abandoned(),
            status => status == Status::Ended(Ending::Fin) && self.finished && self.has_all(),
        }
    }
}

impl Client for PairClient {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if !self.begun {
            if line.shutdown_at().is_some() {
                return Step::Done;
            }
            self.begin(line);
            line.connect();
        }
        if let Some(at) = self.wake {
            if line.now() < at && !matches!(line.status(), Status::Ended(Ending::Reset)) {
                return Step::Until(at);
            }
            self.wake = None;
        }
        loop {
            match line.status() {
                Status::Connecting | Status::Idle => return Step::Wait,
                Status::Open | Status::Ended(Ending::Fin) => {}
                Status::Ended(how) => return self.ended(line, how),
            }
            match self.read(line) {
                Ok(false) => {}
                Ok(true) => {
                    let digest = self.digest;
                    return self.sleep(line, digest);
                }
                Err(what) => return line.fail(what),
            }
            // The end of the other's stream is no end of ours.
            if line.status() == Status::Ended(Ending::Fin) && !self.has_all() {
                return self.ended(line, Ending::Fin);
            }
            let wrote = (self.coupled || self.eager) && self.write(line);
            if self.finish(line) {
                return Step::Done;
            }
            if wrote && !self.think_max.is_zero() {
                let think = self.think_max;
                return self.sleep(line, think);
            }
            if !wrote {
                // Nobody tells one that hears nothing: it looks again now and then.
                return match self.manner {
                    Manner::Good => Step::Wait,
                    _ => Step::Until(line.after(Duration::from_millis(200))),
                };
            }
        }
    }
}

/// One stream, its head included.
fn stream(seed: u64, length: usize, kept_back: usize, manner: u8) -> Vec<u8> {
    let mut text = vec![0; HEAD + length];
    Rng::new(seed).fill(&mut text[HEAD..]);
    text[..8].copy_from_slice(&seed.to_le_bytes());
    text[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    text[12..16].copy_from_slice(&(kept_back as u32).to_le_bytes());
    text[16] = manner;
    text
}
