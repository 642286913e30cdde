//! When a message is due, in an open loop.
//!
//! The whole load is one sequence: message `n` is due `n / rate` after the start and goes out on
//! connection `n % connections`. So the due time of any message is computed, never stored, and a
//! server that falls behind cannot make the generator allocate or forget.

/// The schedule of an open loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// When message 0 is due, in nanoseconds of [`crate::clock::now`].
    pub(crate) start: u64,
    /// Messages per second over all connections.
    pub(crate) rate: u64,
    /// All connections, over all threads.
    pub(crate) connections: u64,
}

impl Pace {
    /// When message `nth` (from 0) of connection `connection` is due.
    pub(crate) fn due(&self, connection: u64, nth: u64) -> u64 {
        let n = u128::from(nth) * u128::from(self.connections) + u128::from(connection);
        self.start + (n * 1_000_000_000 / u128::from(self.rate)) as u64
    }
}

/// Walks one thread's share of the schedule in order of due time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    pace: Pace,
    /// The thread's connections are `first`, `first + stride`, ... : `count` of them.
    first: u64,
    stride: u64,
    count: u64,
    /// The next message: the `nth` of the thread's connection `local`.
    local: u64,
    nth: u64,
}

impl Cursor {
    pub(crate) fn new(pace: Pace, first: u64, stride: u64, count: u64) -> Cursor {
        Cursor { pace, first, stride, count, local: 0, nth: 0 }
    }

    /// When the next message is due.
    pub(crate) fn next_due(&self) -> u64 {
        self.pace.due(self.first + self.local * self.stride, self.nth)
    }

    /// Takes the next message if it is due by `now`; returns the thread's number of its connection.
    pub(crate) fn take(&mut self, now: u64) -> Option<usize> {
        if self.count == 0 || self.next_due() > now {
            return None;
        }
        let local = self.local;
        self.local += 1;
        if self.local == self.count {
            self.local = 0;
            self.nth += 1;
        }
        Some(local as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { start: 1_000, rate: 50_000, connections: 3 };

    #[test]
    fn due_times_are_even() {
        // 50,000 per second: one every 20 us, dealt to three connections in turn.
        assert_eq!(PACE.due(0, 0), 1_000);
        assert_eq!(PACE.due(1, 0), 21_000);
        assert_eq!(PACE.due(2, 0), 41_000);
        assert_eq!(PACE.due(0, 1), 61_000);
    }

    #[test]
    fn no_drift_after_a_day() {
        let pace = Pace { start: 0, rate: 3, connections: 1 };
        assert_eq!(pace.due(0, 3 * 86_400), 86_400_000_000_000);
    }

    #[test]
    fn a_late_cursor_owes_every_message_since() {
        let mut cursor = Cursor::new(PACE, 0, 1, 3);
        assert_eq!(cursor.take(999), None);
        // 100 us late: the messages due at 0, 20, 40, 60, 80 and 100 us, none skipped.
        let taken: Vec<usize> = std::iter::from_fn(|| cursor.take(101_000)).collect();
        assert_eq!(taken, [0, 1, 2, 0, 1, 2]);
        assert_eq!(cursor.next_due(), 121_000);
    }

    #[test]
    fn two_threads_share_one_schedule() {
        let even = Cursor::new(PACE, 0, 2, 2);
        let odd = Cursor::new(PACE, 1, 2, 1);
        let mut dues = Vec::new();
        for mut cursor in [even, odd] {
            loop {
                let due = cursor.next_due();
                if cursor.take(200_000).is_none() {
                    break;
                }
                dues.push(due);
            }
        }
        dues.sort_unstable();
        assert_eq!(dues, (0..10).map(|n| 1_000 + n * 20_000).collect::<Vec<u64>>());
    }
}
