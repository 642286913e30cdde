//! What a connection does to a store, and so what it must get back.
//!
//! Each connection has keys of its own and a counter, and goes through a sequence that is known from its
//! number alone. So the value of a key is known at any moment, and nothing that was sent has to be kept:
//! whoever checks walks through the same sequence.

/// How often each operation comes, in parts of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Stores a new value.
    pub set: u32,
    /// Reads one.
    pub get: u32,
    /// Counts one up.
    pub incr: u32,
}

impl Default for Mix {
    fn default() -> Mix {
        Mix { set: 1, get: 8, incr: 1 }
    }
}

impl std::str::FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Mix, String> {
        let mut mix = Mix { set: 0, get: 0, incr: 0 };
        for part in text.split(',') {
            let wrong = || format!("`{part}` is not set=N, get=N or incr=N");
            let (name, weight) = part.split_once('=').ok_or_else(wrong)?;
            let place = match name.trim() {
                "set" => &mut mix.set,
                "get" => &mut mix.get,
                "incr" => &mut mix.incr,
                _ => return Err(wrong()),
            };
            *place = weight.trim().parse::<u16>().map_err(|_| wrong())?.into();
        }
        if mix.all() == 0 { Err("one of set, get and incr must be above 0".into()) } else { Ok(mix) }
    }
}

impl std::fmt::Display for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "set={},get={},incr={}", self.set, self.get, self.incr)
    }
}

impl Mix {
    fn all(self) -> u32 {
        self.set + self.get + self.incr
    }
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Stores version `version` of key `key`.
    Set { key: usize, version: u32 },
    /// Reads key `key`, which has version `version`.
    Get { key: usize, version: u32 },
    /// Stores 0 in the counter.
    Reset,
    /// Counts it up, to this.
    Incr { to: u64 },
}

/// A walk through a connection's sequence. First each key is stored and the counter set to 0; from there on
/// the operations are mixed.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    mix: Mix,
    random: u64,
    /// The version of each key; 0 while it was not stored.
    versions: Vec<u32>,
    filled: usize,
    count: Option<u64>,
}

impl Script {
    pub(crate) fn new(number: usize, keys: usize, mix: Mix) -> Script {
        let random = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Script { mix, random, versions: vec![0; keys.max(1)], filled: 0, count: None }
    }

    pub(crate) fn mix(&self) -> Mix {
        self.mix
    }

    /// Whether every key was stored, and the counter.
    pub(crate) fn is_filled(&self) -> bool {
        self.count.is_some()
    }

    pub(crate) fn step(&mut self) -> Step {
        if self.filled < self.versions.len() {
            self.filled += 1;
            return self.set(self.filled - 1);
        }
        let Some(count) = &mut self.count else {
            self.count = Some(0);
            return Step::Reset;
        };
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let drawn = (self.random >> 33) as u32 % self.mix.all();
        let key = (self.random % 0xFFFF_FFFF) as usize % self.versions.len();
        if drawn < self.mix.set {
            self.set(key)
        } else if drawn < self.mix.set + self.mix.get {
            Step::Get { key, version: self.versions[key] }
        } else {
            *count += 1;
            Step::Incr { to: *count }
        }
    }

    fn set(&mut self, key: usize) -> Step {
        self.versions[key] = self.versions[key].wrapping_add(1);
        Step::Set { key, version: self.versions[key] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes() {
        assert_eq!("get=3,set=1".parse(), Ok(Mix { set: 1, get: 3, incr: 0 }));
        assert_eq!(Mix::default().to_string().parse(), Ok(Mix::default()));
        for text in ["", "get", "get=-1", "del=1", "get=0", "get=1,"] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_read_was_stored_before() {
        let mut script = Script::new(3, 7, Mix { set: 1, get: 2, incr: 1 });
        let (mut stored, mut counted, mut kinds) = ([0; 7], None, [0_u32; 3]);
        for n in 0..10_000 {
            assert_eq!(script.is_filled(), n > 7);
            match script.step() {
                Step::Set { key, version } => {
                    assert_ne!(version, stored[key]);
                    stored[key] = version;
                    kinds[0] += 1;
                }
                Step::Get { key, version } => {
                    assert!(version > 0 && stored[key] == version);
                    kinds[1] += 1;
                }
                Step::Reset => counted = Some(0),
                Step::Incr { to } => {
                    assert_eq!(counted.map(|count| count + 1), Some(to));
                    counted = Some(to);
                    kinds[2] += 1;
                }
            }
        }
        assert!(kinds[0] > 2000 && kinds[1] > 4500 && kinds[2] > 2000, "as mixed: {kinds:?}");
    }
}
