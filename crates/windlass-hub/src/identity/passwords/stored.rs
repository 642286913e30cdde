//! How a password is kept: Argon2id, and what Mosquitto writes.

use std::fmt;
use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, pbkdf2};
use subtle::ConstantTimeEq;

use crate::identity::mistake::{Mistake, Part};

/// KiB of memory that one check may take. Who may write the file may not end the server with it.
const MEMORY_MAX: u32 = 256 << 10;
/// KiB that one check may go over, all passes together: some seconds.
const WORK_MAX: u64 = 8 << 20;
const LANES_MAX: u32 = 16;
/// Rounds of PBKDF2: some seconds too.
const ROUNDS_MAX: u32 = 10_000_000;
/// Bytes of a salt and of a hash.
const PART_MAX: usize = 64;

/// A hash of a password. Which kind is told by its first characters.
#[derive(PartialEq, Eq)]
pub(super) enum Stored {
    /// SHA-512 of the password with the salt behind it: Mosquitto before 2.0.
    Sha512 { salt: Vec<u8>, hash: Vec<u8> },
    /// PBKDF2 with HMAC-SHA-512 (RFC 8018): Mosquitto 2.0.
    Pbkdf2 { rounds: NonZeroU32, salt: Vec<u8>, hash: Vec<u8> },
    /// Argon2id, version 1.3 (RFC 9106), as a PHC string: ours, and Mosquitto 2.1's.
    Argon2id { memory: u32, passes: u32, lanes: u32, salt: Vec<u8>, hash: Vec<u8> },
}

impl Stored {
    pub(super) fn parse(user: &str, hash: Part<'_>) -> Result<Stored, Mistake> {
        let wrong = |what: &str| {
            Mistake::new(hash.span(), format!("the password of `{user}` {what}"), "the hash")
                .help(format!("`windlass hub passwd FILE {user}` writes a new one"))
        };
        let Some(rest) = hash.text.strip_prefix('$') else {
            let help = "`windlass hub passwd FILE --upgrade` hashes the passwords of a whole file";
            return Err(wrong(if hash.text.is_empty() { "is missing" } else { "is not hashed" }).help(help));
        };
        let mut parts = rest.split('$');
        let kind = parts.next().unwrap_or_default();
        let stored = match kind {
            "6" => Stored::sha512(&mut parts),
            "7" => Stored::pbkdf2(&mut parts),
            "argon2id" => Stored::argon2id(&mut parts),
            _ => {
                return Err(wrong(
                    "is hashed in a way that is not known here: argon2id, `$7$` and `$6$` are",
                ));
            }
        };
        match stored {
            Ok(stored) if parts.next().is_none() => Ok(stored),
            Ok(_) => Err(wrong("has something behind its hash")),
            Err(why) => Err(wrong(why)),
        }
    }

    fn sha512<'t>(parts: &mut impl Iterator<Item = &'t str>) -> Result<Stored, &'static str> {
        let stored = Stored::Sha512 { salt: decoded(parts.next())?, hash: decoded(parts.next())? };
        let Stored::Sha512 { hash, .. } = &stored else { return Ok(stored) };
        if hash.len() == digest::SHA512_OUTPUT_LEN { Ok(stored) } else { Err(CUT) }
    }

    fn pbkdf2<'t>(parts: &mut impl Iterator<Item = &'t str>) -> Result<Stored, &'static str> {
        let rounds = parts.next().and_then(|text| text.parse::<NonZeroU32>().ok()).ok_or(UNREADABLE)?;
        if rounds.get() > ROUNDS_MAX {
            return Err("takes more than ten million rounds to check");
        }
        let (salt, hash) = (decoded(parts.next())?, decoded(parts.next())?);
        // A guess would hit a short one.
        if hash.len() < 16 { Err(CUT) } else { Ok(Stored::Pbkdf2 { rounds, salt, hash }) }
    }

    fn argon2id<'t>(parts: &mut impl Iterator<Item = &'t str>) -> Result<Stored, &'static str> {
        if parts.next() != Some("v=19") {
            return Err("is hashed by a version of Argon2 that is not 1.3");
        }
        let mut costs = parts.next().unwrap_or_default().split(',');
        let mut cost = |name: &str| {
            let text = costs.next().and_then(|text| text.strip_prefix(name)).ok_or(UNREADABLE)?;
            text.parse::<u32>().map_err(|_| UNREADABLE)
        };
        let (memory, passes, lanes) = (cost("m=")?, cost("t=")?, cost("p=")?);
        if costs.next().is_some() {
            return Err(UNREADABLE);
        }
        if memory > MEMORY_MAX || lanes > LANES_MAX || u64::from(memory) * u64::from(passes) > WORK_MAX {
            return Err("takes more than 256 MiB, 16 lanes or some seconds to check");
        }
        let (salt, hash) = (unpadded(parts.next())?, unpadded(parts.next())?);
        if hash.len() < 16 || salt.len() < 8 {
            return Err(CUT);
        }
        Params::new(memory, passes, lanes, Some(hash.len())).map_err(|_| UNREADABLE)?;
        Ok(Stored::Argon2id { memory, passes, lanes, salt, hash })
    }

    /// Whether it is the hash of `password`, in a time that does not tell how much of it is.
    pub(super) fn is(&self, password: &[u8]) -> bool {
        match self {
            Stored::Sha512 { salt, hash } => sha512(password, salt).as_ref().ct_eq(hash).into(),
            Stored::Pbkdf2 { rounds, salt, hash } => {
                pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA512, *rounds, salt, password, hash).is_ok()
            }
            Stored::Argon2id { memory, passes, lanes, salt, hash } => {
                let mut computed = vec![0; hash.len()];
                let costs = (*memory, *passes, *lanes);
                argon2id(password, salt, costs, &mut computed).is_some() && computed.ct_eq(hash).into()
            }
        }
    }
}

