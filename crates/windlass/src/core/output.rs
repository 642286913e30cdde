//! Output that the socket had no room for, and the pool its memory comes from.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::planted::{Fault, planted};
use crate::wheel::Tick;

use super::region::{Chain, Region};
use super::slot::Residue;

/// Small writes are gathered into blocks of up to this size. A power of two, like the size of every
/// block up to it: one that grew past it could not be kept.
const BLOCK_MAX: usize = 16 * 1024;
/// A large write is kept in pieces of up to this size.
const CHUNK_MAX: usize = 256 * 1024;
/// The least a block holds.
const BLOCK_MIN: usize = 512;
/// Slices handed to one `writev`.
pub(crate) const SLICES_MAX: usize = 64;

enum Piece {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Owned(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
        }
    }
}

/// Queued output of one connection. Exists only while there is some.
#[derive(Default)]
pub(crate) struct Output {
    /// A pipe with so many bytes in it, before all pieces: what was spliced from the other end of a relay.
    piped: Option<(u32, usize)>,
    pieces: VecDeque<Piece>,
    /// In place of all pieces where the pool has a region.
    chain: Chain,
    /// Bytes of the first piece already sent. Invariant: less than its length.
    sent: usize,
    /// Bytes not sent.
    len: usize,
    /// When the socket had last taken enough to count, and what it has taken since.
    pub(crate) progress: Tick,
    taken: usize,
}

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends `bytes`; false, and nothing is appended, where a region has no room for them.
    pub(crate) fn push(&mut self, bytes: &[u8], pool: &mut Pool) -> bool {
        if let Some(region) = &mut pool.region {
            let fits = region.append(&mut self.chain, bytes);
            self.len += if fits { bytes.len() } else { 0 };
            pool.bound_reads();
            return fits;
        }
        if bytes.is_empty() {
            return true;
        }
        self.len += bytes.len();
        if let Some(Piece::Owned(last)) = self.pieces.back_mut()
            && last.len() + bytes.len() <= BLOCK_MAX
        {
            make_room(last, bytes.len());
            last.extend_from_slice(bytes);
            return true;
        }
        // The first block of a queue grows as it must; behind it, more is to be expected. What stands between shared pieces is
        // mostly a head, and each of them is a block of its own.
        let least = if let Some(Piece::Owned(_)) = self.pieces.back() { BLOCK_MAX } else { 0 };
        // In chunks, so that memory goes back as it is sent and not only with the last byte.
        for chunk in bytes.chunks(CHUNK_MAX) {
            let mut block = pool.block(chunk.len(), chunk.len().max(least));
            block.extend_from_slice(chunk);
            self.pieces.push_back(Piece::Owned(block));
        }
        true
    }

    /// Whether `more` bytes can be appended.
    pub(crate) fn fits(&self, more: usize, pool: &Pool) -> bool {
        pool.region.as_ref().is_none_or(|region| region.fits(&self.chain, more))
    }

    /// Takes what waits of an input; false where there was no room for all of it.
    pub(crate) fn pour(&mut self, residue: &mut Residue, pool: &mut Pool) -> bool {
        let Some(region) = &mut pool.region else { return self.push(&residue.bytes, pool) };
        let before = self.chain.len();
        let whole = region.pour(&mut residue.chain, &mut self.chain);
        self.len += self.chain.len() - before;
        pool.bound_reads();
        whole
    }

    /// Appends bytes that are not copied. Only where there is no region.
    pub(crate) fn push_shared(&mut self, bytes: Bytes) -> bool {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.pieces.push_back(Piece::Shared(bytes));
        }
        true
    }

    /// The first of what is unsent, if it is in a pipe: which one, and how much.
    pub(crate) fn pipe(&self) -> Option<(u32, usize)> {
        self.piped
    }

    /// Only where nothing is queued: a pipe comes first.
    pub(crate) fn set_pipe(&mut self, pipe: u32, len: usize) {
        debug_assert!(self.len == 0 && self.piped.is_none());
        self.piped = Some((pipe, len));
        self.len = len;
    }

    /// Takes `n` bytes sent from the pipe off, and returns the pipe once it is empty.
    pub(crate) fn consume_pipe(&mut self, n: usize) -> Option<u32> {
        let (pipe, left) = self.piped.as_mut()?;
        debug_assert!(n <= *left);
        *left -= n;
        self.len -= n;
        let emptied = (*left == 0).then_some(*pipe);
        if emptied.is_some() {
            self.piped = None;
        }
        emptied
    }

    /// Gives the pipe up with all that is in it, and returns how much that was.
    pub(crate) fn lose_pipe(&mut self, pool: &mut Pool) -> usize {
        let Some((pipe, left)) = self.piped.take() else { return 0 };
        pool.lost_pipes.push(pipe);
        self.len -= left;
        left
    }

    /// Fills `slices` from the front of what is unsent, none of it in a pipe, and returns how many were
    /// filled.
    pub(crate) fn gather<'a>(
        &'a self,
        pool: &'a Pool,
        slices: &mut [IoSlice<'a>; SLICES_MAX],
    ) -> (usize, usize) {
        if let Some(region) = &pool.region {
            return region.gather(&self.chain, slices);
        }
        let mut filled = 0;
        let mut bytes = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            let piece = piece.bytes();
            let piece = if filled == 0 { &piece[self.sent..] } else { piece };
            *slice = IoSlice::new(piece);
            filled += 1;
            bytes += piece.len();
        }
        (filled, bytes)
    }

    /// All that is unsent, none of it in a pipe, if it is in one piece.
    #[inline]
    pub(crate) fn only<'a>(&'a self, pool: &'a Pool) -> Option<&'a [u8]> {
        if let Some(region) = &pool.region {
            return region.only(&self.chain);
        }
        match (self.pieces.len(), self.pieces.front()) {
            (1, Some(piece)) => Some(&piece.bytes()[self.sent..]),
            _ => None,
        }
    }

    /// Notes that the socket took `n` bytes. Those who take less than `least` at a time, for ever, hold
    /// their queue as surely as those who take nothing.
    pub(crate) fn note_progress(&mut self, n: usize, least: usize, now: Tick) {
        self.taken += n;
        if self.taken >= least && n > 0 {
            (self.taken, self.progress) = (0, now);
        }
    }

    /// Takes `n` sent bytes off the front.
    pub(crate) fn consume(&mut self, mut n: usize, pool: &mut Pool) {
        debug_assert!(n <= self.len);
        self.len -= n;
        if let Some(region) = &mut pool.region {
            region.consume(&mut self.chain, n);
            return pool.bound_reads();
        }
        while n > 0 {
            let Some(front) = self.pieces.front() else { break };
            let left = front.bytes().len() - self.sent;
            if n < left {
                self.sent += n;
                break;
            }
            n -= left;
            self.sent = 0;
            if let Some(Piece::Owned(block)) = self.pieces.pop_front() {
                pool.give_block(block);
            }
        }
        if planted(Fault::PartialWriteRepeated) {
            self.len += self.sent;
            self.sent = 0;
        }
    }

    fn clear(&mut self, pool: &mut Pool) {
        self.lose_pipe(pool);
        let left = self.len;
        self.consume(left, pool);
        self.pieces.clear();
        (self.sent, self.len, self.taken) = (0, 0, 0);
    }
}

