//! What a hash table takes, before it is made: for whoever has to know how much memory there will be.
//!
//! hashbrown tells what a table has ([`HashMap::allocation_size`](hashbrown::HashMap::allocation_size)), and doubles it. How
//! many entries that is for, and the other way round, it keeps for itself: seven eighths of a power of two of places, each
//! with a byte of its own. The tests of `outgoing` and `incoming` hold that against what it does.

/// Bytes behind the places: those of the first group of control bytes again, and what they are aligned to.
const TAIL: usize = 32;

/// Bytes of a table with room for so many entries, at most.
pub(super) fn bytes<T>(entries: usize) -> usize {
    if entries == 0 {
        return 0;
    }
    let places = (entries * 8).div_ceil(7).next_power_of_two().max(4);
    places * (size_of::<T>() + 1) + TAIL
}

/// Entries that a table of so many bytes has room for.
pub(super) fn room<T>(bytes: usize) -> usize {
    let places: usize = bytes / (size_of::<T>() + 1);
    let places = if places == 0 { 0 } else { 1_usize << places.ilog2() };
    if places < 8 { places.saturating_sub(1) } else { places / 8 * 7 }
}
