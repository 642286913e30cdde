//! The bytes of all buffers of a worker whose memory is budgeted: one allocation, divided into blocks of one
//! size.
//!
//! What waits (unsent output, untaken input) is a [`Chain`] of blocks. A block is found by its number, so
//! nothing here needs a pointer, and a block that is given back is the next to be given out: what has not
//! been touched yet stays untouched, and costs no memory, as long as it is not needed.

use std::io::IoSlice;

/// No block.
const NONE: u32 = u32::MAX;

/// A queue of bytes in a region. Every block but the last is full.
#[derive(Clone, Copy)]
pub(crate) struct Chain {
    head: u32,
    tail: u32,
    /// Bytes of the first block that are gone already.
    start: u32,
    /// Bytes that the last block has room for.
    room: u32,
    len: usize,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain { head: NONE, tail: NONE, start: 0, room: 0, len: 0 }
    }
}

impl Chain {
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

pub(crate) struct Region {
    bytes: Vec<u8>,
    /// What follows each block, in its chain or among the free ones.
    next: Vec<u32>,
    block: usize,
    /// Given back, the latest first.
    free: u32,
    /// Never used: from here to the end.
    fresh: u32,
    blocks_free: usize,
    /// How many of the last free ones are kept for those who have none: a few who take all they can get leave
    /// a first block for an answer of somebody else.
    spare: usize,
    /// In chains.
    held: usize,
}

/// One of so many blocks is spare: few enough that those who hold most are ended before it comes to that.
const SPARE: usize = 24;

impl Region {
    /// What a block costs beside its bytes.
    pub(crate) const PER_BLOCK: usize = size_of::<u32>();

    /// Reserves `blocks` of `block` bytes each; `None` if there is no memory for them.
    pub(crate) fn new(blocks: usize, block: usize) -> Option<Region> {
        debug_assert!(block > 0 && blocks < NONE as usize);
        // Asked for first, since what asks for zeroed memory ends the process where there is none.
        Vec::<u8>::new().try_reserve_exact(blocks * block).ok()?;
        Some(Region {
            bytes: vec![0; blocks * block],
            next: vec![0; blocks],
            block,
            free: NONE,
            fresh: 0,
            blocks_free: blocks,
            spare: blocks / SPARE,
            held: 0,
        })
    }

    /// Bytes of each block.
    pub(crate) fn block(&self) -> usize {
        self.block
    }

    /// Bytes in blocks that nobody has.
    pub(crate) fn free_bytes(&self) -> usize {
        self.blocks_free * self.block
    }

    /// Bytes of all blocks in use, full or not, less those in them: what is lost to rounding.
    pub(crate) fn rounding(&self) -> usize {
        self.bytes.len() - self.free_bytes() - self.held
    }

    /// Less than a tenth is free.
    pub(crate) fn is_short(&self) -> bool {
        self.blocks_free * 10 < self.next.len()
    }

    /// Whether `more` bytes may be put behind `chain`: of the spare blocks, one may go to who has none.
    pub(crate) fn fits(&self, chain: &Chain, more: usize) -> bool {
        let first = usize::from(chain.head == NONE);
        let blocks = self.blocks_free.min(self.blocks_free.saturating_sub(self.spare) + first);
        more <= chain.room as usize + blocks * self.block
    }

    fn take(&mut self) -> u32 {
        self.blocks_free -= 1;
        if self.free != NONE {
            let block = self.free;
            self.free = self.next[block as usize];
            return block;
        }
        self.fresh += 1;
        self.fresh - 1
    }

    fn give(&mut self, block: u32) {
        self.blocks_free += 1;
        self.next[block as usize] = self.free;
        self.free = block;
    }

    /// Appends all of `bytes`, or nothing; false if there is no room. Whether they may be is not asked here:
    /// what is only moved has been let in already.
    pub(crate) fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) -> bool {
        if bytes.len() > chain.room as usize + self.free_bytes() {
            return false;
        }
        chain.len += bytes.len();
        self.held += bytes.len();
        while !bytes.is_empty() {
            if chain.room == 0 {
                let block = self.take();
                match chain.head {
                    NONE => (chain.head, chain.start) = (block, 0),
                    _ => self.next[chain.tail as usize] = block,
                }
                (chain.tail, chain.room) = (block, self.block as u32);
            }
            let n = bytes.len().min(chain.room as usize);
            let end = (chain.tail as usize + 1) * self.block;
            let at = end - chain.room as usize;
            self.bytes[at..at + n].copy_from_slice(&bytes[..n]);
            chain.room -= n as u32;
            bytes = &bytes[n..];
        }
        true
    }

