//! Password files: `user:hash` lines, as Mosquitto has them.
//!
//! Read `stored` for the kinds of hashes, and `edit` for how a file is changed.

mod edit;
mod stored;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::mistake::{Mistake, lines};
pub use edit::{remove, set, upgrade};
use stored::Stored;
pub use stored::{Hashing, HashingError};

/// Users of one file. One more is a mistake in it.
const USERS_MAX: usize = 1_000_000;
/// Bytes of a user name (section 1.5.4 of MQTT 5).
const USER_MAX: usize = 65_535;

/// The users of a password file, and the hashes of their passwords.
///
/// ```
/// use windlass_hub::identity::Passwords;
///
/// let text = "# sensors\n\
///             roger:$6$TzBRrphnHv9AW2r0$vtUXPNeLWHtzNQcp8vvQYFdc0uo1ysCUuFCyYi7stY+kDKOZRIPHgrLgmc5wQrxjN3Cg6xaTU53VULdVRK1Pig==\n";
/// let passwords = Passwords::parse(text).expect("it is as Mosquitto writes it");
/// assert_eq!(passwords.len(), 1);
/// assert!(!passwords.check("roger", b"wrong").run());
///
/// let mistakes = Passwords::parse("roger:secret").expect_err("passwords are never kept as they are");
/// assert_eq!(&mistakes[0].what, "the password of `roger` is not hashed");
/// ```
pub struct Passwords {
    users: HashMap<Arc<str>, usize>,
    entries: Vec<Arc<Entry>>,
    /// Which entry stands in for a user that is not there.
    stand_in: RandomState,
}

/// A user's line.
pub(super) struct Entry {
    pub(super) user: Arc<str>,
    stored: Stored,
}

impl Entry {
    /// Whether it is the same password: the same hash of it, salt included.
    pub(super) fn is(&self, other: &Entry) -> bool {
        self.user == other.user && self.stored == other.stored
    }
}

impl Passwords {
    /// Reads a file: empty lines, comments that begin with `#`, and `USER:HASH`, where the hash is argon2id's
    /// (a PHC string), Mosquitto's `$7$` (PBKDF2 with SHA-512) or its older `$6$` (SHA-512).
    ///
    /// # Errors
    ///
    /// All that is wrong with it: lines without a colon, users that are there twice, passwords that are not
    /// hashed, hashes that nobody can read or that would take more than 256 MiB or some seconds to check.
    pub fn parse(text: &str) -> Result<Passwords, Vec<Mistake>> {
        let mut passwords =
            Passwords { users: HashMap::new(), entries: Vec::new(), stand_in: RandomState::new() };
        let mut mistakes = Vec::new();
        for line in lines(text).map(|line| line.trim()) {
            if line.text.is_empty() || line.text.starts_with('#') {
                continue;
            }
            let Some((user, hash)) = line.split_once(':') else {
                // It may be somebody's password: it is not repeated.
                let mistake =
                    Mistake::new(line.span(), "a line without a colon", "this should be `USER:HASH`");
                mistakes.push(mistake.help("`windlass hub passwd FILE USER` writes such lines"));
                continue;
            };
            let (user, hash) = (user.trim(), hash.trim());
            if let Err(why) = check_user(user.text) {
                mistakes.push(Mistake::new(user.span(), why, "the user"));
            } else if passwords.users.contains_key(user.text) {
                let what = format!("the user `{}` is there twice", user.text);
                mistakes.push(Mistake::new(user.span(), what, "for the second time"));
            } else if passwords.entries.len() == USERS_MAX {
                mistakes.push(Mistake::new(user.span(), "there are more than a million users", ""));
                break;
            } else {
                match Stored::parse(user.text, hash) {
                    Ok(stored) => passwords.insert(user.text, stored),
                    Err(mistake) => mistakes.push(mistake),
                }
            }
        }
        if mistakes.is_empty() { Ok(passwords) } else { Err(mistakes) }
    }

    fn insert(&mut self, user: &str, stored: Stored) {
        let user: Arc<str> = user.into();
        self.users.insert(user.clone(), self.entries.len());
        self.entries.push(Arc::new(Entry { user, stored }));
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is such a user.
    pub fn contains(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    pub(super) fn entry(&self, user: &str) -> Option<&Arc<Entry>> {
        self.users.get(user).map(|&at| &self.entries[at])
    }

    /// A check of a password, to be run where it may take its time: a hash costs milliseconds on purpose.
    ///
    /// For a user that is not there another's hash is computed, the same one each time as long as the file stays,
    /// so that how long it takes does not tell who is there.
    pub fn check(&self, user: &str, password: &[u8]) -> PasswordCheck {
        let known = self.users.get(user).copied();
        let at = known.or_else(|| {
            let drawn = self.stand_in.hash_one(user) % (self.entries.len() as u64).max(1);
            usize::try_from(drawn).ok()
        });
        PasswordCheck {
            entry: at.and_then(|at| self.entries.get(at)).cloned(),
            known: known.is_some(),
            password: Zeroizing::new(password.into()),
        }
    }
}

/// Without the hashes.
impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("users", &self.len()).finish_non_exhaustive()
    }
}

/// A password that is to be checked. It leaves no copy of it behind.
pub struct PasswordCheck {
    entry: Option<Arc<Entry>>,
    known: bool,
    password: Zeroizing<Box<[u8]>>,
}

impl PasswordCheck {
    /// Computes the hash, and whether the password is right: an empty one never is. It takes milliseconds, and up to 256 MiB for as long,
    /// as the line in the file says.
    pub fn run(&self) -> bool {
        let Some(entry) = &self.entry else { return false };
        // In this order: the hash is computed for who is not there too. Who says none must not get in by a line that
        // somebody has made with an empty one.
        entry.stored.is(&self.password) & self.known & !self.password.is_empty()
    }

    pub(super) fn password(&self) -> &[u8] {
        &self.password
    }

    pub(super) fn entry(&self) -> Option<&Arc<Entry>> {
        self.entry.as_ref().filter(|_| self.known)
    }
}

/// Without the password.
impl fmt::Debug for PasswordCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordCheck(..)")
    }
}

/// Whether a name can stand in a password file.
fn check_user(user: &str) -> Result<(), &'static str> {
    if user.is_empty() {
        Err("a user without a name")
    } else if user.len() > USER_MAX {
        Err("a user's name of more than 65,535 bytes")
    } else if user.contains(|c: char| c.is_control()) {
        Err("a user's name with control characters in it")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
