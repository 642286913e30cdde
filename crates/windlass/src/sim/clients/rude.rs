//! Clients that behave badly. They are owed nothing but to be got rid of in time.

use std::time::Duration;

use windlass_proto::Time;
use windlass_proto::testing::Rng;

use super::pause;
use crate::sim::client::{Client, Ending, Line, Status, Step};

/// What a [`Rude`] client does once it has sent what it sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    /// Says nothing and waits to be thrown out.
    Silent,
    /// Sends on for as long as it can, and reads nothing.
    NeverReads,
    /// Resets, at a random moment.
    Resets,
    /// Is cut off: no FIN, no reset, no acknowledgement.
    Vanishes,
    /// Keeps its half open for ever, whatever the server does, reading or not.
    Lingers,
    /// Sends nothing and reads nothing.
    Deaf,
    /// Sends a line that never ends, and reads.
    Endless,
}

/// A client that behaves badly: one of [`silent`], [`never_reader`], [`resetter`], [`vanisher`], or one
/// that never closes.
pub fn rude_client(rng: &mut Rng) -> Rude {
    let manners = [
        Manner::Silent,
        Manner::NeverReads,
        Manner::Resets,
        Manner::Resets,
        Manner::Vanishes,
        Manner::Lingers,
    ];
    Rude::new(manners[rng.below(manners.len() as u64) as usize], rng)
}

/// Connects, sends a little or nothing, and waits to be thrown out for it.
pub fn silent(rng: &mut Rng) -> Rude {
    Rude::new(Manner::Silent, rng)
}

/// Sends for as long as it can and reads nothing, ever.
pub fn never_reader(rng: &mut Rng) -> Rude {
    Rude::new(Manner::NeverReads, rng)
}

/// Sends, reads a little, and resets at a random moment.
pub fn resetter(rng: &mut Rng) -> Rude {
    Rude::new(Manner::Resets, rng)
}

/// Sends, and is cut off without a word.
pub fn vanisher(rng: &mut Rng) -> Rude {
    Rude::new(Manner::Vanishes, rng)
}

/// Sends nothing and reads nothing: what is broadcast to it piles up.
pub fn deaf(rng: &mut Rng) -> Rude {
    Rude::new(Manner::Deaf, rng)
}

/// Sends a message that never ends.
pub fn endless(rng: &mut Rng) -> Rude {
    Rude::new(Manner::Endless, rng)
}

/// See [`rude_client`].
pub struct Rude {
    manner: Manner,
    rng: Rng,
    /// Bytes still to send.
    left: Option<usize>,
    sends_at: Option<Time>,
    acts_at: Option<Time>,
    acted: bool,
    reads: bool,
    received: Vec<u8>,
}

impl Rude {
    fn new(manner: Manner, rng: &mut Rng) -> Rude {
        let mut rng = Rng::new(rng.next_u64());
        let deaf = matches!(manner, Manner::NeverReads | Manner::Deaf);
        let reads = !deaf && (manner == Manner::Endless || rng.chance(1, 2));
        Rude {
            manner,
            rng,
            left: None,
            sends_at: None,
            acts_at: None,
            acted: false,
            reads,
            received: Vec::new(),
        }
    }

    /// How much it sends.
    fn volume(&mut self, line: &Line<'_>) -> usize {
        let most = line.volume_max() as u64;
        match self.manner {
            Manner::Silent => self.rng.below(2) as usize * self.rng.below(64) as usize,
            // More than all buffers between the two can hold, if buffers are small.
            Manner::NeverReads => (most * 2) as usize,
            Manner::Deaf => 0,
            Manner::Endless => usize::MAX,
            _ => {
                let most = most >> self.rng.below(8);
                self.rng.below(most) as usize
            }
        }
    }

    fn act(&mut self, line: &mut Line<'_>) {
        match self.manner {
            Manner::Resets => line.reset(),
            Manner::Vanishes => line.vanish(),
            _ => {}
        }
        self.acted = true;
    }
}

impl Client for Rude {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        match line.status() {
            Status::Idle if line.shutdown_at().is_some() => return Step::Done,
            Status::Idle => {
                line.connect();
                self.acts_at = Some(line.after(pause(&mut self.rng, Duration::from_millis(500))));
            }
            // Gone for good only when the server has let go of it too.
            _ if line.abandoned() => return Step::Done,
            Status::Ended(Ending::Fin) if matches!(self.manner, Manner::Lingers | Manner::Silent) => {}
            // Cut off by itself, it waits for the server to notice.
            Status::Ended(Ending::Own) if self.manner == Manner::Vanishes => {}
            Status::Ended(_) => return Step::Done,
            _ => {}
        }
        if self.left.is_none() {
            self.left = Some(self.volume(line));
        }
        let may_send = self.sends_at.is_none_or(|at| line.now() >= at);
        if let Some(left) = self.left.filter(|&left| left > 0 && may_send) {
            let piece = vec![b'a' + self.rng.below(26) as u8; left.min(4096)];
            let sent = line.send(&piece);
            self.left = Some(left - sent);
            if sent == piece.len() && left > sent {
                // More soon; not at once, or it could go on without end and no time would pass.
                let at = line.after(Duration::from_millis(2));
                self.sends_at = Some(at);
                return Step::Until(at);
            }
        }
        if self.reads {
            self.received.clear();
            line.receive(&mut self.received, usize::MAX);
        }
        match self.acts_at {
            Some(at) if !self.acted && line.now() >= at && line.status() == Status::Open => self.act(line),
            Some(at) if !self.acted && line.now() < at => return Step::Until(at),
            // A server without an idle timeout may keep it for ever; then it goes by itself.
            Some(at) if line.limits().idle_timeout.is_zero() && line.now() > at + Duration::from_secs(60) => {
                return Step::Done;
            }
            _ => {}
        }
        // Nobody tells a client that hears nothing: it looks again now and then.
        Step::Until(line.after(Duration::from_millis(200)))
    }
}