    /// Takes `n` bytes off the front, and gives back the blocks that held them.
    pub(crate) fn consume(&mut self, chain: &mut Chain, mut n: usize) {
        debug_assert!(n <= chain.len);
        chain.len -= n;
        self.held -= n;
        while n > 0 {
            let last = chain.head == chain.tail;
            let unused = if last { chain.room as usize } else { 0 };
            let left = self.block - chain.start as usize - unused;
            if n < left {
                chain.start += n as u32;
                return;
            }
            n -= left;
            let block = chain.head;
            if last {
                *chain = Chain::default();
            } else {
                (chain.head, chain.start) = (self.next[block as usize], 0);
            }
            self.give(block);
        }
    }

    pub(crate) fn clear(&mut self, chain: &mut Chain) {
        self.consume(chain, chain.len);
    }

    /// The pieces of a chain, from its front.
    fn pieces(&self, chain: &Chain) -> impl Iterator<Item = &[u8]> {
        let (mut block, mut start, mut left) = (chain.head, chain.start as usize, chain.len);
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let n = left.min(self.block - start);
            let at = block as usize * self.block + start;
            left -= n;
            (block, start) = (self.next[block as usize], 0);
            Some(&self.bytes[at..at + n])
        })
    }

    /// All of a chain, if it is in one block.
    #[inline]
    pub(crate) fn only(&self, chain: &Chain) -> Option<&[u8]> {
        (chain.head == chain.tail && chain.len > 0).then(|| {
            let at = chain.head as usize * self.block + chain.start as usize;
            &self.bytes[at..at + chain.len]
        })
    }

    /// Fills `slices` from the front of a chain; how many were filled, with how many bytes.
    pub(crate) fn gather<'a>(&'a self, chain: &Chain, slices: &mut [IoSlice<'a>]) -> (usize, usize) {
        let (mut filled, mut bytes) = (0, 0);
        for (slice, piece) in slices.iter_mut().zip(self.pieces(chain)) {
            *slice = IoSlice::new(piece);
            filled += 1;
            bytes += piece.len();
        }
        (filled, bytes)
    }

    /// Copies all of a chain to the front of `to`, which is at least as long.
    pub(crate) fn copy_to(&self, chain: &Chain, to: &mut [u8]) {
        let mut at = 0;
        for piece in self.pieces(chain) {
            to[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
    }

    /// Copies as much of the front of a chain as `to` has room for; how much.
    #[cfg(feature = "tls")]
    pub(crate) fn copy_front(&self, chain: &Chain, to: &mut [u8]) -> usize {
        let mut at = 0;
        for piece in self.pieces(chain) {
            let n = piece.len().min(to.len() - at);
            to[at..at + n].copy_from_slice(&piece[..n]);
            at += n;
            if at == to.len() {
                break;
            }
        }
        at
    }

    /// Moves all of one chain behind another, block by block, so that it takes hardly more room than there
    /// is already; false if even that was missing, and then the rest is lost.
    pub(crate) fn pour(&mut self, from: &mut Chain, to: &mut Chain) -> bool {
        let mut piece = [0; 512];
        while from.len > 0 {
            let n = {
                let Some(first) = self.pieces(from).next() else { break };
                let n = first.len().min(piece.len());
                piece[..n].copy_from_slice(&first[..n]);
                n
            };
            self.consume(from, n);
            if !self.append(to, &piece[..n]) {
                self.clear(from);
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_proto::testing::Rng;

    fn all(region: &Region, chain: &Chain) -> Vec<u8> {
        let mut bytes = vec![0; chain.len()];
        region.copy_to(chain, &mut bytes);
        let mut slices = [IoSlice::new(&[]); 64];
        let (n, len) = region.gather(chain, &mut slices);
        let gathered: Vec<u8> = slices[..n].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!((gathered.len(), &gathered[..]), (len, &bytes[..len]), "both ways out agree");
        assert_eq!(
            region.only(chain),
            (n == 1).then_some(&bytes[..]),
            "and so does the way out of one block"
        );
        bytes
    }

    #[test]
    fn chains_hold_what_a_model_holds_and_never_share_a_block() {
        let mut rng = Rng::new(9);
        let mut region = Region::new(40, 16).unwrap();
        let mut chains = [Chain::default(); 5];
        let mut models: [Vec<u8>; 5] = Default::default();
        let mut refused = 0;
        for step in 0..50_000_u32 {
            let n = rng.below(5) as usize;
            match rng.below(8) {
                0..4 => {
                    let bytes: Vec<u8> =
                        (0..rng.below(60)).map(|i| (step as u8).wrapping_add(i as u8)).collect();
                    let free: usize = region.free_bytes() + chains[n].room as usize;
                    let done = region.append(&mut chains[n], &bytes);
                    assert_eq!(done, bytes.len() <= free);
                    refused += usize::from(!done);
                    if done {
                        models[n].extend(bytes);
                    }
                }
                4..6 => {
                    let k = rng.below(models[n].len() as u64 + 1) as usize;
                    region.consume(&mut chains[n], k);
                    models[n].drain(..k);
                }
                6 => {
                    let to = (n + 1) % 5;
                    let (mut from, mut onto) = (chains[n], chains[to]);
                    let whole = region.pour(&mut from, &mut onto);
                    (chains[n], chains[to]) = (from, onto);
                    let moved = std::mem::take(&mut models[n]);
                    let poured = chains[to].len() - models[to].len();
                    assert!(if whole { poured == moved.len() } else { poured < moved.len() });
                    models[to].extend(&moved[..poured]);
                }
                _ => {
                    region.clear(&mut chains[n]);
                    models[n].clear();
                }
            }
            for (chain, model) in chains.iter().zip(&models) {
                assert_eq!(&all(&region, chain), model);
            }
            assert_eq!(region.held, models.iter().map(Vec::len).sum::<usize>());
        }
        assert!(refused > 100, "it was full often: {refused}");
        chains.iter_mut().for_each(|chain| region.clear(chain));
        assert_eq!((region.free_bytes(), region.rounding()), (640, 0), "everything came back");
    }

    #[test]
    fn the_last_blocks_are_for_those_who_have_none() {
        let mut region = Region::new(48, 16).unwrap();
        let [mut large, mut small, mut last] = [Chain::default(); 3];
        assert!(
            region.fits(&large, 47 * 16) && !region.fits(&large, 47 * 16 + 1),
            "a first one, and all but two"
        );
        assert!(region.append(&mut large, &[1; 46 * 16 - 5]));
        assert!(region.fits(&large, 5) && !region.fits(&large, 6), "what is begun is filled");
        assert!(region.fits(&small, 16) && !region.fits(&small, 17));
        assert!(region.append(&mut small, &[2; 10]));
        assert!(region.fits(&small, 6) && !region.fits(&small, 7), "one each");
        assert!(region.fits(&last, 16));
        assert!(region.append(&mut last, &[3; 16]));
        assert!(!region.fits(&Chain::default(), 1), "and no more than there are");
        region.clear(&mut large);
        assert!(region.fits(&small, 6 + 44 * 16) && !region.fits(&small, 6 + 44 * 16 + 1));
    }

    #[test]
    fn what_was_used_is_used_again_before_what_was_not() {
        let mut region = Region::new(8, 16).unwrap();
        let mut chain = Chain::default();
        for _ in 0..100 {
            assert!(region.append(&mut chain, &[1; 20]));
            region.consume(&mut chain, 20);
        }
        assert_eq!(region.fresh, 2);
    }

    #[test]
    #[cfg(feature = "tls")]
    fn what_is_taken_off_the_front_gives_its_blocks_back_before_more_is_taken() {
        let mut region = Region::new(8, 16).unwrap();
        let mut chain = Chain::default();
        let all: Vec<u8> = (0..100).collect();
        assert!(region.append(&mut chain, &all));
        let (mut piece, mut taken) = ([0; 40], Vec::new());
        for (n, free) in [(40, 3), (40, 6), (20, 8), (0, 8)] {
            assert_eq!(region.copy_front(&chain, &mut piece), n);
            region.consume(&mut chain, n);
            taken.extend_from_slice(&piece[..n]);
            assert_eq!(region.free_bytes(), free * 16, "there is room for what becomes of it");
        }
        assert_eq!(taken, all);
    }
}
