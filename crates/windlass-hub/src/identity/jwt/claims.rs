//! What a token says (RFC 7519, section 4), once its signature has been checked.

use serde_json::{Map, Value};

use super::{JwtConfig, JwtError, Token};
use crate::identity::acl::{Access, Grants};

/// Bytes of a user's name or a client's id (section 1.5.4 of MQTT 5).
const NAME_MAX: usize = 65_535;

pub(super) fn read(
    config: &JwtConfig,
    claims: &[u8],
    now_unix_ms: u64,
    key: [u8; 32],
) -> Result<Token, JwtError> {
    let claims: Map<String, Value> = serde_json::from_slice(claims).map_err(|_| JwtError::Malformed)?;
    let expires_at_unix_ms = match date(&claims, "exp")? {
        Some(at) => Some(at.saturating_add(config.leeway_ms)),
        None if config.expiry_required => return Err(JwtError::Expired),
        None => None,
    };
    if expires_at_unix_ms.is_some_and(|at| at <= now_unix_ms) {
        return Err(JwtError::Expired);
    }
    if date(&claims, "nbf")?.is_some_and(|at| at > now_unix_ms.saturating_add(config.leeway_ms)) {
        return Err(JwtError::NotYet);
    }
    issuer(config, &claims)?;
    audience(config, &claims)?;
    let user = claims.get(&config.user_claim).and_then(Value::as_str).filter(|name| is_name(name));
    let client_id = match claims.get(&config.client_id_claim) {
        None => None,
        Some(Value::String(id)) if is_name(id) => Some(id.clone()),
        Some(_) => return Err(JwtError::User),
    };
    let grants = claims.get(&config.acl_claim).map(|rules| grants(rules, config.rules_max)).transpose()?;
    Ok(Token { user: user.ok_or(JwtError::User)?.into(), client_id, expires_at_unix_ms, grants, key })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX && !name.contains('\0')
}

/// A `NumericDate` (RFC 7519, section 2): seconds since 1970, perhaps with a fraction. In milliseconds.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, JwtError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(seconds.saturating_mul(1000)));
    }
    match value.as_f64() {
        // A cast saturates: before 1970 is 1970.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        Some(seconds) => Ok(Some((seconds * 1000.0) as u64)),
        None => Err(JwtError::Malformed),
    }
}

fn issuer(config: &JwtConfig, claims: &Map<String, Value>) -> Result<(), JwtError> {
    if config.issuers.is_empty() {
        return Ok(());
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    let is_ours = issuer.is_some_and(|issuer| config.issuers.iter().any(|ours| ours == issuer));
    if is_ours { Ok(()) } else { Err(JwtError::Issuer) }
}

/// One text or a list of them (RFC 7519, section 4.1.3).
fn audience(config: &JwtConfig, claims: &Map<String, Value>) -> Result<(), JwtError> {
    let is_ours =
        |value: &Value| value.as_str().is_some_and(|name| config.audiences.iter().any(|it| it == name));
    let holds = match claims.get("aud") {
        None => config.audiences.is_empty(),
        Some(Value::Array(names)) => names.iter().any(is_ours),
        Some(name) => is_ours(name),
    };
    if holds { Ok(()) } else { Err(JwtError::Issuer) }
}

fn grants(rules: &Value, rules_max: usize) -> Result<Grants, JwtError> {
    let mut list = Vec::new();
    for (name, topics) in rules.as_object().ok_or(JwtError::Rules)? {
        let access = match name.as_str() {
            "read" | "sub" => Access::READ,
            "write" | "pub" => Access::WRITE,
            "readwrite" | "all" => Access::READ_WRITE,
            "deny" => Access::DENY,
            // It may be one that takes something away.
            _ => return Err(JwtError::Rules),
        };
        for topic in topics.as_array().ok_or(JwtError::Rules)? {
            list.push((access, topic.as_str().ok_or(JwtError::Rules)?));
        }
    }
    if list.len() > rules_max {
        return Err(JwtError::Rules);
    }
    Grants::new(list).map_err(|_| JwtError::Rules)
}
