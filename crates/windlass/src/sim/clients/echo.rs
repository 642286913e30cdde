//! The good client of an echo server, in all its moods.

use std::time::Duration;

use windlass_proto::Time;
use windlass_proto::testing::Rng;

use super::{patience, pause};
use crate::sim::client::{Client, Ending, Line, Status, Step};

/// Sends bytes in random pieces and checks that every one comes back: in order, once, whatever the
/// network does. It never deserves to be cut off, so being cut off fails the run.
///
/// Its mood is drawn from the seed: it may think between pieces, read slowly, read nothing at
/// first, fall silent for a while, half-close before it has its answers, or come back.
pub fn echo_client(rng: &mut Rng) -> EchoClient {
    EchoClient {
        mood: None,
        visits: if rng.chance(1, 4) { 1 + rng.below(4) } else { 1 },
        sent: 0,
        sent_at: Time::ZERO,
        received: Vec::new(),
        checked: 0,
        wake: None,
        unread_since: None,
        finished: false,
        silences: 0,
        hush: false,
    }
}

/// See [`echo_client`].
pub struct EchoClient {
    mood: Option<Mood>,
    visits: u64,
    sent: usize,
    sent_at: Time,
    /// Received and not yet checked.
    received: Vec<u8>,
    checked: usize,
    /// Does nothing before this time.
    wake: Option<Time>,
    unread_since: Option<Time>,
    finished: bool,
    silences: u64,
    /// Sends nothing until it has all its answers, and then falls silent.
    hush: bool,
}

/// What one visit is like.
struct Mood {
    text: Vec<u8>,
    piece_max: usize,
    think_max: Duration,
    /// Bytes read at once.
    gulp: usize,
    /// After so many, it reads at full speed.
    gulps: u32,
    /// Pause after each such read.
    digest: Duration,
    /// Reads nothing for so long, or until it has sent everything.
    reads_late: Option<Duration>,
    /// Sends its FIN before it has its answers.
    finishes_early: bool,
    /// How often it falls silent for as long as it may.
    silences: u64,
    /// Closes instead of finishing, once it has everything.
    just_leaves: bool,
}

impl Mood {
    fn draw(line: &mut Line<'_>) -> Mood {
        let (most, patience) = (line.volume_max() as u64, patience(line.limits()));
        let rng = line.rng();
        let most = most >> rng.below(10);
        let length = 1 + rng.below(most) as usize;
        let mut text = vec![0; length];
        rng.fill(&mut text);
        let whole = rng.chance(1, 3);
        let most = length as u64 >> rng.below(6);
        // One of these at a time: together they would try the server's patience.
        let silences = if rng.chance(1, 6) { 1 + rng.below(3) } else { 0 };
        let slow = silences == 0 && rng.chance(1, 4);
        let gulp_min = length / 8 + 1;
        Mood {
            piece_max: if whole { length } else { 1 + rng.below(most) as usize },
            think_max: if rng.chance(1, 2) { Duration::ZERO } else { pause(rng, Duration::from_millis(200)) },
            gulp: if slow { gulp_min + rng.below(length as u64) as usize } else { usize::MAX },
            gulps: 8,
            digest: if slow { pause(rng, patience / 4) } else { Duration::ZERO },
            reads_late: (!slow && silences == 0 && rng.chance(1, 3)).then(|| pause(rng, patience)),
            finishes_early: rng.chance(1, 3),
            silences,
            just_leaves: rng.chance(1, 4),
            text,
        }
    }
}

impl EchoClient {
    fn check(&mut self, line: &mut Line<'_>) -> Result<(), Step> {
        let Some(mood) = &self.mood else { return Ok(()) };
        let expected = &mood.text[self.checked.min(self.sent)..self.sent];
        let n = self.received.len();
        if n > expected.len() {
            let what = format!("received {} bytes and had sent only {}", self.checked + n, self.sent);
            return Err(line.fail(what));
        }
        if let Some(at) = self.received.iter().zip(expected).position(|(a, b)| a != b) {
            let what = format!("byte {} of {} came back wrong", self.checked + at, mood.text.len());
            return Err(line.fail(what));
        }
        self.checked += n;
        self.received.clear();
        Ok(())
    }

