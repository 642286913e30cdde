//! What bounds a store.

/// The bounds of a [`Store`](super::Store). Plain data with `Default`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// Bytes that keys, values and their tables may take. Default 256 MiB.
    pub memory_max: usize,
    /// What happens when they would take more. Default [`Eviction::None`].
    pub eviction: Eviction,
    /// Bytes of the longest key. Default 64 KiB.
    pub key_max: usize,
    /// Bytes of the longest string, list element or field. Default 8 MiB.
    pub value_max: usize,
    /// Where the choice of keys to evict starts: equal seeds choose alike. Default 0.
    pub seed: u64,
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig {
            memory_max: 256 << 20,
            eviction: Eviction::None,
            key_max: 64 << 10,
            value_max: 8 << 20,
            seed: 0,
        }
    }
}

/// Which keys go when memory is full: the names are those of Redis.
///
/// "Least recently used" is an approximation, as it is there: the longest unused of ten keys drawn at
/// random. "Volatile" are the keys with a deadline; where they are so few that a draw does not find any,
/// the write is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Eviction {
    /// `noeviction`: none. What would need more room is refused.
    #[default]
    None,
    /// `allkeys-lru`: the least recently used.
    AllKeysLru,
    /// `allkeys-random`: any.
    AllKeysRandom,
    /// `volatile-lru`: the least recently used of those with a deadline.
    VolatileLru,
    /// `volatile-random`: any with a deadline.
    VolatileRandom,
    /// `volatile-ttl`: the one whose deadline is next.
    VolatileTtl,
}

impl Eviction {
    /// All of them.
    pub const ALL: [Eviction; 6] = [
        Eviction::None,
        Eviction::AllKeysLru,
        Eviction::AllKeysRandom,
        Eviction::VolatileLru,
        Eviction::VolatileRandom,
        Eviction::VolatileTtl,
    ];

    /// Its name, as Redis has it.
    pub fn name(self) -> &'static str {
        match self {
            Eviction::None => "noeviction",
            Eviction::AllKeysLru => "allkeys-lru",
            Eviction::AllKeysRandom => "allkeys-random",
            Eviction::VolatileLru => "volatile-lru",
            Eviction::VolatileRandom => "volatile-random",
            Eviction::VolatileTtl => "volatile-ttl",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Eviction> {
        Eviction::ALL.into_iter().find(|eviction| eviction.name() == name)
    }
}