const UNREADABLE: &str = "has a hash that cannot be read";
const CUT: &str = "has a hash that is cut short";

fn decoded(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    part(text, &STANDARD)
}

fn unpadded(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    part(text, &STANDARD_NO_PAD)
}

fn part(text: Option<&str>, engine: &impl Engine) -> Result<Vec<u8>, &'static str> {
    let text = text.filter(|text| text.len() <= 2 * PART_MAX).ok_or(UNREADABLE)?;
    engine.decode(text).ok().filter(|bytes| bytes.len() <= PART_MAX).ok_or(UNREADABLE)
}

fn sha512(password: &[u8], salt: &[u8]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA512);
    context.update(password);
    context.update(salt);
    context.finish()
}

fn argon2id(
    password: &[u8],
    salt: &[u8],
    (memory, passes, lanes): (u32, u32, u32),
    out: &mut [u8],
) -> Option<()> {
    let params = Params::new(memory, passes, lanes, Some(out.len())).ok()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password, salt, out).ok()
}

/// How new passwords are hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Hashing {
    /// Argon2id (RFC 9106): `memory` KiB, gone over `passes` times.
    Argon2id {
        /// KiB. Default 19,456.
        memory: u32,
        /// Default 2.
        passes: u32,
    },
    /// What Mosquitto 2.0 reads too: PBKDF2 with SHA-512.
    Pbkdf2 {
        /// Default of [`Hashing::MOSQUITTO`] 210,000.
        rounds: u32,
    },
}

impl Default for Hashing {
    fn default() -> Hashing {
        Hashing::Argon2id { memory: 19_456, passes: 2 }
    }
}

/// Why a password could not be hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HashingError {
    /// The system gave no random salt.
    Random,
    /// The costs are beyond what would be read again.
    Cost,
    /// The user's name cannot stand in a file: it is empty, begins with `#`, has a colon, control characters or
    /// space around it, or is longer than 65,535 bytes.
    User,
}

impl fmt::Display for HashingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HashingError::Random => "the system gives no random numbers",
            HashingError::Cost => "the costs of the hash are out of range",
            HashingError::User => {
                "a user's name is not empty, does not begin with `#`, and has no colon, control character or space \
                 at its ends"
            }
        })
    }
}

impl std::error::Error for HashingError {}

impl Hashing {
    /// For a file that Mosquitto 2.0 shall read too.
    pub const MOSQUITTO: Hashing = Hashing::Pbkdf2 { rounds: 210_000 };

    /// The hash of a password with a new salt, as it stands in a file.
    ///
    /// # Errors
    ///
    /// Without randomness, and if a check would cost more than a file may ask for.
    pub fn hash(self, password: &[u8]) -> Result<String, HashingError> {
        let mut salt = [0; 16];
        SystemRandom::new().fill(&mut salt).map_err(|_| HashingError::Random)?;
        self.with_salt(password, &salt)
    }

    pub(super) fn with_salt(self, password: &[u8], salt: &[u8]) -> Result<String, HashingError> {
        match self {
            Hashing::Argon2id { memory, passes } => {
                if memory > MEMORY_MAX || u64::from(memory) * u64::from(passes) > WORK_MAX {
                    return Err(HashingError::Cost);
                }
                let mut hash = [0; 32];
                argon2id(password, salt, (memory, passes, 1), &mut hash).ok_or(HashingError::Cost)?;
                let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
                Ok(format!("$argon2id$v=19$m={memory},t={passes},p=1${salt}${hash}"))
            }
            Hashing::Pbkdf2 { rounds } => {
                let count =
                    NonZeroU32::new(rounds).filter(|_| rounds <= ROUNDS_MAX).ok_or(HashingError::Cost)?;
                let mut hash = [0; digest::SHA512_OUTPUT_LEN];
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, count, salt, password, &mut hash);
                Ok(format!("$7${rounds}${}${}", STANDARD.encode(salt), STANDARD.encode(hash)))
            }
        }
    }
}
