//! Any bytes as a token, as the header and the claims of one that is signed, and as a set of keys.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use ring::hmac;
use windlass_hub::identity::{Algorithm, Jwt, JwtConfig, JwtKey};

const SECRET: &[u8; 32] = &[7; 32];
const NOW: u64 = 1_700_000_000_000;

fuzz_target!(|bytes: &[u8]| {
    let key = JwtKey::secret(Algorithm::Hs256, SECRET).expect("it is long enough");
    let jwt = Jwt::new(JwtConfig { keys: vec![key], ..JwtConfig::default() });
    // Nobody signs by chance.
    assert!(jwt.check(bytes, NOW).is_err());
    jwt.is_token(bytes);
    let sign = |header: &[u8], claims: &[u8]| {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let _ = jwt.check(sign(bytes, b"{\"sub\":\"a\",\"exp\":4102444800}").as_bytes(), NOW);
    if let Ok(token) = jwt.check(sign(b"{\"alg\":\"HS256\"}", bytes).as_bytes(), NOW) {
        assert!(!token.user.is_empty() && token.expires_at_unix_ms.is_some_and(|at| at > NOW));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = JwtKey::jwks(text);
        let _ = JwtKey::pem(None, text);
    }
});
