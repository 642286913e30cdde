//! One channel of one peer: what goes out by which number, and in which order what comes is handed out.
//!
//! A reliable message has the number behind the last one. An unreliable one has the number of the last reliable one
//! before it, and counts from there; it is handed out when that one was, if none behind it was handed out already.
//! Numbers have sixteen bits. They are read in sixteen windows of 4,096: a number up to seven windows ahead is to
//! come, every other one has been (`enet_peer_queue_incoming_command`).

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::event::Kind;
use super::wire::{FRAGMENTS_MAX, Fragment};

const WINDOW: u16 = 4096;
const WINDOWS: u16 = 16;
/// How many windows ahead a message may be.
const FREE_WINDOWS: u16 = 8;

/// What a message that waits is counted with beside its bytes.
pub(super) const OVERHEAD: usize = 64;

/// What became of a message or fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Took {
    /// It was handed out, or waits.
    Taken,
    /// It came late or twice. A reliable one is acknowledged again.
    Late,
    /// There is no room for it.
    Full,
    /// No sender of this protocol sends it.
    Impossible,
}

/// What one peer may have waiting here, and has.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Waiting {
    /// Not whole, or not in order.
    pub(super) held: usize,
    /// Handed out, and not taken by the application.
    pub(super) untaken: usize,
    pub(super) max: usize,
    pub(super) message_max: usize,
}

impl Waiting {
    fn has_room(&self, cost: usize) -> bool {
        self.held.saturating_add(cost) <= self.max
    }

    // For the message that all others of its channel wait for: without it, those could fill the room and never
    // leave. It may go over the limit by itself, and then no other may.
    fn has_room_for_next(&self) -> bool {
        self.held <= self.max
    }

    pub(super) fn is_full(&self) -> bool {
        self.untaken >= self.max
    }
}

/// Which fragments of a message have come.
#[derive(Debug)]
struct Pieces {
    count: u32,
    left: u32,
    have: Vec<u32>,
}

/// A message that waits for fragments, or for those before it.
#[derive(Debug)]
struct Held {
    reliable: u16,
    unreliable: u16,
    bytes: Vec<u8>,
    /// Nothing: it came in one.
    pieces: Option<Pieces>,
}

impl Held {
    fn is_whole(&self) -> bool {
        self.pieces.as_ref().is_none_or(|pieces| pieces.left == 0)
    }

    fn cost(&self) -> usize {
        OVERHEAD + self.bytes.len() + self.pieces.as_ref().map_or(0, |pieces| pieces.have.len() * 4)
    }

    /// Numbers it takes.
    fn span(&self) -> u16 {
        self.pieces.as_ref().map_or(1, |pieces| pieces.count as u16)
    }

    fn of_fragments(reliable: u16, unreliable: u16, fragment: &Fragment<'_>) -> Held {
        Held {
            reliable,
            unreliable,
            bytes: vec![0; fragment.total as usize],
            pieces: Some(Pieces {
                count: fragment.count,
                left: fragment.count,
                have: vec![0; fragment.count.div_ceil(32) as usize],
            }),
        }
    }

    // Checked before: the piece lies inside the message, and its number below their count.
    fn add(&mut self, fragment: &Fragment<'_>) -> Took {
        let Some(pieces) = &mut self.pieces else { return Took::Impossible };
        if pieces.count != fragment.count || self.bytes.len() != fragment.total as usize {
            return Took::Impossible;
        }
        let word = &mut pieces.have[fragment.number as usize / 32];
        let bit = 1 << (fragment.number % 32);
        if *word & bit != 0 {
            return Took::Late;
        }
        *word |= bit;
        pieces.left -= 1;
        let from = fragment.offset as usize;
        self.bytes[from..from + fragment.bytes.len()].copy_from_slice(fragment.bytes);
        Took::Taken
    }
}

/// Whether a fragment can be one of a message that we take.
fn is_possible(fragment: &Fragment<'_>, message_max: usize) -> bool {
    let len = fragment.bytes.len() as u32;
    len > 0
        && fragment.count <= FRAGMENTS_MAX.min(u32::from(WINDOW * (FREE_WINDOWS - 1)))
        && fragment.number < fragment.count
        && fragment.total as usize <= message_max
        && fragment.total >= fragment.count
        && fragment.offset < fragment.total
        && len <= fragment.total - fragment.offset
}

