//! Compression of messages, one at a time: raw deflate (RFC 1951) with a cap on what comes out.
//!
//! A [`Deflater`] makes of each message bytes that end on a byte's boundary, so messages can stand one
//! behind another in any framing, and an [`Inflater`] undoes it. The four bytes that every such piece ends
//! with are left away, as RFC 7692 section 7.2.1 has it, so this is the compression of WebSocket as well as
//! one for protocols of your own: [`Compressed`] puts it into any framing. Read [`Inflater`] first: it is the
//! half that faces the network.
//!
//! **Window or no window.** Both remember up to 32 KiB of what went before (the sliding window), so that a
//! message can refer to its predecessors. That compresses small similar messages well, and costs its memory
//! for as long as the connection lives. With `reset` between messages each stands alone, and one pair of
//! them serves all connections of a worker.
//!
//! **Memory.** A deflater of window bits `w` and memory level `m` holds about `2^(w+2) + 2^(m+9)` bytes
//! (256 KiB by default, [`DeflateOptions::bytes`]), an inflater [`INFLATER_BYTES_MAX`] at most.
//!
//! ```
//! use windlass_proto::deflate::{DeflateOptions, Deflater, Inflater};
//!
//! let (mut deflater, mut inflater) = (Deflater::new(DeflateOptions::default()), Inflater::new());
//! let (mut packed, mut plain) = (Vec::new(), Vec::new());
//! deflater.compress(&[b'x'; 10_000], &mut packed);
//! assert!(packed.len() < 1_000);
//! inflater.inflate(&packed, 10_000, &mut plain)?;
//! assert_eq!(plain, [b'x'; 10_000]);
//! # Ok::<(), windlass_proto::deflate::InflateError>(())
//! ```

mod compressed;
mod deflater;
mod inflater;

pub use compressed::{Compressed, CompressedError};
pub use deflater::{DeflateOptions, Deflater};
pub use inflater::{INFLATER_BYTES_MAX, InflateError, Inflater};

/// The end of a deflate stream flushed to a byte's boundary: an empty stored block without its first bits.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