/// Memory between uses, so that a steady state allocates nothing. Bounded: the rest goes back to the
/// allocator.
#[allow(clippy::vec_box, reason = "a slot holds the box: one word while idle, and no copy to attach it")]
pub(crate) struct Pool {
    blocks: Vec<Vec<u8>>,
    /// Larger pieces: what the kernel takes back and gives again is cleared page by page each time.
    chunks: VecDeque<Vec<u8>>,
    outputs: Vec<Box<Output>>,
    residues: Vec<Box<Residue>>,
    /// Pipes with bytes in them that nobody waits for any more: to be closed.
    pub(crate) lost_pipes: Vec<u32>,
    /// Where memory is budgeted: all blocks there are, and none but these.
    pub(crate) region: Option<Region>,
    /// Empty queues and residues kept, of each.
    kept: usize,
    /// Bytes read from one connection in one turn, by its limit and by what is free of a region.
    pub(crate) read_budget: usize,
    read_budget_max: usize,
    /// Bytes gathered on a connection that would take them at once, to go out in one call: in a region no
    /// more than a block, or what one sends to a thousand would take a thousand times its room.
    pub(crate) gathered_max: usize,
}

/// Blocks kept, of up to `BLOCK_MAX` bytes each.
const BLOCKS_KEPT: usize = 64;
/// Larger pieces kept, of up to `CHUNK_MAX` bytes each.
const CHUNKS_KEPT: usize = 4;
/// Empty queues kept.
const QUEUES_KEPT: usize = 256;

