//! The vectors of RFC 7515 and RFC 8037, tokens that others signed, and what has been done to verifiers of tokens.

use ring::hmac;
use windlass_proto::mqtt::Topic;

use super::*;
use crate::identity::Rights;

const SECRET: &[u8] = b"a secret of thirty-two bytes or more";
const NOW: u64 = 1_700_000_000_000;

fn jwt(keys: Vec<JwtKey>) -> Jwt {
    Jwt::new(JwtConfig { keys, ..JwtConfig::default() })
}

fn secret() -> JwtKey {
    JwtKey::secret(Algorithm::Hs256, SECRET).unwrap()
}

fn encoded(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token, with HMAC and SHA-256 whatever its header says.
fn token(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
    format!("{signed}.{}", encoded(tag))
}

fn hs256(claims: &str) -> String {
    token(r#"{"alg":"HS256"}"#, claims)
}

fn error(jwt: &Jwt, token: &str) -> JwtError {
    jwt.check(token.as_bytes(), NOW).expect_err(token)
}

fn parts(token: &str) -> (&str, Vec<u8>) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    (signed, URL_SAFE_NO_PAD.decode(signature).unwrap())
}

fn one(jwk: &str) -> JwtKey {
    JwtKey::jwks(jwk).unwrap().remove(0)
}

const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// Appendix A.1.
#[test]
fn rfc_7515_hmac() {
    let key = one(
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
    );
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    // "joe" is its issuer, and no user is in it.
    let jwt = Jwt::new(JwtConfig { keys: vec![key], user_claim: "iss".into(), ..JwtConfig::default() });
    let found = jwt.check(token.as_bytes(), 1_300_819_379_000).unwrap();
    assert_eq!((&*found.user, found.expires_at_unix_ms), ("joe", Some(1_300_819_385_000)));
    assert_eq!(jwt.check(token.as_bytes(), 1_300_819_385_000).unwrap_err(), JwtError::Expired);
}

/// Appendix A.2.
#[test]
fn rfc_7515_rsa() {
    let key = one(
        r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
    );
    assert_eq!(key.algorithm(), Algorithm::Rs256);
    let token = format!(
        "eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let (signed, signature) = parts(&token);
    assert!(key.verify(signed.as_bytes(), &signature));
}

/// Appendix A.3.
#[test]
fn rfc_7515_ecdsa() {
    let key = one(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    );
    let token = format!(
        "eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let (signed, signature) = parts(&token);
    assert!(key.verify(signed.as_bytes(), &signature));
    // Of zeros alone: CVE-2022-21449 ("psychic signatures").
    assert!(!key.verify(signed.as_bytes(), &[0; 64]));
}

/// Appendix A.5: without a signature.
#[test]
fn rfc_7515_none() {
    let token = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    let jwt = jwt(vec![secret()]);
    assert_eq!(error(&jwt, &token), JwtError::Key);
    // It was meant as one, and is not tried as a password.
    assert!(jwt.is_token(token.as_bytes()));
}

/// RFC 8037, appendix A.4.
#[test]
fn rfc_8037_ed25519() {
    let key = one(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#);
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let (signed, mut signature) = parts(token);
    assert!(key.verify(signed.as_bytes(), &signature));
    signature[0] ^= 1;
    assert!(!key.verify(signed.as_bytes(), &signature));
}

/// Each algorithm, by Python's `cryptography`. No token holds for another key, or for its own with another algorithm.
#[test]
fn what_others_sign_holds() {
    let rsa = include_str!("rsa.pem");
    let key = |algorithm: Algorithm| {
        let pem = match algorithm {
            Algorithm::Es256 => include_str!("p256.pem"),
            Algorithm::Es384 => include_str!("p384.pem"),
            Algorithm::EdDsa => include_str!("ed25519.pem"),
            _ => rsa,
        };
        JwtKey::pem(Some(algorithm), pem).unwrap()
    };
    let tokens: Vec<(Algorithm, &str)> = include_str!("signed_elsewhere")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, token)| (Algorithm::from_name(name).unwrap(), token))
        .collect();
    assert_eq!(tokens.len(), 9);
    for (signed_with, token) in &tokens {
        for (algorithm, _) in &tokens {
            let jwt = jwt(vec![key(*algorithm)]);
            assert!(jwt.is_slow());
            if algorithm == signed_with {
                assert_eq!(&*jwt.check(token.as_bytes(), NOW).unwrap().user, "roger");
                let mut other = (*token).to_owned().into_bytes();
                let at = other.len() - 20;
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(jwt.check(&other, NOW).unwrap_err(), JwtError::Signature);
            } else {
                assert_eq!(error(&jwt, token), JwtError::Key, "{algorithm:?} {signed_with:?}");
            }
        }
    }
    // With all keys it is found, by its algorithm.
    let jwt = jwt(tokens.iter().map(|(algorithm, _)| key(*algorithm)).collect());
    assert!(tokens.iter().all(|(_, token)| jwt.check(token.as_bytes(), NOW).is_ok()));
}

#[test]
fn keys_of_a_set_are_found_by_their_ids() {
    let keys = JwtKey::jwks(include_str!("keys.json")).unwrap();
    // The one for encryption is none of them.
    let shown: Vec<_> = keys.iter().map(|key| (key.id(), key.algorithm().name())).collect();
    assert_eq!(shown, [(Some("r"), "RS256"), (Some("e"), "ES256"), (None, "ES384"), (Some("o"), "EdDSA")]);
    let jwt = jwt(keys);
    for line in include_str!("signed_elsewhere").lines() {
        let (name, token) = line.split_once(' ').unwrap();
        let expected = ["RS256", "ES256", "ES384", "EdDSA"].contains(&name);
        assert_eq!(jwt.check(token.as_bytes(), NOW).is_ok(), expected, "{name}");
    }
    for (wrong, why) in [
        ("", KeyError::Json),
        ("{}", KeyError::Json),
        (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, KeyError::Length),
        (r#"{"kty":"oct","k":"!"}"#, KeyError::Json),
        (r#"{"kty":"oct","alg":"none","k":"AAAA"}"#, KeyError::Kind),
        (r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#, KeyError::Json),
        (r#"{"kty":"EC","crv":"P-521","x":"AAAA","y":"AAAA"}"#, KeyError::Kind),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, KeyError::Kind),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"AAAA"}"#, KeyError::Private),
        (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, KeyError::Length),
        (r#"{"kty":"RSA","alg":"HS256","n":"AQAB","e":"AQAB"}"#, KeyError::Algorithm),
    ] {
        assert_eq!(JwtKey::jwks(wrong).err(), Some(why), "{wrong}");
    }
}

#[test]
fn keys_in_pem() {
    let pem = |algorithm, text| JwtKey::pem(algorithm, text).map(|key| key.algorithm());
    assert_eq!(pem(None, include_str!("rsa.pem")), Ok(Algorithm::Rs256));
    assert_eq!(pem(None, include_str!("p384.pem")), Ok(Algorithm::Es384));
    assert_eq!(pem(Some(Algorithm::Es256), include_str!("p384.pem")), Err(KeyError::Algorithm));
    assert_eq!(pem(Some(Algorithm::Es256), include_str!("rsa.pem")), Err(KeyError::Algorithm));
    // A public key as the secret of an HMAC is what "algorithm confusion" is about.
    assert_eq!(pem(Some(Algorithm::Hs256), include_str!("rsa.pem")), Err(KeyError::Algorithm));
    assert_eq!(pem(None, include_str!("rsa1024.pem")), Err(KeyError::Length));
    assert_eq!(pem(None, include_str!("p521.pem")), Err(KeyError::Kind));
    assert_eq!(pem(None, "-----BEGIN PRIVATE KEY-----\n"), Err(KeyError::Private));
    assert_eq!(pem(None, "secret"), Err(KeyError::Pem));
    assert_eq!(JwtKey::secret(Algorithm::Hs512, &[0; 63]).err(), Some(KeyError::Length));
    assert_eq!(JwtKey::secret(Algorithm::Rs256, &[0; 63]).err(), Some(KeyError::Algorithm));
}

/// CVE-2015-9235 and its kin: the token says HMAC, and is signed with the text of our public key.
#[test]
fn the_key_decides_how_it_is_used() {
    let pem = include_str!("rsa.pem");
    let rsa = jwt(vec![JwtKey::pem(Some(Algorithm::Rs256), pem).unwrap()]);
    for text in [pem, pem.trim()] {
        let signed =
            format!("{}.{}", encoded(r#"{"alg":"HS256"}"#), encoded(r#"{"sub":"root","exp":4102444800}"#));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()), signed.as_bytes());
        assert_eq!(error(&rsa, &format!("{signed}.{}", encoded(tag))), JwtError::Key);
    }
    // And every way to write none.
    let ours = jwt(vec![secret()]);
    for alg in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "RS256"] {
        let claims = r#"{"sub":"root","exp":4102444800}"#;
        assert_eq!(error(&ours, &token(&format!(r#"{{"alg":"{alg}"}}"#), claims)), JwtError::Key, "{alg}");
        let unsigned = format!("{}.{}.", encoded(format!(r#"{{"alg":"{alg}"}}"#)), encoded(claims));
        assert_eq!(error(&ours, &unsigned), JwtError::Key, "{alg}");
    }
    // An empty signature is none.
    let whole = hs256(r#"{"sub":"roger","exp":4102444800}"#);
    assert_eq!(error(&ours, &whole[..=whole.rfind('.').unwrap()]), JwtError::Signature);
}

#[test]
fn ids_choose_among_keys() {
    let other = JwtKey::secret(Algorithm::Hs256, &[7; 32]).unwrap();
    let claims = r#"{"sub":"roger","exp":4102444800}"#;
    let with = |kid: &str| token(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), claims);
    let both = jwt(vec![other.clone().with_id("old"), secret().with_id("new")]);
    assert!(both.check(with("new").as_bytes(), NOW).is_ok());
    assert!(both.check(hs256(claims).as_bytes(), NOW).is_ok());
    assert_eq!(error(&both, &with("old")), JwtError::Signature);
    assert_eq!(error(&both, &with("../../dev/null")), JwtError::Key);
    // A key without an id is tried for any.
    assert!(jwt(vec![other, secret()]).check(with("x").as_bytes(), NOW).is_ok());
}

#[test]
fn headers_are_read_strictly() {
    let ours = jwt(vec![secret()]);
    let claims = r#"{"sub":"roger","exp":4102444800}"#;
    for (header, why) in [
        (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, JwtError::Critical),
        (r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, JwtError::Critical),
        (r#"{"alg":"none","alg":"HS256"}"#, JwtError::Malformed),
        (r#"{"alg":["HS256"]}"#, JwtError::Malformed),
        (r#"{"typ":"JWT"}"#, JwtError::Malformed),
        (r#""HS256""#, JwtError::Malformed),
        ("", JwtError::Malformed),
    ] {
        assert_eq!(error(&ours, &token(header, claims)), why, "{header}");
    }
    // Escapes are read, and keys that are embedded are not.
    assert!(
        ours.check(
            token(r#"{"alg":"\u0048S256","jwk":{"kty":"oct"},"jku":"http://x"}"#, claims).as_bytes(),
            NOW
        )
        .is_ok()
    );
    let good = hs256(claims);
    for wrong in [
        format!("{good}."),
        format!("{good}="),
        format!(".{good}"),
        good.replace('.', ""),
        good.replace('.', ".."),
        format!("{good}\n"),
        String::new(),
        "..".into(),
    ] {
        assert_eq!(error(&ours, &wrong), JwtError::Malformed, "{wrong}");
    }
    assert_eq!(error(&ours, &"a".repeat(10_000)), JwtError::Malformed);
    assert!(!ours.is_token(b"pass.word.x") && !ours.is_token(b"..") && ours.is_token(good.as_bytes()));
}

#[test]
fn times_are_held_to() {
    let ours = jwt(vec![secret()]);
    let at = NOW / 1000;
    for (claims, expected) in [
        (format!(r#"{{"sub":"a","exp":{}}}"#, at + 1), Ok(Some(NOW + 6_000))),
        (format!(r#"{{"sub":"a","exp":{}.5}}"#, at), Ok(Some(NOW + 5_500))),
        // Within the leeway.
        (format!(r#"{{"sub":"a","exp":{}}}"#, at - 4), Ok(Some(NOW + 1_000))),
        (format!(r#"{{"sub":"a","exp":{}}}"#, at - 5), Err(JwtError::Expired)),
        (r#"{"sub":"a"}"#.into(), Err(JwtError::Expired)),
        (r#"{"sub":"a","exp":-1}"#.into(), Err(JwtError::Expired)),
        (r#"{"sub":"a","exp":1e300}"#.into(), Ok(Some(u64::MAX))),
        (format!(r#"{{"sub":"a","exp":{}}}"#, u64::MAX), Ok(Some(u64::MAX))),
        (r#"{"sub":"a","exp":"4102444800"}"#.into(), Err(JwtError::Malformed)),
        (r#"{"sub":"a","exp":null}"#.into(), Err(JwtError::Malformed)),
        (format!(r#"{{"sub":"a","exp":4102444800,"nbf":{}}}"#, at + 5), Ok(Some(4_102_444_805_000))),
        (format!(r#"{{"sub":"a","exp":4102444800,"nbf":{}}}"#, at + 6), Err(JwtError::NotYet)),
    ] {
        let found = ours.check(hs256(&claims).as_bytes(), NOW).map(|token| token.expires_at_unix_ms);
        assert_eq!(found, expected, "{claims}");
    }
    let lenient =
        Jwt::new(JwtConfig { keys: vec![secret()], expiry_required: false, ..JwtConfig::default() });
    assert_eq!(lenient.check(hs256(r#"{"sub":"a"}"#).as_bytes(), NOW).unwrap().expires_at_unix_ms, None);
}

#[test]
fn issuers_audiences_and_names_are_held_to() {
    let config = JwtConfig {
        keys: vec![secret()],
        issuers: vec!["us".into()],
        audiences: vec!["hub".into(), "hub2".into()],
        ..JwtConfig::default()
    };
    let ours = Jwt::new(config);
    let check = |rest: &str| {
        ours.check(hs256(&format!(r#"{{"exp":4102444800{rest}}}"#)).as_bytes(), NOW)
            .map(|token| token.user.to_string())
    };
    for (rest, expected) in [
        (r#","sub":"a","iss":"us","aud":"hub""#, Ok("a")),
        (r#","sub":"a","iss":"us","aud":["x","hub2"]"#, Ok("a")),
        (r#","sub":"a","iss":"us","aud":["x"]"#, Err(JwtError::Issuer)),
        (r#","sub":"a","iss":"us","aud":[]"#, Err(JwtError::Issuer)),
        (r#","sub":"a","iss":"us""#, Err(JwtError::Issuer)),
        (r#","sub":"a","iss":"them","aud":"hub""#, Err(JwtError::Issuer)),
        (r#","sub":"a","aud":"hub""#, Err(JwtError::Issuer)),
        (r#","iss":"us","aud":"hub""#, Err(JwtError::User)),
        (r#","sub":"","iss":"us","aud":"hub""#, Err(JwtError::User)),
        (r#","sub":"a\u0000b","iss":"us","aud":"hub""#, Err(JwtError::User)),
        (r#","sub":7,"iss":"us","aud":"hub""#, Err(JwtError::User)),
        (r#","sub":"a","client_id":7,"iss":"us","aud":"hub""#, Err(JwtError::User)),
    ] {
        assert_eq!(check(rest).as_deref(), expected.as_ref().copied(), "{rest}");
    }
    // A token for somebody else is not for who expects none.
    let any = jwt(vec![secret()]);
    assert_eq!(error(&any, &hs256(r#"{"sub":"a","exp":4102444800,"aud":"them"}"#)), JwtError::Issuer);
}

#[test]
fn tokens_bring_rules() {
    let ours = jwt(vec![secret()]);
    let check = |acl: &str| {
        ours.check(hs256(&format!(r#"{{"sub":"roger","exp":4102444800,"acl":{acl}}}"#)).as_bytes(), NOW)
    };
    let token = check(r#"{"read":["a/#"],"pub":["out/%u/%c"],"deny":["a/secret"]}"#).unwrap();
    let rights = Rights::new(None, token.grants.as_ref(), Some("roger"), "pump");
    let topic = |text| Topic::new(text).unwrap();
    assert!(rights.may_read(topic("a/x")) && !rights.may_read(topic("a/secret")));
    assert!(rights.may_write(topic("out/roger/pump")) && !rights.may_write(topic("a/x")));
    for wrong in [
        "7".to_owned(),
        "null".into(),
        r#"{"read":"a"}"#.into(),
        r#"{"read":[7]}"#.into(),
        r#"{"read":["a/#/b"]}"#.into(),
        r#"{"raed":["a"]}"#.into(),
        format!(r#"{{"read":[{}"a"]}}"#, r#""a","#.repeat(64)),
    ] {
        assert_eq!(check(&wrong).err(), Some(JwtError::Rules), "{wrong}");
    }
    // Rules for nothing are for nothing, not for everything.
    let token = check("{}").unwrap();
    assert!(!Rights::new(None, token.grants.as_ref(), Some("roger"), "c").may_read(topic("a")));
}

#[test]
fn deep_json_is_refused() {
    let ours = jwt(vec![secret()]);
    let deep = format!(r#"{{"sub":{}1{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    assert_eq!(error(&ours, &hs256(&deep)), JwtError::Malformed);
}

#[test]
fn nothing_shows_a_secret() {
    let shown = format!("{:?}", jwt(vec![secret().with_id("k")]));
    assert!(shown.contains("Hs256") && !shown.contains("thirty"), "{shown}");
}
