//! JSON Web Tokens (RFC 7519) as passwords: signed with JWS in its compact form (RFC 7515).
//!
//! Read [`Jwt`], then `keys` for what a signature is checked with, and `claims` for what a token says.

mod claims;
mod keys;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::acl::Grants;
pub use keys::{Algorithm, JwtKey, KeyError};

/// Keys of one hub. Without a key's id, each that fits is tried.
pub const KEYS_MAX: usize = 64;

/// What tokens are held against. Plain data with `Default`.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// Who signs them: at most [`KEYS_MAX`].
    pub keys: Vec<JwtKey>,
    /// What `iss` may be; empty is anything, or nothing.
    pub issuers: Vec<String>,
    /// Who `aud` must name, one of these. If it is empty, a token for a named audience is for somebody else
    /// (RFC 7519, section 4.1.3).
    pub audiences: Vec<String>,
    /// How far the clocks of those who sign may be away, in milliseconds. Default 5,000.
    pub leeway_ms: u64,
    /// Whether a token without `exp` is refused. Default true.
    pub expiry_required: bool,
    /// The claim that is the user's name. Default `sub`.
    pub user_claim: String,
    /// The claim that is the client's id, if tokens bind it; a token without it is good for any. Default
    /// `client_id`.
    pub client_id_claim: String,
    /// The claim with rules: lists of filters under `read`, `write`, `readwrite` (or `sub`, `pub`, `all`) and
    /// `deny`; `%u` and `%c` are placeholders. Default `acl`.
    pub acl_claim: String,
    /// Bytes of a token. Default 8,192.
    pub token_max: usize,
    /// Rules in one. Default 64.
    pub rules_max: usize,
}

impl Default for JwtConfig {
    fn default() -> JwtConfig {
        JwtConfig {
            keys: Vec::new(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway_ms: 5_000,
            expiry_required: true,
            user_claim: "sub".into(),
            client_id_claim: "client_id".into(),
            acl_claim: "acl".into(),
            token_max: 8_192,
            rules_max: 64,
        }
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum JwtError {
    /// It is no token in the compact form, or longer than allowed.
    Malformed,
    /// No key of ours is meant: none has its id and its algorithm. `none` is no algorithm.
    Key,
    /// It was not signed with the key.
    Signature,
    /// It asks for an extension (`crit`, RFC 7515, section 4.1.11): there is none here.
    Critical,
    /// Its time is over, or it says of none when it will be.
    Expired,
    /// Its time has not come.
    NotYet,
    /// Somebody else signs, or it is for somebody else.
    Issuer,
    /// It names no user, or one with U+0000 or more than 65,535 bytes in its name.
    User,
    /// Its rules are none, or too many.
    Rules,
}

impl JwtError {
    /// A name that stays: the label of a metric.
    pub const fn label(self) -> &'static str {
        match self {
            JwtError::Malformed => "malformed",
            JwtError::Key => "key",
            JwtError::Signature => "signature",
            JwtError::Critical => "critical",
            JwtError::Expired => "expired",
            JwtError::NotYet => "not_yet",
            JwtError::Issuer => "issuer",
            JwtError::User => "user",
            JwtError::Rules => "rules",
        }
    }
}

impl fmt::Display for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JwtError::Malformed => "it is no token",
            JwtError::Key => "no key is known that it was signed with",
            JwtError::Signature => "its signature is wrong",
            JwtError::Critical => "it asks for an extension that is not known here",
            JwtError::Expired => "it has expired, or never would",
            JwtError::NotYet => "its time has not come",
            JwtError::Issuer => "it is from or for somebody else",
            JwtError::User => "it names no user",
            JwtError::Rules => "its rules cannot be read",
        })
    }
}

impl std::error::Error for JwtError {}

/// Keys and rules for tokens.
///
/// **The key decides how a signature is checked, never the token**: each key has its one algorithm, and a token whose
/// header names another is refused. There is no `none` among them.
///
/// ```
/// use windlass_hub::identity::{Algorithm, Jwt, JwtConfig, JwtError, JwtKey};
///
/// let key = JwtKey::secret(Algorithm::Hs256, b"at least as long as the hash: 32 bytes")?;
/// let jwt = Jwt::new(JwtConfig { keys: vec![key], ..JwtConfig::default() });
/// // {"alg":"none"}
/// let unsigned = b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.";
/// assert_eq!(jwt.check(unsigned, 1_700_000_000_000).err(), Some(JwtError::Key));
/// # Ok::<(), windlass_hub::identity::KeyError>(())
/// ```
#[derive(Debug)]
pub struct Jwt {
    config: JwtConfig,
}