/// How far a reliable number is ahead; nothing if it has been, or is too far.
fn ahead(of: u16, number: u16) -> Option<u16> {
    let current = of / WINDOW;
    let mut window = number / WINDOW;
    if number < of {
        window += WINDOWS;
    }
    (window < current + FREE_WINDOWS - 1).then(|| number.wrapping_sub(of))
}

/// Takes what is handed out.
pub(super) trait Hand {
    fn hand(&mut self, kind: Kind, bytes: Vec<u8>);

    /// Copies a message that is handed out at once.
    fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }
}

#[derive(Debug, Default)]
pub(super) struct Channel {
    out_reliable: u16,
    out_unreliable: u16,
    /// Reliable commands under way by window of their number, and which windows have some.
    windows: [u16; WINDOWS as usize],
    used_windows: u16,

    in_reliable: u16,
    in_unreliable: u16,
    /// Reliable messages by number.
    reliable: VecDeque<Held>,
    /// Unreliable ones by the number of the reliable one before them and their own: those that are not whole, and
    /// those whose reliable one has not come.
    unreliable: VecDeque<Held>,
}

impl Channel {
    /// The number of the next reliable command.
    pub(super) fn next_reliable(&mut self) -> u16 {
        self.out_reliable = self.out_reliable.wrapping_add(1);
        self.out_unreliable = 0;
        self.out_reliable
    }

    /// The numbers of the next unreliable message. Nothing when they run out, which a reliable message ends.
    pub(super) fn next_unreliable(&mut self) -> Option<(u16, u16)> {
        self.out_unreliable = self.out_unreliable.checked_add(1)?;
        Some((self.out_reliable, self.out_unreliable))
    }

    /// Whether the other end could tell this new number from an old one. It could not while numbers are under way
    /// that are about as far behind as ahead.
    pub(super) fn may_begin(&self, number: u16) -> bool {
        if !number.is_multiple_of(WINDOW) {
            return true;
        }
        let window = number / WINDOW;
        let before = usize::from((window + WINDOWS - 1) % WINDOWS);
        let watched = ((1_u32 << (FREE_WINDOWS + 2)) - 1) << window;
        let watched = (watched | watched >> WINDOWS) as u16;
        self.windows[before] < WINDOW && self.used_windows & watched == 0
    }

    pub(super) fn began(&mut self, number: u16) {
        let window = number / WINDOW;
        self.used_windows |= 1 << window;
        self.windows[usize::from(window)] += 1;
    }

