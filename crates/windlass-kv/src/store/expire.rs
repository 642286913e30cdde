//! Deadlines: set and forgotten, and how keys that nobody asks for any more are found.

use super::Store;

/// Positions looked at in one step of the sweep.
const STEP: usize = 512;
/// Steps in one sweep, at most: some 100 us.
const STEPS_MAX: usize = 16;

impl Store {
    /// When a key expires, in Unix milliseconds: `Some(None)` if never, `None` if there is no such key.
    pub fn deadline(&mut self, key: &[u8]) -> Option<Option<u64>> {
        self.peek(key).map(|entry| entry.deadline())
    }

    /// Gives a key a deadline, or takes it away. One that has passed removes the key. False if there is
    /// no such key.
    pub fn expire(&mut self, key: &[u8], at: Option<u64>) -> bool {
        let Some(position) = self.find(key) else { return false };
        self.stats.changes += 1;
        let deadline = match at {
            Some(at) if at <= self.now => {
                self.remove_at(position);
                return true;
            }
            Some(at) => at,
            None => 0,
        };
        let clock = self.clock();
        let entry = &mut self.map[position];
        self.volatile = self.volatile + usize::from(deadline != 0) - usize::from(entry.deadline != 0);
        (entry.deadline, entry.used_at) = (deadline, clock);
        true
    }

    /// Removes some of what has expired, in bounded time; for the service's tick. It goes on where the
    /// last one stopped, looks at 512 keys, and at more while a quarter of those had expired. Returns
    /// how many it removed.
    pub fn sweep(&mut self) -> usize {
        let mut removed = 0;
        for _ in 0..STEPS_MAX {
            if self.volatile == 0 {
                break;
            }
            let found = self.sweep_step();
            removed += found;
            if found < STEP / 4 {
                break;
            }
        }
        self.stats.expired += removed as u64;
        removed
    }

    fn sweep_step(&mut self) -> usize {
        let mut removed = 0;
        for _ in 0..STEP.min(self.map.len()) {
            if self.sweep_at == 0 || self.sweep_at > self.map.len() {
                self.sweep_at = self.map.len();
            }
            let Some(at) = self.sweep_at.checked_sub(1) else { break };
            self.sweep_at = at;
            // From the back to the front: what takes the place of a removed one was looked at before.
            if self.map.get_index(at).is_some_and(|(_, entry)| entry.is_expired(self.now)) {
                self.remove_at(at);
                removed += 1;
            }
        }
        removed
    }
}