/// Read in spite of everything: whoever has nothing queued is served on.
const READ_LEAST: usize = 512;

impl Pool {
    /// What is kept is made as it is needed.
    pub(crate) fn new(read_budget: usize) -> Pool {
        Pool {
            blocks: Vec::new(),
            chunks: VecDeque::new(),
            outputs: Vec::new(),
            residues: Vec::new(),
            lost_pipes: Vec::new(),
            region: None,
            kept: 0,
            read_budget,
            read_budget_max: read_budget,
            gathered_max: usize::MAX,
        }
    }

    /// Makes all there will ever be: `region`, and queues for as many connections.
    pub(crate) fn reserve(&mut self, region: Region, connections: usize, pipes: usize) {
        self.outputs = (0..connections).map(|_| Box::default()).collect();
        self.residues = (0..connections).map(|_| Box::default()).collect();
        self.lost_pipes.reserve(pipes);
        self.gathered_max = region.block();
        self.region = Some(region);
        self.kept = connections;
        self.bound_reads();
    }

    /// Another limit on what is read in one turn.
    pub(crate) fn set_read_budget(&mut self, most: usize) {
        (self.read_budget, self.read_budget_max) = (most, most);
        self.bound_reads();
    }

    /// With less and less free, less and less is read at once: what is read may have to wait here.
    fn bound_reads(&mut self) {
        if let Some(region) = &self.region {
            self.read_budget = self.read_budget_max.min((region.free_bytes() / 4).max(READ_LEAST));
        }
    }

    /// Hardly anything is free: whoever has output waiting is not read before all of it is sent.
    pub(crate) fn is_short(&self) -> bool {
        self.region.as_ref().is_some_and(Region::is_short)
    }

    /// Whether a new queue has room for so many bytes.
    pub(crate) fn fits(&self, more: usize) -> bool {
        self.region.as_ref().is_none_or(|region| region.fits(&Chain::default(), more))
    }

    /// Bytes that are in use, beyond those that are counted, because blocks are not full.
    pub(crate) fn rounding(&self) -> usize {
        self.region.as_ref().map_or(0, Region::rounding)
    }

    /// Keeps `bytes` as what is left of an input of which `consumed` bytes are gone and the last `fresh`
    /// are new; false where a region has no room for them.
    pub(crate) fn keep(&mut self, residue: &mut Residue, bytes: &[u8], fresh: usize) -> bool {
        let Some(region) = &mut self.region else {
            residue.bytes.clear();
            residue.bytes.extend_from_slice(bytes);
            residue.fit();
            return true;
        };
        // Only what is not there yet is copied.
        let fresh = fresh.min(bytes.len());
        let held = residue.chain.len();
        region.consume(&mut residue.chain, held.saturating_sub(bytes.len() - fresh));
        let there = residue.chain.len();
        let more = &bytes[there..];
        let done = region.fits(&residue.chain, more.len()) && region.append(&mut residue.chain, more);
        self.bound_reads();
        done
    }

    /// Takes `n` bytes off the front of an input.
    pub(crate) fn consume_input(&mut self, residue: &mut Residue, n: usize) {
        match &mut self.region {
            None => drop(residue.bytes.drain(..n)),
            Some(region) => {
                region.consume(&mut residue.chain, n);
                self.bound_reads();
            }
        }
    }

    /// Moves as much of the front of an input as `to` has room for there, out of the blocks of a region; how much.
    #[cfg(feature = "tls")]
    pub(crate) fn take_input(&mut self, residue: &mut Residue, to: &mut [u8]) -> usize {
        let Some(region) = &mut self.region else { return 0 };
        let n = region.copy_front(&residue.chain, to);
        region.consume(&mut residue.chain, n);
        self.bound_reads();
        n
    }

    /// Copies an input to the front of `to`.
    pub(crate) fn copy_input(&self, residue: &Residue, to: &mut [u8]) {
        match &self.region {
            None => to[..residue.bytes.len()].copy_from_slice(&residue.bytes),
            Some(region) => region.copy_to(&residue.chain, to),
        }
    }