/// What a token that holds says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Token {
    /// The user.
    pub user: Arc<str>,
    /// The only client id it is good for.
    pub client_id: Option<String>,
    /// When it ends, in milliseconds since 1970; the leeway is in it. Never, where it says so and may.
    pub expires_at_unix_ms: Option<u64>,
    pub(super) grants: Option<Grants>,
    pub(super) key: [u8; 32],
}

/// What is read of a header (RFC 7515, section 4.1). A name that is there twice is an error.
#[derive(Deserialize)]
struct Header<'t> {
    #[serde(borrow)]
    alg: Cow<'t, str>,
    #[serde(borrow)]
    kid: Option<Cow<'t, str>>,
    crit: Option<serde::de::IgnoredAny>,
}

impl Jwt {
    /// Keys beyond [`KEYS_MAX`] are left out.
    pub fn new(mut config: JwtConfig) -> Jwt {
        config.keys.truncate(KEYS_MAX);
        Jwt { config }
    }

    /// Whether a password is meant as a token: three parts with dots between them, of which the first is a JSON
    /// object with an `alg`. What is, is never tried as a password.
    pub fn is_token(&self, password: &[u8]) -> bool {
        self.parts(password).is_ok_and(|parts| header(parts[0]).is_some())
    }

    /// Whether a check takes long enough to be kept off a loop: signatures other than HMAC do.
    pub fn is_slow(&self) -> bool {
        self.config.keys.iter().any(|key| !key.algorithm().is_symmetric())
    }

    pub(super) fn has_key(&self, fingerprint: &[u8; 32]) -> bool {
        self.config.keys.iter().any(|key| key.fingerprint() == fingerprint)
    }

    /// Checks a token at `now_unix_ms`, milliseconds since 1970: its signature first, then its claims.
    ///
    /// # Errors
    ///
    /// Why it does not hold.
    pub fn check(&self, token: &[u8], now_unix_ms: u64) -> Result<Token, JwtError> {
        let [head, body, signature] = self.parts(token)?;
        let head = decoded(head)?;
        let Header { alg, kid, crit } = serde_json::from_slice(&head).map_err(|_| JwtError::Malformed)?;
        let signature = decoded(signature)?;
        // What is signed: both parts with their dot, as they came (RFC 7515, section 5.2).
        let signed = &token[..head_and_body(token)];
        let fits = |key: &&JwtKey| {
            let is_named = kid.is_none() || key.id().is_none() || key.id() == kid.as_deref();
            is_named && key.algorithm().name() == alg
        };
        let mut outcome = Err(JwtError::Key);
        for key in self.config.keys.iter().filter(fits) {
            outcome = Err(JwtError::Signature);
            if key.verify(signed, &signature) {
                outcome = Ok(key);
                break;
            }
        }
        let key = outcome?;
        if crit.is_some() {
            return Err(JwtError::Critical);
        }
        claims::read(&self.config, &decoded(body)?, now_unix_ms, *key.fingerprint())
    }

    /// Header, claims, signature, each in Base64.
    fn parts<'t>(&self, token: &'t [u8]) -> Result<[&'t [u8]; 3], JwtError> {
        if token.len() > self.config.token_max {
            return Err(JwtError::Malformed);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(head), Some(body), Some(signature), None) => Ok([head, body, signature]),
            _ => Err(JwtError::Malformed),
        }
    }
}

fn header(part: &[u8]) -> Option<()> {
    let bytes = decoded(part).ok()?;
    serde_json::from_slice::<Header<'_>>(&bytes).ok().map(drop)
}

fn head_and_body(token: &[u8]) -> usize {
    token.iter().rposition(|byte| *byte == b'.').unwrap_or(0)
}

fn decoded(part: &[u8]) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)
}

#[cfg(test)]
mod tests;