    /// Reads as the mood has it; true if it wants a pause now.
    fn read(&mut self, line: &mut Line<'_>) -> Result<bool, Step> {
        let Some(mood) = &mut self.mood else { return Ok(false) };
        if let Some(patience) = mood.reads_late
            && self.sent < mood.text.len()
        {
            let since = *self.unread_since.get_or_insert(line.now());
            if line.now() < since + patience {
                self.wake = Some(since + patience);
                return Ok(false);
            }
            mood.reads_late = None;
        }
        // Over a narrow pipe every gulp is small: it digests only so many of them.
        if mood.gulps == 0 {
            (mood.gulp, mood.digest) = (usize::MAX, Duration::ZERO);
        }
        mood.gulps = mood.gulps.saturating_sub(1);
        let (gulp, digest) = (mood.gulp, mood.digest);
        let n = line.receive(&mut self.received, gulp);
        self.check(line)?;
        Ok(n > 0 && !digest.is_zero())
    }

    fn write(&mut self, line: &mut Line<'_>) -> bool {
        let Some(mood) = &self.mood else { return false };
        let most = mood.piece_max.min(mood.text.len() - self.sent);
        if most == 0 || self.hush {
            return false;
        }
        let piece = 1 + line.rng().below(most as u64) as usize;
        let n = line.send(&mood.text[self.sent..self.sent + piece]);
        self.sent += n;
        if n > 0 {
            self.sent_at = line.now();
        }
        n > 0
    }

    /// The next visit, or the end of the client.
    fn leave(&mut self, line: &mut Line<'_>) -> Step {
        line.close();
        self.visits -= 1;
        if self.visits == 0 || line.shutdown_at().is_some() {
            return Step::Done;
        }
        self.mood = None;
        (self.sent, self.checked, self.finished, self.silences) = (0, 0, false, 0);
        self.received.clear();
        (self.wake, self.unread_since, self.hush) = (None, None, false);
        self.step(line)
    }

    fn ended(&mut self, line: &mut Line<'_>, how: Ending) -> Step {
        let total = self.mood.as_ref().map_or(0, |mood| mood.text.len());
        match how {
            Ending::Fin if self.checked == total && self.finished => self.leave(line),
            _ if line.excused() => self.leave(line),
            _ => line.fail(format!(
                "ended by {how:?}: sent {} of {total} bytes, received {}",
                self.sent, self.checked
            )),
        }
    }
}

impl Client for EchoClient {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if self.mood.is_none() {
            if line.shutdown_at().is_some() {
                return Step::Done;
            }
            self.mood = Some(Mood::draw(line));
            line.connect();
        }
        if let Some(at) = self.wake {
            // A reset is noticed whenever it comes; everything else can wait.
            if line.now() < at && !matches!(line.status(), Status::Ended(Ending::Reset)) {
                return Step::Until(at);
            }
            self.wake = None;
        }
        loop {
            match line.status() {
                Status::Ended(how) => return self.ended(line, how),
                Status::Connecting | Status::Idle => return Step::Wait,
                Status::Open => {}
            }
            let pauses = match self.read(line) {
                Ok(pauses) => pauses,
                Err(step) => return step,
            };
            let wrote = self.write(line);
            let Some(mood) = &self.mood else { return Step::Wait };
            let (sent_all, has_all) = (self.sent == mood.text.len(), self.checked == mood.text.len());
            if sent_all && !self.finished && (mood.finishes_early || has_all) {
                if has_all && mood.just_leaves {
                    return self.leave(line);
                }
                self.finished = true;
                line.finish();
            }
            let mood = self.mood.as_ref();
            let (think, digest) = mood.map_or((Duration::ZERO, Duration::ZERO), |m| (m.think_max, m.digest));
            if pauses {
                return self.sleep(line, digest);
            }
            if self.hush && self.checked == self.sent {
                // Silent for long, several times over, but never for as long as would end it.
                self.hush = false;
                // Counted from what it sent last, since the server has seen nothing from it since.
                let pause = patience(line.limits()).saturating_sub(line.now().since(self.sent_at));
                return self.sleep(line, pause);
            }
            if wrote && self.silences < mood.map_or(0, |m| m.silences) {
                self.silences += 1;
                self.hush = true;
            }
            if wrote && !think.is_zero() {
                let think = pause(line.rng(), think);
                return self.sleep(line, think);
            }
            if !wrote {
                return match (line.status(), self.wake) {
                    (Status::Ended(_), _) => continue,
                    (_, Some(at)) => Step::Until(at),
                    _ => Step::Wait,
                };
            }
        }
    }
}

impl EchoClient {
    fn sleep(&mut self, line: &mut Line<'_>, pause: Duration) -> Step {
        let at = line.after(pause + Duration::from_nanos(1));
        self.wake = Some(at);
        Step::Until(at)
    }
}