    /// A block that holds `len` bytes; one that must be made has room for `room`.
    fn block(&mut self, len: usize, room: usize) -> Vec<u8> {
        if len <= BLOCK_MAX
            && let Some(mut block) = self.blocks.pop()
        {
            make_room(&mut block, len);
            return block;
        }
        // At most twice as large as it has to be: limits count bytes, and memory must not be far from them.
        let fits = |chunk: &Vec<u8>| (room..=2 * room).contains(&chunk.capacity());
        if len > BLOCK_MAX
            && let Some(chunk) = self.chunks.iter().position(fits).and_then(|n| self.chunks.remove(n))
        {
            return chunk;
        }
        let mut block = Vec::new();
        make_room(&mut block, room.max(BLOCK_MIN));
        block
    }

    fn give_block(&mut self, mut block: Vec<u8>) {
        if block.capacity() <= BLOCK_MAX && self.blocks.len() < BLOCKS_KEPT {
            block.clear();
            self.blocks.push(block);
        } else if block.capacity() > BLOCK_MAX {
            block.clear();
            // The oldest gives way: what is sent now is like what will be.
            if self.chunks.len() == CHUNKS_KEPT {
                self.chunks.pop_front();
            }
            self.chunks.push_back(block);
        }
    }

    pub(crate) fn output(&mut self) -> Box<Output> {
        self.outputs.pop().unwrap_or_default()
    }

    pub(crate) fn give_output(&mut self, mut output: Box<Output>) {
        if output.len > 0 || output.piped.is_some() {
            output.clear(self);
        }
        // One that was sent has nothing else.
        debug_assert!(output.pieces.is_empty() && output.sent == 0);
        output.taken = 0;
        if output.pieces.capacity() <= SLICES_MAX && self.outputs.len() < QUEUES_KEPT.max(self.kept) {
            self.outputs.push(output);
        }
    }

    pub(crate) fn residue(&mut self) -> Box<Residue> {
        self.residues.pop().unwrap_or_default()
    }

    pub(crate) fn give_residue(&mut self, mut residue: Box<Residue>) {
        if let Some(region) = &mut self.region {
            region.clear(&mut residue.chain);
            self.bound_reads();
        }
        if residue.bytes.capacity() <= BLOCK_MAX && self.residues.len() < BLOCKS_KEPT.max(self.kept) {
            residue.bytes.clear();
            self.residues.push(residue);
        }
    }
}

