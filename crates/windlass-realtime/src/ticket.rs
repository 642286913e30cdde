//! Tickets for seats, and tokens by which a game with its own login says who may have one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;

use crate::ids::RoomId;
use crate::room::Seat;

/// A secret of at least 32 bytes, with which tickets are made, or the tokens that a game's login makes.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// Makes one of bytes that nobody else knows.
    pub fn new(secret: &[u8]) -> Key {
        Key(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// One that nobody knows, of the system's random numbers; `None` if it gives none.
    pub fn random() -> Option<Key> {
        let mut secret = [0; 32];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut secret).ok()?;
        Some(Key::new(&secret))
    }

    /// Numbers that only the key decides: nobody guesses them.
    pub(crate) fn number(&self, what: &str, count: u64) -> u64 {
        let mut signed = hmac::Context::with_key(&self.0);
        signed.update(what.as_bytes());
        signed.update(&count.to_le_bytes());
        let tag = signed.sign();
        let (first, _) = tag.as_ref().split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        u64::from_le_bytes(*first)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Names a seat that is kept for somebody, who shows it to take the seat, and again to come back to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    pub(crate) worker: u16,
    pub(crate) room: RoomId,
    pub(crate) seat: Seat,
    /// Differs each time that the seat is given away.
    pub(crate) serial: u64,
}

const TICKET: usize = 20;
/// Half of an HMAC: 128 bits.
const MAC: usize = 16;
const WHAT: &[u8] = b"windlass seat";

impl Ticket {
    fn bytes(&self) -> [u8; TICKET] {
        let mut bytes = [0; TICKET];
        bytes[..2].copy_from_slice(&self.worker.to_le_bytes());
        bytes[2..10].copy_from_slice(&self.room.0.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.seat.0.to_le_bytes());
        bytes[12..].copy_from_slice(&self.serial.to_le_bytes());
        bytes
    }

    fn mac(bytes: &[u8], key: &Key) -> [u8; MAC] {
        let mut signed = hmac::Context::with_key(&key.0);
        signed.update(WHAT);
        signed.update(bytes);
        let mut mac = [0; MAC];
        mac.copy_from_slice(&signed.sign().as_ref()[..MAC]);
        mac
    }

    pub(crate) fn write(&self, key: &Key) -> String {
        let bytes = self.bytes();
        let mut whole = bytes.to_vec();
        whole.extend_from_slice(&Ticket::mac(&bytes, key));
        URL_SAFE_NO_PAD.encode(whole)
    }

    pub(crate) fn read(text: &str, key: &Key) -> Option<Ticket> {
        if text.len() > 64 {
            return None;
        }
        let whole = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (bytes, mac) = whole.split_first_chunk::<TICKET>()?;
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&Ticket::mac(bytes, key)[..], mac)) {
            return None;
        }
        let (worker, rest) = bytes.split_first_chunk::<2>()?;
        let (room, rest) = rest.split_first_chunk::<8>()?;
        let (seat, rest) = rest.split_first_chunk::<2>()?;
        let serial = rest.first_chunk::<8>()?;
        Some(Ticket {
            worker: u16::from_le_bytes(*worker),
            room: RoomId(u64::from_le_bytes(*room)),
            seat: Seat(u16::from_le_bytes(*seat)),
            serial: u64::from_le_bytes(*serial),
        })
    }
}

/// What a join token says: signed by the game's own login, it lets one person take one seat, once.
///
/// The token is its JSON in base64url, a dot, and the HMAC-SHA-256 of that text, in base64url too, both without padding.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Claims {
    /// Who it is.
    pub(crate) sub: String,
    /// Until when, in seconds since 1970.
    pub(crate) exp: u64,
    /// What makes it one of its kind: it is taken once.
    pub(crate) jti: String,
    /// The only kind of room it is for, if there is one.
    #[serde(default)]
    pub(crate) kind: Option<String>,
    /// The only room, if there is one.
    #[serde(default)]
    pub(crate) room: Option<String>,
}

/// Bytes of a token at most.
const TOKEN_MAX: usize = 2_048;
/// Bytes of what a token calls itself and its owner.
const NAME_MAX: usize = 128;

impl Claims {
    /// Reads a token, if it was signed with the key.
    pub(crate) fn read(token: &str, key: &Key) -> Option<Claims> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let (signed, mac) = token.split_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&key.0, signed.as_bytes(), &mac).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed).ok()?).ok()?;
        let short = |text: &String| text.len() <= NAME_MAX;
        (short(&claims.sub) && short(&claims.jti)).then_some(claims)
    }
}

/// Signs a join token, as a game's login does: for tests, and for logins in Rust. `json` is an object with `sub`, `exp`
/// (seconds since 1970) and `jti`, and `kind` or `room` to say which.
pub fn sign_token(json: &str, key: &Key) -> String {
    let signed = URL_SAFE_NO_PAD.encode(json);
    let mac = hmac::sign(&key.0, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
}

#[cfg(test)]
mod tests;
