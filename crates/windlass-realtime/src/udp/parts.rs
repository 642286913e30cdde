//! A message of a room's, taken apart by how its pieces travel.

use crate::channel::Channel;
use crate::wire::{HEAD_BYTES, SNAPSHOT, first_len};

/// Bytes of a datagram that are not an unsequenced message: ENet's header, and the longest in front of a message.
const AROUND: usize = 28;
/// Of a checksum.
const CHECKSUM: usize = 4;

/// The parts of one message, each with its head. Kept to be filled again.
#[derive(Default, Debug)]
pub(super) struct Parts {
    reliable: Vec<u8>,
    sequenced: Vec<u8>,
    /// One behind the other; where each ends, and whether it fits into a datagram.
    unreliable: Vec<u8>,
    ends: Vec<(usize, bool)>,
    /// There was nothing but a head.
    bare: bool,
}

/// Room that is kept for the next message.
const KEPT: usize = 4 * 1024;

impl Parts {
    /// Takes a message apart, for datagrams of `mtu` bytes, a checksum included or not.
    pub(super) fn split(&mut self, message: &[u8], mtu: usize, checksum: bool) {
        for part in [&mut self.reliable, &mut self.sequenced, &mut self.unreliable] {
            part.clear();
            part.shrink_to(KEPT);
        }
        self.ends.clear();
        let Some((head, mut rest)) = message.split_at_checked(HEAD_BYTES) else { return };
        self.bare = rest.is_empty();
        let around = AROUND + if checksum { CHECKSUM } else { 0 };
        let fits = |len: usize| len + around <= mtu;
        // Where the last of the unreliable begins.
        let mut begin = 0;
        while let Some(len) = first_len(rest) {
            let (piece, behind) = rest.split_at(len);
            rest = behind;
            let tag = piece[0];
            if tag == Channel::Unreliable.code() {
                let last = self.unreliable.len() - begin;
                if last > 0 && !fits(last + len) {
                    self.ends.push((self.unreliable.len(), fits(last)));
                    begin = self.unreliable.len();
                }
                if self.unreliable.len() == begin {
                    self.unreliable.extend_from_slice(head);
                }
                self.unreliable.extend_from_slice(piece);
                continue;
            }
            let is_sequenced = tag == SNAPSHOT || tag == Channel::Sequenced.code();
            let part = if is_sequenced { &mut self.sequenced } else { &mut self.reliable };
            if part.is_empty() {
                part.extend_from_slice(head);
            }
            part.extend_from_slice(piece);
        }
        if self.unreliable.len() > begin {
            self.ends.push((self.unreliable.len(), fits(self.unreliable.len() - begin)));
        }
        if self.bare {
            self.sequenced.extend_from_slice(head);
        }
    }

    pub(super) fn reliable(&self) -> Option<&[u8]> {
        (!self.reliable.is_empty()).then_some(&self.reliable)
    }

    /// A head alone, too, if that is all.
    pub(super) fn sequenced(&self) -> Option<&[u8]> {
        (!self.sequenced.is_empty()).then_some(&self.sequenced)
    }

    /// Messages, and whether each fits into a datagram.
    pub(super) fn unreliable(&self) -> impl Iterator<Item = (bool, &[u8])> {
        let mut from = 0;
        self.ends.iter().map(move |&(end, fits)| {
            let message = &self.unreliable[from..end];
            from = end;
            (fits, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_end, put_piece};

    const HEAD: [u8; HEAD_BYTES] = [1, 2, 3, 4, 5];

    fn pieces(of: &[(u8, usize)]) -> Vec<u8> {
        let mut out = Vec::new();
        of.iter().for_each(|&(tag, len)| put_piece(&mut out, tag, &vec![tag; len]));
        out
    }

    fn with_head(of: &[(u8, usize)]) -> Vec<u8> {
        [&HEAD[..], &pieces(of)].concat()
    }

    #[test]
    fn pieces_go_with_those_that_travel_as_they_do() {
        let mut parts = Parts::default();
        let mut message = with_head(&[(3, 10), (3, 700), (1, 4), (2, 5), (2, 6), (4, 90)]);
        put_end(&mut message, "over");
        parts.split(&message, 1392, false);
        let mut reliable = with_head(&[(3, 10), (3, 700)]);
        put_end(&mut reliable, "over");
        assert_eq!(parts.reliable(), Some(&reliable[..]));
        assert_eq!(parts.sequenced(), Some(&with_head(&[(1, 4), (4, 90)])[..]));
        let unreliable: Vec<_> = parts.unreliable().collect();
        assert_eq!(unreliable, [(true, &with_head(&[(2, 5), (2, 6)])[..])]);
        // What was there is gone with the next.
        parts.split(&with_head(&[(4, 1)]), 1392, false);
        assert_eq!((parts.reliable(), parts.unreliable().count()), (None, 0));
        assert_eq!(parts.sequenced(), Some(&with_head(&[(4, 1)])[..]));
    }

    #[test]
    fn a_head_alone_is_sequenced() {
        let mut parts = Parts::default();
        parts.split(&HEAD, 1392, false);
        assert_eq!(parts.sequenced(), Some(&HEAD[..]));
        parts.split(&with_head(&[(3, 1)]), 1392, false);
        assert_eq!(parts.sequenced(), None);
    }

    #[test]
    fn unreliable_messages_fill_datagrams_and_one_that_is_too_long_goes_alone() {
        let mut parts = Parts::default();
        parts.split(&with_head(&[(2, 300), (2, 200), (2, 100), (2, 900), (2, 3), (2, 4)]), 576, false);
        let unreliable: Vec<_> = parts.unreliable().map(|(fits, bytes)| (fits, bytes.to_vec())).collect();
        let expected = [
            (true, with_head(&[(2, 300), (2, 200)])),
            (true, with_head(&[(2, 100)])),
            (false, with_head(&[(2, 900)])),
            (true, with_head(&[(2, 3), (2, 4)])),
        ];
        assert_eq!(unreliable, expected);
    }

    #[test]
    fn a_checksum_takes_its_part_of_a_datagram() {
        let mut parts = Parts::default();
        for (len, checksum, fits) in
            [(556, false, false), (540, false, true), (540, true, false), (536, true, true)]
        {
            parts.split(&with_head(&[(2, len)]), 576, checksum);
            assert_eq!(parts.unreliable().map(|part| part.0).collect::<Vec<_>>(), [fits], "{len} {checksum}");
        }
    }
}
