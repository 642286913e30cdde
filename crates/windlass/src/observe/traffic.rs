//! Bytes of each connection, counted while somebody looks.
//!
//! A table beside the slots, at the same index. It is empty, and so costs one branch a read and a write,
//! until the first question for connections comes; nobody having asked for a while, it is given back.
//! [`Config::traffic`](crate::Config::traffic) keeps it always.

use std::time::Duration;

use windlass_proto::Time;

use crate::parts;
use crate::wheel::Tick;

/// The table is kept this long after the last question.
const KEPT: Duration = Duration::from_secs(15);
/// Rates are taken over at least this many milliseconds, so that two observers do not spoil each other's.
const RATE_OVER: u32 = 500;

/// Bytes of one connection, those of TLS records included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Received from its peer.
    pub received: u64,
    /// Sent to its peer: given to the system.
    pub sent: u64,
}

#[derive(Clone, Copy, Default)]
struct Row {
    count: Traffic,
    /// What it was when rates were last taken, and when that was.
    marked: Traffic,
    marked_at: Tick,
    received_rate: f32,
    sent_rate: f32,
}

/// What a connection costs here.
pub(crate) const ROW_BYTES: usize = size_of::<Row>();

#[derive(Default)]
pub(crate) struct TrafficTable {
    rows: Vec<Row>,
    /// Kept without anybody asking.
    always: bool,
    on: bool,
    expires: Option<Time>,
}

impl TrafficTable {
    pub(crate) fn new(always: bool) -> TrafficTable {
        TrafficTable { always, on: always, ..TrafficTable::default() }
    }

    /// Room for so many connections, where they are always counted.
    pub(crate) fn reserve(&mut self, connections: usize) {
        if self.always {
            self.rows.reserve_exact(connections);
        }
    }

    /// Whether every connection has been counted from its beginning.
    pub(crate) fn is_whole(&self) -> bool {
        self.always
    }

    #[inline]
    pub(crate) fn received(&mut self, index: u32, n: usize) {
        if parts::OBSERVE
            && let Some(row) = self.rows.get_mut(index as usize)
        {
            row.count.received += n as u64;
        }
    }

    #[inline]
    pub(crate) fn sent(&mut self, index: u32, n: usize) {
        if parts::OBSERVE
            && let Some(row) = self.rows.get_mut(index as usize)
        {
            row.count.sent += n as u64;
        }
    }

    /// A slot is somebody else's now.
    #[inline]
    pub(crate) fn begin(&mut self, index: u32, now: Tick) {
        if self.on {
            self.set(index, now, Traffic::default());
        }
    }

    /// What a connection brings along from another worker.
    #[cold]
    pub(crate) fn set(&mut self, index: u32, now: Tick, count: Traffic) {
        if !parts::OBSERVE || !self.on {
            return;
        }
        if self.rows.len() <= index as usize {
            self.rows.resize(index as usize + 1, Row::default());
        }
        self.rows[index as usize] = Row { count, marked: count, marked_at: now, ..Row::default() };
    }

    pub(crate) fn get(&self, index: u32) -> Option<Traffic> {
        self.rows.get(index as usize).map(|row| row.count)
    }

    /// Somebody asks: from now on it is counted, for `slots` connections to begin with.
    pub(crate) fn ask(&mut self, slots: usize, now: Time, tick: Tick) {
        if self.always {
            return;
        }
        self.expires = Some(now + KEPT);
        if !self.on {
            self.on = true;
            self.rows.resize(slots, Row { marked_at: tick, ..Row::default() });
        }
    }

    /// When nobody will have asked for long enough.
    pub(crate) fn expires(&self) -> Option<Time> {
        self.expires
    }

    /// Gives the table back when nobody has asked for long enough.
    #[inline]
    pub(crate) fn expire(&mut self, now: Time) {
        if parts::OBSERVE && self.expires.is_some_and(|at| at <= now) {
            (self.on, self.expires) = (false, None);
            self.rows = Vec::new();
        }
    }

    /// What a connection has received and sent, and how much a second of late.
    pub(crate) fn look(&mut self, index: u32, now: Tick) -> (Traffic, f32, f32) {
        let Some(row) = self.rows.get_mut(index as usize) else { return Default::default() };
        let over = now.wrapping_sub(row.marked_at);
        if over >= RATE_OVER {
            let rate = |count: u64, marked: u64| count.wrapping_sub(marked) as f32 * 1000.0 / over as f32;
            row.received_rate = rate(row.count.received, row.marked.received);
            row.sent_rate = rate(row.count.sent, row.marked.sent);
            (row.marked, row.marked_at) = (row.count, now);
        }
        (row.count, row.received_rate, row.sent_rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_only_between_the_first_question_and_a_while_after_the_last() {
        let (mut table, start) = (TrafficTable::new(false), Time::from_nanos(1));
        table.begin(0, 0);
        table.received(0, 5);
        assert_eq!(table.get(0), None);
        table.ask(1, start, 100);
        table.received(0, 1000);
        table.sent(0, 500);
        table.begin(7, 100);
        table.sent(7, 1);
        assert_eq!(table.look(0, 350).1, 0.0, "too soon for a rate");
        let (count, received, sent) = table.look(0, 1100);
        assert_eq!((count.received, count.sent, received, sent), (1000, 500, 1000.0, 500.0));
        assert_eq!(table.look(0, 1200).1, 1000.0, "the rate of before stands a while");
        assert_eq!(table.get(7).map(|count| count.sent), Some(1));
        table.expire(start + KEPT - Duration::from_millis(1));
        assert!(table.get(0).is_some());
        table.expire(start + KEPT);
        assert_eq!((table.get(0), table.rows.capacity()), (None, 0));
    }

    #[test]
    fn a_slot_with_a_new_owner_begins_anew() {
        let mut table = TrafficTable::new(true);
        table.begin(3, 0);
        table.sent(3, 9);
        table.begin(3, 5);
        assert_eq!(table.get(3), Some(Traffic::default()));
        table.expire(Time::MAX);
        assert!(table.get(3).is_some(), "this one is always kept");
    }
}