/// Makes room for `more` bytes: up to `BLOCK_MAX` in powers of two, beyond it exactly.
fn make_room(block: &mut Vec<u8>, more: usize) {
    let needed = block.len() + more;
    if needed > block.capacity() {
        let room = if needed <= BLOCK_MAX { needed.next_power_of_two() } else { needed };
        block.reserve_exact(room - block.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(output: &Output, pool: &Pool) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let (n, bytes) = output.gather(pool, &mut slices);
        let all = slices[..n].iter().flat_map(|s| s.to_vec()).collect::<Vec<_>>();
        assert_eq!(all.len(), bytes);
        all
    }

    #[test]
    fn what_goes_in_comes_out_at_every_split() {
        let text: Vec<u8> = (0..=255).collect();
        for first in 0..text.len() {
            let mut pool = Pool::new(1 << 20);
            let mut output = pool.output();
            output.push(&text[..100], &mut pool);
            output.push_shared(Bytes::copy_from_slice(&text[100..150]));
            output.push(&text[150..], &mut pool);
            assert_eq!((output.len(), unsent(&output, &pool)), (256, text.clone()));
            output.consume(first, &mut pool);
            assert_eq!((output.len(), unsent(&output, &pool)), (256 - first, text[first..].to_vec()));
            output.consume(256 - first, &mut pool);
            assert_eq!((output.len(), unsent(&output, &pool)), (0, vec![]));
        }
    }

    /// 64 blocks of 512 bytes: a quarter of what is free is read at once, and never less than 512 bytes.
    #[test]
    fn what_is_read_at_once_follows_what_is_free() {
        let mut pool = Pool::new(1 << 20);
        pool.reserve(Region::new(64, 512).unwrap(), 4, 0);
        assert_eq!((pool.read_budget, pool.gathered_max), (64 * 128, 512));
        let (mut output, mut residue) = (pool.output(), pool.residue());
        assert!(output.push(&[1; 10 * 512], &mut pool));
        assert_eq!(pool.read_budget, 54 * 128);
        output.consume(4 * 512, &mut pool);
        assert_eq!(pool.read_budget, 58 * 128);
        assert!(pool.keep(&mut residue, &[2; 3 * 512], 3 * 512));
        assert_eq!(pool.read_budget, 55 * 128);
        pool.consume_input(&mut residue, 512);
        assert_eq!(pool.read_budget, 56 * 128);
        assert!(output.pour(&mut residue, &mut pool));
        assert_eq!((output.len(), pool.read_budget), (8 * 512, 56 * 128));
        assert!(pool.keep(&mut residue, &[2; 512], 512));
        pool.give_residue(residue);
        assert_eq!(pool.read_budget, 56 * 128);
        pool.set_read_budget(1_000);
        assert_eq!(pool.read_budget, 1_000);
        pool.set_read_budget(1 << 20);
        assert_eq!(pool.read_budget, 56 * 128);
        assert!(output.push(&[1; 53 * 512], &mut pool));
        assert_eq!(pool.read_budget, 512);
        pool.give_output(output);
        assert_eq!(pool.read_budget, 64 * 128);
    }

    #[test]
    fn a_pool_is_short_when_less_than_a_tenth_is_free() {
        let mut pool = Pool::new(1 << 20);
        assert!(!pool.is_short(), "where nothing is budgeted it never is");
        pool.reserve(Region::new(40, 512).unwrap(), 4, 0);
        let mut output = pool.output();
        assert!(output.push(&[1; 36 * 512], &mut pool));
        assert!(!pool.is_short(), "exactly a tenth");
        assert!(output.push(&[1], &mut pool));
        assert!(pool.is_short());
        pool.give_output(output);
        assert!(!pool.is_short());
    }

    #[test]
    fn heads_between_shared_pieces_take_little() {
        let mut pool = Pool::new(1 << 20);
        let mut output = pool.output();
        for _ in 0..32 {
            output.push(&[1; 30], &mut pool);
            output.push_shared(Bytes::from_static(&[7; 2048]));
        }
        let owned = output.pieces.iter().map(|piece| match piece {
            Piece::Owned(block) => block.capacity(),
            Piece::Shared(_) => 0,
        });
        assert!(owned.sum::<usize>() <= 32 * BLOCK_MIN);
    }

    #[test]
    fn blocks_never_grow_past_what_is_kept() {
        let mut pool = Pool::new(1 << 20);
        for len in [1, 64, 511, 513, 3000, 6000, 9000, BLOCK_MAX] {
            let mut output = pool.output();
            for _ in 0..20 {
                output.push(&vec![1; len], &mut pool);
            }
            for piece in &output.pieces {
                let Piece::Owned(block) = piece else { panic!("owned") };
                assert!(block.capacity() <= BLOCK_MAX, "{} for writes of {len}", block.capacity());
            }
            pool.give_output(output);
        }
        assert!(!pool.blocks.is_empty());
    }

    #[test]
    fn small_writes_share_a_block_and_large_ones_are_exact() {
        let mut pool = Pool::new(1 << 20);
        let mut output = pool.output();
        for _ in 0..100 {
            output.push(b"0123456789", &mut pool);
        }
        assert_eq!(output.pieces.len(), 1);
        output.push(&[7; 100_000], &mut pool);
        assert_eq!(output.pieces.len(), 2);
        let Some(Piece::Owned(last)) = output.pieces.back() else { panic!("owned") };
        assert_eq!(last.capacity(), 100_000);
        pool.give_output(output);
        assert_eq!(pool.output().len(), 0);
    }

    #[test]
    fn a_few_large_pieces_are_kept_for_writes_of_their_size() {
        let mut pool = Pool::new(1 << 20);
        let place = |len: usize, pool: &mut Pool| {
            let mut output = pool.output();
            output.push(&vec![7; len], pool);
            let Some(Piece::Owned(piece)) = output.pieces.back() else { panic!("owned") };
            let found = (piece.as_ptr(), piece.capacity());
            assert_eq!(unsent(&output, pool), vec![7; len]);
            pool.give_output(output);
            found
        };
        let first = place(100_000, &mut pool);
        assert_eq!(place(60_000, &mut pool), first, "it is large enough, and not twice too large");
        let small = place(40_000, &mut pool);
        assert_eq!(small.1, 40_000, "no more memory than twice the bytes");
        assert_eq!(place(100_000, &mut pool), first);
        for len in [17_000, 20_000, 200_000, CHUNK_MAX, CHUNK_MAX, 150_000] {
            place(len, &mut pool);
            assert!(pool.chunks.len() <= CHUNKS_KEPT);
        }
        assert!(pool.chunks.iter().all(|chunk| chunk.is_empty() && chunk.capacity() <= CHUNK_MAX));
    }
}
