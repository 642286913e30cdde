//! Replies in the order of their requests.

use alloc::collections::VecDeque;
use core::error::Error;
use core::fmt;

use super::Refused;
use super::deadlines::Deadlines;
use crate::Time;

/// Requests whose replies come in their order.
///
/// A request that is given up keeps its place, and counts against the cap, since its reply is still on its
/// way and must not be taken for that of the next one: it comes out as [`Answered::Late`].
///
/// ```
/// use windlass_proto::Time;
/// use windlass_proto::correlate::{Answered, Fifo};
///
/// let at = Time::from_nanos;
/// let mut waiting = Fifo::max(100);
/// waiting.push("GET a", at(30)).unwrap();
/// waiting.push("GET b", at(90)).unwrap();
///
/// assert_eq!(waiting.next_deadline(), Some(at(30)));
/// assert_eq!(waiting.expire(at(31)), Some(&mut "GET a")); // whoever asked is told
/// assert_eq!(waiting.expire(at(31)), None);
///
/// assert_eq!(waiting.answered().unwrap(), Answered::Late("GET a"));
/// assert_eq!(waiting.answered().unwrap(), Answered::InTime("GET b"));
/// assert!(waiting.answered().is_err(), "a reply that nobody asked for");
/// ```
#[derive(Clone, Debug)]
pub struct Fifo<T> {
    max: usize,
    entries: VecDeque<Entry<T>>,
    // The number of the first entry: so many have been answered.
    answered: u64,
    deadlines: Deadlines,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    value: T,
    // Its place among the deadlines, until it is given up.
    place: Option<usize>,
}

/// A request, when its reply is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered<T> {
    /// It was waited for.
    InTime(T),
    /// It was given up before: [`Fifo::expire`] has told.
    Late(T),
}

/// A reply came, and no request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unasked;

impl<T> Fifo<T> {
    /// Up to `max` requests at a time.
    pub const fn max(max: usize) -> Fifo<T> {
        let deadlines = Deadlines::new();
        Fifo { max, entries: VecDeque::new(), answered: 0, deadlines }
    }

    /// A request was sent, and is given up at `deadline`; [`Time::MAX`] is never.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`].
    pub fn push(&mut self, value: T, deadline: Time) -> Result<(), Refused<T>> {
        if self.is_full() {
            return Err(Refused::Full(value));
        }
        let owner = self.answered + self.entries.len() as u64;
        self.entries.push_back(Entry { value, place: None });
        let (entries, first) = (&mut self.entries, self.answered);
        self.deadlines.push(deadline, owner, |owner, place| moved(entries, first, owner, place));
        Ok(())
    }

    /// A reply came: the request it belongs to, which is the oldest.
    ///
    /// # Errors
    ///
    /// [`Unasked`], if none waits.
    pub fn answered(&mut self) -> Result<Answered<T>, Unasked> {
        let Entry { value, place } = self.entries.pop_front().ok_or(Unasked)?;
        self.answered += 1;
        let Some(place) = place else { return Ok(Answered::Late(value)) };
        let (entries, first) = (&mut self.entries, self.answered);
        self.deadlines.remove(place, |owner, place| moved(entries, first, owner, place));
        Ok(Answered::InTime(value))
    }

    /// Gives up the request whose deadline passed first, if one has at `now`. Call it until it gives none.
    pub fn expire(&mut self, now: Time) -> Option<&mut T> {
        let (deadline, owner) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        let (entries, first) = (&mut self.entries, self.answered);
        self.deadlines.remove(0, |owner, place| moved(entries, first, owner, place));
        let entry = &mut self.entries[(owner - self.answered) as usize];
        entry.place = None;
        Some(&mut entry.value)
    }

    /// The earliest deadline of those not given up.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    /// The request that the next reply belongs to, given up or not: where what was asked decides how the
    /// reply is read, as with HTTP's HEAD.
    pub fn front(&self) -> Option<&T> {
        self.entries.front().map(|entry| &entry.value)
    }

    /// How many replies are to come, those to requests given up included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no reply is to come.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the next request would be refused.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.max
    }
}

fn moved<T>(entries: &mut VecDeque<Entry<T>>, first: u64, owner: u64, place: usize) {
    entries[(owner - first) as usize].place = Some(place);
}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reply that nobody asked for")
    }
}

impl Error for Unasked {}
