//! Things by number: what was added keeps its number until it is taken out, and numbers are given again.

/// A table of a worker.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Table<T> {
    pub(super) fn add(&mut self, thing: T) -> u32 {
        if let Some(key) = self.free.pop() {
            self.places[key as usize] = Some(thing);
            return key;
        }
        self.places.push(Some(thing));
        self.places.len() as u32 - 1
    }

    #[inline]
    pub(super) fn get(&mut self, key: u32) -> Option<&mut T> {
        self.places.get_mut(key as usize)?.as_mut()
    }

    #[inline]
    pub(super) fn look(&self, key: u32) -> Option<&T> {
        self.places.get(key as usize)?.as_ref()
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<T> {
        let thing = self.places.get_mut(key as usize)?.take()?;
        self.free.push(key);
        Some(thing)
    }

    /// The next `n` places of a round.
    pub(super) fn next(&mut self, at: &mut usize, n: usize) -> impl Iterator<Item = &mut T> {
        let from = if *at < self.places.len() { *at } else { 0 };
        let to = (from + n).min(self.places.len());
        *at = to;
        self.places[from..to].iter_mut().flatten()
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_are_given_again() {
        let mut table = Table::default();
        let (a, b) = (table.add('a'), table.add('b'));
        assert_eq!(table.remove(a), Some('a'));
        assert_eq!(table.remove(a), None, "only once");
        assert_eq!((table.add('c'), table.get(b).copied()), (a, Some('b')));
        assert_eq!(table.each().map(|c| *c).collect::<String>(), "cb");
        let mut at = 0;
        let round: Vec<char> =
            (0..3).flat_map(|_| table.next(&mut at, 1).map(|c| *c).collect::<Vec<_>>()).collect();
        assert_eq!(round, ['c', 'b', 'c']);
    }
}