    pub(super) fn arrived(&mut self, number: u16) {
        let window = number / WINDOW;
        let count = &mut self.windows[usize::from(window)];
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.used_windows &= !(1 << window);
        }
    }

    /// Whether a command with this number is acknowledged: not what was refused for being too far ahead.
    pub(super) fn acknowledges(&self, number: u16) -> bool {
        let current = self.in_reliable / WINDOW;
        let mut window = number / WINDOW;
        if number < self.in_reliable {
            window += WINDOWS;
        }
        !(current + FREE_WINDOWS - 1..=current + FREE_WINDOWS).contains(&window)
    }

    /// A reliable message in one piece.
    pub(super) fn take_reliable(
        &mut self,
        number: u16,
        bytes: &[u8],
        waiting: &mut Waiting,
        hand: &mut impl Hand,
    ) -> Took {
        if bytes.len() > waiting.message_max {
            return Took::Impossible;
        }
        let Some(distance @ 1..) = ahead(self.in_reliable, number) else { return Took::Late };
        if distance == 1 && self.reliable.front().is_none_or(|held| held.reliable != number) {
            self.in_reliable = number;
            self.in_unreliable = 0;
            let bytes = hand.copy(bytes);
            hand_out(hand, waiting, Kind::Reliable, bytes);
            self.behind_reliable(waiting, hand);
            self.advance(waiting, hand);
            return Took::Taken;
        }
        let place = match self.place_reliable(number) {
            Ok(_) => return Took::Late,
            Err(place) => place,
        };
        if !waiting.has_room(OVERHEAD + bytes.len()) {
            return Took::Full;
        }
        let held = Held { reliable: number, unreliable: 0, bytes: bytes.to_vec(), pieces: None };
        waiting.held += held.cost();
        self.reliable.insert(place, held);
        Took::Taken
    }

    /// A fragment of a reliable one.
    pub(super) fn take_fragment(
        &mut self,
        number: u16,
        fragment: &Fragment<'_>,
        waiting: &mut Waiting,
        hand: &mut impl Hand,
    ) -> Took {
        if !is_possible(fragment, waiting.message_max)
            || fragment.start.wrapping_add(fragment.number as u16) != number
        {
            return Took::Impossible;
        }
        let Some(distance @ 1..) = ahead(self.in_reliable, fragment.start) else { return Took::Late };
        let place = match self.place_reliable(fragment.start) {
            Ok(place) => place,
            Err(place) => {
                let cost = OVERHEAD + fragment.total as usize + fragment.count.div_ceil(32) as usize * 4;
                let room = waiting.has_room(cost) || (distance == 1 && waiting.has_room_for_next());
                if !room {
                    return Took::Full;
                }
                waiting.held += cost;
                self.reliable.insert(place, Held::of_fragments(fragment.start, 0, fragment));
                place
            }
        };
        let took = self.reliable[place].add(fragment);
        if took == Took::Taken && self.reliable[place].is_whole() {
            self.advance(waiting, hand);
        }
        took
    }

    /// An unreliable message in one piece.
    pub(super) fn take_unreliable(
        &mut self,
        reliable: u16,
        number: u16,
        bytes: &[u8],
        waiting: &mut Waiting,
        hand: &mut impl Hand,
    ) -> Took {
        if bytes.len() > waiting.message_max {
            return Took::Impossible;
        }
        match ahead(self.in_reliable, reliable) {
            None => Took::Late,
            Some(0) if number <= self.in_unreliable => Took::Late,
            Some(0) => {
                self.in_unreliable = number;
                let bytes = hand.copy(bytes);
                hand_out(hand, waiting, Kind::Unreliable, bytes);
                self.drop_overtaken(waiting);
                Took::Taken
            }
            Some(_) => {
                let Err(place) = self.place_unreliable(reliable, number) else { return Took::Late };
                if !waiting.has_room(OVERHEAD + bytes.len()) {
                    return Took::Full;
                }
                let held = Held { reliable, unreliable: number, bytes: bytes.to_vec(), pieces: None };
                waiting.held += held.cost();
                self.unreliable.insert(place, held);
                Took::Taken
            }
        }
    }

    /// A fragment of an unreliable one.
    pub(super) fn take_unreliable_fragment(
        &mut self,
        reliable: u16,
        fragment: &Fragment<'_>,
        waiting: &mut Waiting,
        hand: &mut impl Hand,
    ) -> Took {
        if !is_possible(fragment, waiting.message_max) {
            return Took::Impossible;
        }
        let Some(distance) = ahead(self.in_reliable, reliable) else { return Took::Late };
        if distance == 0 && fragment.start <= self.in_unreliable {
            return Took::Late;
        }
        let place = match self.place_unreliable(reliable, fragment.start) {
            Ok(place) => place,
            Err(mut place) => {
                let cost = OVERHEAD + fragment.total as usize + fragment.count.div_ceil(32) as usize * 4;
                // What is older and still not whole has lost a piece, most likely.
                while place > 0 && !waiting.has_room(cost) {
                    if let Some(held) = self.unreliable.pop_front() {
                        waiting.held -= held.cost();
                    }
                    place -= 1;
                }
                if !waiting.has_room(cost) {
                    return Took::Full;
                }
                waiting.held += cost;
                self.unreliable.insert(place, Held::of_fragments(reliable, fragment.start, fragment));
                place
            }
        };
        let took = self.unreliable[place].add(fragment);
        if took == Took::Taken && distance == 0 && self.unreliable[place].is_whole() {
            self.behind_reliable(waiting, hand);
        }
        took
    }

    // Where the reliable message of this number is, or belongs. The queue is in order, as seen from the last that was
    // handed out; a peer chooses how long it is and where it asks, so that must not matter.
    fn place_reliable(&self, number: u16) -> Result<usize, usize> {
        let distance = number.wrapping_sub(self.in_reliable);
        place(&self.reliable, distance, |held| held.reliable.wrapping_sub(self.in_reliable))
    }

    fn place_unreliable(&self, reliable: u16, number: u16) -> Result<usize, usize> {
        let key = (reliable.wrapping_sub(self.in_reliable), number);
        place(&self.unreliable, key, |held| (held.reliable.wrapping_sub(self.in_reliable), held.unreliable))
    }

    /// Hands out what has waited for the reliable messages that are there now.
    fn advance(&mut self, waiting: &mut Waiting, hand: &mut impl Hand) {
        while let Some(held) = self.reliable.front() {
            match ahead(self.in_reliable, held.reliable) {
                Some(1) if held.is_whole() => {}
                Some(1..) => break,
                // A message with as many fragments as this one has numbers was there instead.
                _ => {
                    waiting.held -= held.cost();
                    self.reliable.pop_front();
                    continue;
                }
            }
            let Some(held) = self.reliable.pop_front() else { break };
            waiting.held -= held.cost();
            self.in_reliable = held.reliable.wrapping_add(held.span() - 1);
            self.in_unreliable = 0;
            hand_out(hand, waiting, Kind::Reliable, held.bytes);
            self.behind_reliable(waiting, hand);
        }
        give_back(&mut self.reliable, 0);
    }

    /// Hands out the whole unreliable messages behind the reliable one that has come last, and drops what is too
    /// late.
    fn behind_reliable(&mut self, waiting: &mut Waiting, hand: &mut impl Hand) {
        let mut place = 0;
        while let Some(held) = self.unreliable.get(place) {
            match ahead(self.in_reliable, held.reliable) {
                Some(0) if held.unreliable > self.in_unreliable && !held.is_whole() => {
                    place += 1;
                    continue;
                }
                Some(1..) => break,
                _ => {}
            }
            let Some(held) = self.unreliable.remove(place) else { break };
            waiting.held -= held.cost();
            if held.reliable == self.in_reliable && held.unreliable > self.in_unreliable {
                self.in_unreliable = held.unreliable;
                hand_out(hand, waiting, Kind::Unreliable, held.bytes);
            }
        }
        self.drop_overtaken(waiting);
        give_back(&mut self.unreliable, 0);
    }

    fn drop_overtaken(&mut self, waiting: &mut Waiting) {
        while let Some(held) = self.unreliable.front() {
            if held.reliable != self.in_reliable || held.unreliable > self.in_unreliable {
                break;
            }
            waiting.held -= held.cost();
            self.unreliable.pop_front();
        }
    }
}

