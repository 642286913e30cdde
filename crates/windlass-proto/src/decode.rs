//! The one trait every protocol implements.

use core::error::Error;

use crate::Input;

/// Takes one message off the front of the input, once all of it is there.
///
/// A decoder holds what it must remember between calls (its phase, how far it has searched) and nothing
/// of the bytes. The rules, which [`testing::any_split`](crate::testing::any_split) checks:
///
/// - `Ok(Some(message))`: the message's bytes are taken; call again at once, there may be more.
/// - `Ok(None)`: nothing complete is there. Whatever is left untaken comes back, unchanged, at the front
///   of the next input, with more behind it; calling again with nothing new gives `Ok(None)` again.
/// - `Err(error)`: the peer broke the protocol. The connection ends, for this reason; the decoder is not
///   called again.
/// - The messages and the error do not depend on how the bytes were split on their way.
///
/// A decoder for messages of two bytes:
///
/// ```
/// use windlass_proto::{Decode, Input};
///
/// struct Pairs;
///
/// impl Decode for Pairs {
///     type Message<'b> = &'b mut [u8];
///     type Error = core::convert::Infallible;
///
///     fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, Self::Error> {
///         Ok(input.take(2))
///     }
/// }
///
/// let mut received = *b"abcde";
/// let mut input = Input::new(&mut received);
/// while let Some(pair) = Pairs.decode(&mut input).unwrap() {
///     assert!(pair == b"ab" || pair == b"cd");
/// }
/// assert_eq!(input.peek(), b"e");
/// ```
pub trait Decode {
    /// One message. It may borrow from the input's buffer for `'b`, and so cost no copy.
    type Message<'b>;

    /// What a peer can do wrong: one small `#[non_exhaustive]` enum per protocol.
    type Error: Error + Send + Sync + 'static;

    /// Takes the next message off the front of `input`, or nothing while it is incomplete.
    ///
    /// # Errors
    ///
    /// If the bytes can no longer become a valid message, or the message passes a limit.
    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Self::Message<'b>>, Self::Error>;

    /// Nothing follows: the peer has finished sending, and [`decode`](Decode::decode) has returned
    /// `Ok(None)`. Called until it returns `Ok(None)` itself, for protocols in which the end of the input
    /// ends a message (a last line without LF, a body without a length).
    ///
    /// As it stands, an end is always in good order, and what is left in `input` is no message.
    ///
    /// # Errors
    ///
    /// If the input may not end here: inside a message, for most protocols.
    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Self::Message<'b>>, Self::Error> {
        let _ = input;
        Ok(None)
    }
}
