//! What has arrived and has not been taken.

use core::fmt;
use core::mem;

/// Bytes received and not taken: one contiguous piece, taken off its front.
///
/// What is taken lives as long as the buffer behind it (`'b`), not as long as the borrow of the input, so
/// several messages can be held at once. It is handed out as `&mut`, so it can be changed in place:
/// unmasked, decrypted, percent-decoded, put in lower case. The pieces are disjoint, and nothing is copied.
///
/// What is not taken stays, and comes back at the front of the next input with more behind it. Bytes that
/// stay are never changed, because only `&[u8]` of them can be seen.
///
/// ```
/// use windlass_proto::Input;
///
/// let mut received = *b"GET /";
/// let mut input = Input::new(&mut received);
/// let method = input.take(3).unwrap();
/// let space = input.take(1).unwrap();
/// method.make_ascii_lowercase(); // while `space` is alive as well
/// assert_eq!((&*method, &*space, input.peek()), (&b"get"[..], &b" "[..], &b"/"[..]));
/// assert!(input.take(2).is_none(), "only one byte is left, and it stays");
/// ```
pub struct Input<'b> {
    rest: &'b mut [u8],
    // 0 while no decoder has said anything. Counted from the front of `rest`, so every byte taken
    // forgets it.
    need: usize,
}

impl<'b> Input<'b> {
    /// An input over `bytes`, all of them still to be taken.
    #[inline]
    pub fn new(bytes: &'b mut [u8]) -> Input<'b> {
        Input { rest: bytes, need: 0 }
    }

    /// The number of bytes not taken.
    #[inline]
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything has been taken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes not taken, to look at.
    #[inline]
    pub fn peek(&self) -> &[u8] {
        self.rest
    }

    /// Takes the first `n` bytes. If fewer are there, takes none and returns `None`.
    #[inline]
    pub fn take(&mut self, n: usize) -> Option<&'b mut [u8]> {
        if n > self.rest.len() {
            return None;
        }
        let (taken, rest) = mem::take(&mut self.rest).split_at_mut(n);
        self.rest = rest;
        self.need = 0;
        Some(taken)
    }

    /// Takes everything.
    #[inline]
    pub fn take_all(&mut self) -> &'b mut [u8] {
        self.need = 0;
        mem::take(&mut self.rest)
    }

    /// Drops up to `n` bytes off the front and returns how many there were to drop.
    #[inline]
    pub fn skip(&mut self, n: usize) -> usize {
        let n = n.min(self.rest.len());
        let _ = self.take(n);
        n
    }

    /// Where `byte` occurs first, counted from the front.
    #[inline]
    pub fn find(&self, byte: u8) -> Option<usize> {
        memchr::memchr(byte, self.rest)
    }

    /// Says that the next message takes `total` bytes, counted from the front, those already here
    /// included.
    ///
    /// A hint: a decoder that has read a length gives it before it returns `Ok(None)`, and the engine may
    /// make room for all of it at once, wait until all of it is there, or end the connection at once when
    /// `total` is over the limit. It must be the truth: never more than the decoder needs to go on.
    /// Taking bytes forgets it, and so does `need(0)`.
    #[inline]
    pub fn need(&mut self, total: usize) {
        self.need = total;
    }

    /// What [`need`](Input::need) said last, if no byte was taken since.
    #[inline]
    pub fn needed(&self) -> Option<usize> {
        if self.need == 0 { None } else { Some(self.need) }
    }
}

/// The numbers only: input is what a peer sent, and may hold a secret.
impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("len", &self.len()).field("needed", &self.needed()).finish()
    }
}