// Mostly it belongs to the end.
pub(super) fn place<T, K: Ord>(queue: &VecDeque<T>, key: K, of: impl Fn(&T) -> K) -> Result<usize, usize> {
    match queue.back() {
        None => Err(0),
        Some(last) if of(last) < key => Err(queue.len()),
        _ => queue.binary_search_by(|held| of(held).cmp(&key)),
    }
}

fn hand_out(hand: &mut impl Hand, waiting: &mut Waiting, kind: Kind, bytes: Vec<u8>) {
    waiting.untaken += OVERHEAD + bytes.len();
    hand.hand(kind, bytes);
}

/// Entries that an empty queue keeps memory for: most peers have one or two things on their way.
pub(super) const KEPT: usize = 2;

/// An empty queue keeps no memory that it will hardly need again: no more than for so many entries.
pub(super) fn give_back<T>(queue: &mut VecDeque<T>, kept: usize) {
    if queue.is_empty() && queue.capacity() > kept {
        *queue = VecDeque::new();
    }
}

/// Puts an entry into a queue that has few of them, mostly: with no room for more before they are there.
pub(super) fn append<T>(queue: &mut VecDeque<T>, entry: T) {
    if queue.len() == queue.capacity() && queue.len() <= KEPT {
        queue.reserve_exact(1);
    }
    queue.push_back(entry);
}

#[cfg(test)]
impl Channel {
    /// A channel that has come this far.
    pub(super) fn at(number: u16) -> Channel {
        Channel { out_reliable: number, in_reliable: number, ..Channel::default() }
    }
}
