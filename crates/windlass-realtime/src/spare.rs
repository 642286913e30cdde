//! Memory of a room that is used again: who has nothing to say holds none, and who has allocates none.

/// Buffers that nobody needs at the moment.
#[derive(Debug)]
pub(crate) struct Spare<T>(Vec<Vec<T>>);

impl<T> Default for Spare<T> {
    fn default() -> Spare<T> {
        Spare(Vec::new())
    }
}

impl<T> Spare<T> {
    /// How many are kept: some for each seat of a room of 16.
    const KEPT_MAX: usize = 64;
    /// How long the longest is that is kept.
    const CAPACITY_MAX: usize = 256;

    /// An empty one.
    pub(crate) fn take(&mut self) -> Vec<T> {
        self.0.pop().unwrap_or_default()
    }

    /// One that is not needed any more.
    pub(crate) fn give(&mut self, mut buffer: Vec<T>) {
        if (1..=Spare::<T>::CAPACITY_MAX).contains(&buffer.capacity()) && self.0.len() < Spare::<T>::KEPT_MAX
        {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_empty_and_bounded() {
        let mut spare = Spare::default();
        for n in 0..100 {
            spare.give(vec![n; 8]);
        }
        spare.give(Vec::new());
        spare.give(Vec::with_capacity(500));
        assert_eq!(spare.0.len(), Spare::<i32>::KEPT_MAX);
        assert!(spare.0.iter().all(|buffer| buffer.is_empty() && buffer.capacity() == 8));
        assert_eq!(spare.take().capacity(), 8);
    }
}
