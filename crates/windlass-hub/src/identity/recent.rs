//! Passwords that were right a moment ago, so that a fleet that comes back after a restart of its network does not
//! wait for thousands of hashes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ring::hmac;
use ring::rand::SystemRandom;

use super::judge::Checked;
use super::passwords::Entry;

/// Proofs of passwords that were right, one for a user: keyed hashes of which the key never leaves this process, so a
/// password is neither kept nor to be had from them without that. One worker has one of them. Only who says the
/// right password is recognized: a wrong one, and a user that is not there, cost what they always do.
pub struct Recent {
    /// None without randomness: then nothing is remembered.
    key: Option<hmac::Key>,
    users_max: usize,
    users: HashMap<Arc<str>, Proof>,
}

struct Proof {
    entry: Arc<Entry>,
    tag: hmac::Tag,
}

/// What [`Recent::note`] keeps.
pub(super) struct Remember {
    entry: Arc<Entry>,
    tag: hmac::Tag,
}

impl fmt::Debug for Remember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remember(..)")
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl Recent {
    /// Room for so many users, some 200 bytes each; 0 remembers nothing. When it is full it begins anew.
    pub fn new(users_max: usize) -> Recent {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Recent { key: key.ok().filter(|_| users_max > 0), users_max, users: HashMap::new() }
    }

    /// For the thread that checks.
    pub(super) fn keeper(&self) -> Keeper {
        Keeper(self.key.clone())
    }

    /// Keeps what a check has found out.
    pub fn note(&mut self, checked: &mut Checked) {
        let Some(Remember { entry, tag }) = checked.remember.take() else { return };
        if self.users_max == 0 {
            return;
        }
        if self.users.len() >= self.users_max && !self.users.contains_key(&entry.user) {
            self.users.clear();
        }
        self.users.insert(entry.user.clone(), Proof { entry, tag });
    }

    /// Room for another number of users.
    pub(crate) fn set_max(&mut self, users_max: usize) {
        if users_max == 0 || self.key.is_none() {
            *self = Recent::new(users_max);
        }
        self.users_max = users_max;
    }

    /// How many users are remembered.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether this was the password of this line of the file, and the line is still the same.
    pub(super) fn knows(&self, entry: &Entry, password: &[u8]) -> bool {
        let (Some(key), Some(proof)) = (&self.key, self.users.get(&entry.user)) else { return false };
        proof.entry.is(entry) && hmac::verify(key, password, proof.tag.as_ref()).is_ok()
    }
}

/// The key alone: what a check finds with it is noted with [`Recent::note`].
pub(super) struct Keeper(Option<hmac::Key>);

impl Keeper {
    pub(super) fn remember(&self, entry: &Arc<Entry>, password: &[u8]) -> Option<Remember> {
        let key = self.0.as_ref()?;
        Some(Remember { entry: entry.clone(), tag: hmac::sign(key, password) })
    }
}
