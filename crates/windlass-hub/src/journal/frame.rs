//! How records stand in a segment: what its head says, and frames that are there whole or not at all.
//!
//! ```text
//! segment   = head frame*
//! head      = "windlass" version:u32 flags:u32 number:u64 previous:u64 previous_len:u64 first:u64 crc:u32
//! frame     = "\xabJrn" len:u32 body_crc:u32 unsynced:u32 head_crc:u32 body
//! body      = record*                          as many as were committed together
//! ```
//!
//! Numbers are little-endian; checksums are CRC-32C. That of a frame's head covers the number of its segment and its
//! place there too, so that neither blocks of a removed file nor a frame that was moved are taken for one that was
//! written. `previous` and `previous_len` say which segment came before and how much of it counts: after a failed
//! write its end is worth nothing, whatever is found there. Segments below `first` are superseded. `unsynced` says how
//! many bytes before the frame were not known to be on the disk when it was written: what a loss of power has torn is
//! told from what was garbled later by what is behind it.

/// What a file begins with.
const MAGIC: &[u8; 8] = b"windlass";

/// Of the format. Another one is not read.
const VERSION: u32 = 1;

pub(super) const HEAD: usize = 52;

/// In the flags of a head: this is what was whole in a segment that was set aside, so its length is its own.
pub(super) const SALVAGED: u32 = 1;

const FRAME_MAGIC: &[u8; 4] = b"\xabJrn";
pub(super) const FRAME_HEAD: usize = 20;

/// What a segment says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Head {
    pub(super) flags: u32,
    pub(super) number: u64,
    /// The segment before; 0: none.
    pub(super) previous: u64,
    /// How much of it counts.
    pub(super) previous_len: u64,
    /// The first segment that is needed.
    pub(super) first: u64,
}

/// Why bytes are no head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeadError {
    /// Cut off, or garbled.
    Broken,
    /// Whole, and of another version.
    Version(u32),
}

impl Head {
    pub(super) fn encode(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.flags.to_le_bytes());
        let numbers = [self.number, self.previous, self.previous_len, self.first];
        for (at, number) in (16..).step_by(8).zip(numbers) {
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..HEAD - 4]);
        bytes[HEAD - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Head, HeadError> {
        let bytes = bytes.get(..HEAD).ok_or(HeadError::Broken)?;
        if &bytes[..8] != MAGIC || u32_at(bytes, HEAD - 4) != crc32c::crc32c(&bytes[..HEAD - 4]) {
            return Err(HeadError::Broken);
        }
        match u32_at(bytes, 8) {
            VERSION => Ok(Head {
                flags: u32_at(bytes, 12),
                number: u64_at(bytes, 16),
                previous: u64_at(bytes, 24),
                previous_len: u64_at(bytes, 32),
                first: u64_at(bytes, 40),
            }),
            version => Err(HeadError::Version(version)),
        }
    }
}

/// Appends a frame that will stand at `at` in the segment of this number, of which `synced` bytes are on the disk.
pub(super) fn put_frame(out: &mut Vec<u8>, segment: u64, at: u64, synced: u64, body: &[u8]) {
    let begin = out.len();
    out.extend_from_slice(FRAME_MAGIC);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    let unsynced = u32::try_from(at.saturating_sub(synced)).unwrap_or(u32::MAX);
    out.extend_from_slice(&unsynced.to_le_bytes());
    let crc = head_crc(&out[begin..], segment, at);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(body);
}

fn head_crc(head: &[u8], segment: u64, at: u64) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&segment.to_le_bytes()), &at.to_le_bytes());
    crc32c::crc32c_append(place, head)
}

/// What is found at a place of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found<'b> {
    /// A frame that is whole, and how much before it was on the disk when it was written.
    Frame(&'b [u8], usize),
    /// Nothing: the bytes end here.
    End,
    /// Something else.
    Broken,
}

/// The frame at `at` of a segment's bytes, and where the next one would be.
pub(super) fn frame_at(bytes: &[u8], segment: u64, at: usize) -> (Found<'_>, usize) {
    let rest = &bytes[at.min(bytes.len())..];
    if rest.is_empty() {
        return (Found::End, at);
    }
    let Some((head, body)) = rest.split_at_checked(FRAME_HEAD) else { return (Found::Broken, at) };
    if &head[..4] != FRAME_MAGIC || u32_at(head, 16) != head_crc(&head[..16], segment, at as u64) {
        return (Found::Broken, at);
    }
    match body.get(..u32_at(head, 4) as usize) {
        Some(body) if crc32c::crc32c(body) == u32_at(head, 8) => {
            let synced = at.saturating_sub(u32_at(head, 12) as usize);
            (Found::Frame(body, synced), at + FRAME_HEAD + body.len())
        }
        _ => (Found::Broken, at),
    }
}

/// The first whole frame behind `at`, for what is behind a broken one.
pub(super) fn next_frame(bytes: &[u8], segment: u64, at: usize) -> Option<usize> {
    let mut at = at + 1;
    while at < bytes.len() {
        at += bytes[at..].windows(FRAME_MAGIC.len()).position(|four| four == FRAME_MAGIC)?;
        if let (Found::Frame(..), _) = frame_at(bytes, segment, at) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Whether a frame behind `at` was written when `at` was on the disk: then what is broken there was whole once.
pub(super) fn was_synced(bytes: &[u8], segment: u64, at: usize) -> bool {
    let mut next = next_frame(bytes, segment, at);
    while let Some(place) = next {
        next = match frame_at(bytes, segment, place) {
            (Found::Frame(_, synced), _) if synced > at => return true,
            (Found::Frame(..), behind) => Some(behind),
            (Found::Broken, _) => next_frame(bytes, segment, place),
            (Found::End, _) => None,
        };
    }
    false
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}
