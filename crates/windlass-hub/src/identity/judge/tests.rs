//! Who is let in by what, and who stays when that changes.

use super::super::passwords::{Hashing, set};
use super::super::{Algorithm, JwtConfig, JwtKey};
use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use windlass_proto::mqtt::Topic;

const NOW: u64 = 1_700_000_000_000;
const QUICK: Hashing = Hashing::Argon2id { memory: 64, passes: 1 };
const CERTIFICATE: &[u8] = include_bytes!("../certificate/plain.der");
const NAMELESS: &[u8] = include_bytes!("../certificate/nameless.der");

fn passwords(users: &[(&str, &str)]) -> Option<Arc<Passwords>> {
    let text = users
        .iter()
        .fold(String::new(), |text, (user, password)| set(&text, user, password.as_bytes(), QUICK).unwrap());
    Some(Arc::new(Passwords::parse(&text).unwrap()))
}

fn acl(text: &str) -> Option<Arc<Acl>> {
    Some(Arc::new(Acl::parse(text).unwrap()))
}

fn jwt(secret: &[u8]) -> Option<Arc<Jwt>> {
    let keys = vec![JwtKey::secret(Algorithm::Hs256, secret).unwrap()];
    Some(Arc::new(Jwt::new(JwtConfig { keys, ..JwtConfig::default() })))
}

fn token(secret: &[u8], claims: &str) -> String {
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn named<'c>(user: &'c str, password: &'c str) -> Presented<'c> {
    Presented {
        user: Some(user),
        password: Some(password.as_bytes()),
        client_id: Some("c"),
        ..Presented::default()
    }
}

fn verdict(identity: &Identity, client: &Presented<'_>) -> Result<Who, Refusal> {
    match identity.judge(client, &Recent::new(0), NOW) {
        Judged::Accepted(who) => Ok(who),
        Judged::Refused(why) => Err(why),
        Judged::Check(check) => check.run().verdict,
    }
}

fn user(identity: &Identity, client: &Presented<'_>) -> Result<Option<String>, Refusal> {
    verdict(identity, client).map(|who| who.user.as_deref().map(Into::into))
}

#[test]
fn without_anything_set_who_is_here_is_served_and_nobody_else() {
    let identity = Identity::default();
    let here = Presented { is_local: true, ..Presented::default() };
    assert_eq!(user(&identity, &here), Ok(None));
    assert_eq!(user(&identity, &Presented { user: Some("a"), ..here }), Ok(Some("a".into())));
    assert_eq!(user(&identity, &Presented::default()), Err(Refusal::Anonymous));
    assert_eq!(user(&identity, &named("a", "b")), Err(Refusal::Anonymous));
    let everybody =
        Identity::new(IdentityConfig { anonymous: Some(Anonymous::Everybody), ..Default::default() });
    assert_eq!(user(&everybody, &Presented::default()), Ok(None));
    assert_eq!(user(&everybody, &named("a", "b")), Ok(Some("a".into())));
    let never = Identity::new(IdentityConfig { anonymous: Some(Anonymous::Never), ..Default::default() });
    assert_eq!(user(&never, &here), Err(Refusal::Anonymous));
}

#[test]
fn with_passwords_a_name_has_to_be_proven() {
    let config = IdentityConfig { passwords: passwords(&[("roger", "secret")]), ..Default::default() };
    let strict = Identity::new(config.clone());
    let open = Identity::new(IdentityConfig { anonymous: Some(Anonymous::Everybody), ..config });
    for identity in [&strict, &open] {
        assert_eq!(user(identity, &named("roger", "secret")), Ok(Some("roger".into())));
        for (name, password) in
            [("roger", "wrong"), ("roger", ""), ("anna", "secret"), ("", ""), ("", "secret")]
        {
            assert_eq!(user(identity, &named(name, password)), Err(Refusal::Password), "{name}");
        }
        let silent = Presented { user: Some("roger"), is_local: true, ..Presented::default() };
        assert_eq!(user(identity, &silent), Err(Refusal::Password));
    }
    assert_eq!(user(&strict, &Presented { is_local: true, ..Presented::default() }), Err(Refusal::Anonymous));
    assert_eq!(user(&open, &Presented::default()), Ok(None));
}

#[test]
fn tokens_stand_for_passwords() {
    let secret = [7; 32];
    let identity = Identity::new(IdentityConfig {
        passwords: passwords(&[("roger", "secret")]),
        jwt: jwt(&secret),
        ..Default::default()
    });
    let good = token(&secret, r#"{"sub":"anna","exp":4102444800}"#);
    let found = verdict(&identity, &named("whoever", &good)).unwrap();
    assert_eq!((found.user.as_deref(), found.expires_at_unix_ms), (Some("anna"), Some(4_102_444_805_000)));
    let alone = Presented { password: Some(good.as_bytes()), ..Presented::default() };
    assert_eq!(user(&identity, &alone), Ok(Some("anna".into())));
    assert_eq!(user(&identity, &named("roger", "secret")), Ok(Some("roger".into())));
    let other = token(&[8; 32], r#"{"sub":"anna","exp":4102444800}"#);
    assert_eq!(user(&identity, &named("roger", &other)), Err(Refusal::Token(JwtError::Signature)));
    // Bound to an id.
    let bound = token(&secret, r#"{"sub":"anna","exp":4102444800,"client_id":"c"}"#);
    assert!(verdict(&identity, &named("", &bound)).is_ok());
    for client_id in [None, Some("d")] {
        let client = Presented { client_id, ..named("", &bound) };
        assert_eq!(user(&identity, &client), Err(Refusal::ClientId));
    }
    // Without a way to check it is a password like others, and wrong.
    let without = Identity::new(IdentityConfig { passwords: passwords(&[("a", "b")]), ..Default::default() });
    assert_eq!(user(&without, &named("a", &good)), Err(Refusal::Password));
    assert_eq!(user(&without, &alone), Err(Refusal::Anonymous));
}

#[test]
fn certificates_name_users() {
    let identity = Identity::new(IdentityConfig {
        certificate: Some(CertificateName::CommonName),
        passwords: passwords(&[("roger", "secret")]),
        ..Default::default()
    });
    let with = |certificate| Presented { certificate: Some(certificate), ..named("root", "x") };
    // Whatever it says.
    assert_eq!(user(&identity, &with(CERTIFICATE)), Ok(Some("pump 7".into())));
    assert_eq!(user(&identity, &with(NAMELESS)), Err(Refusal::Certificate(CertificateError::Absent)));
    assert_eq!(user(&identity, &with(b"")), Err(Refusal::Certificate(CertificateError::Malformed)));
    assert_eq!(user(&identity, &named("roger", "secret")), Ok(Some("roger".into())));
    let alone = Identity::new(IdentityConfig {
        certificate: Some(CertificateName::CommonName),
        ..Default::default()
    });
    assert_eq!(user(&alone, &Presented { is_local: true, ..Presented::default() }), Err(Refusal::Anonymous));
    assert_eq!(user(&alone, &named("pump 7", "")), Err(Refusal::Password));
}

#[test]
fn client_ids_are_held_to() {
    let config = IdentityConfig {
        passwords: passwords(&[("dev-roger", "secret"), ("anna", "secret")]),
        client_id_prefixes: vec!["dev-".into(), "test-".into()],
        ..Default::default()
    };
    let identity = Identity::new(config.clone());
    let with = |client_id| Presented { client_id, ..named("anna", "secret") };
    assert!(
        verdict(&identity, &with(Some("dev-1"))).is_ok() && verdict(&identity, &with(Some("test-"))).is_ok()
    );
    assert!(verdict(&identity, &with(None)).is_ok());
    assert_eq!(user(&identity, &with(Some("1"))), Err(Refusal::ClientId));
    let identity = Identity::new(IdentityConfig {
        client_id_from_user: true,
        anonymous: Some(Anonymous::Everybody),
        ..config
    });
    let who =
        verdict(&identity, &Presented { client_id: Some("dev-x"), ..named("dev-roger", "secret") }).unwrap();
    assert_eq!(who.client_id.as_deref(), Some("dev-roger"));
    assert_eq!(user(&identity, &with(Some("dev-x"))), Err(Refusal::ClientId));
    // Without a name there is no id.
    assert_eq!(user(&identity, &Presented::default()), Err(Refusal::ClientId));
}

/// Takeover of a client's id by another user is what NATS and NanoMQ had.
#[test]
fn a_session_is_its_users_alone() {
    let config = IdentityConfig {
        passwords: passwords(&[("roger", "r"), ("anna", "a")]),
        anonymous: Some(Anonymous::Everybody),
        ..Default::default()
    };
    let identity = Identity::new(config.clone());
    let roger = verdict(&identity, &named("roger", "r")).unwrap();
    let nobody = verdict(&identity, &Presented::default()).unwrap();
    assert!(identity.may_take_over(&roger, Some("roger")) && identity.may_take_over(&roger, None));
    assert!(!identity.may_take_over(&roger, Some("anna")));
    assert!(!identity.may_take_over(&nobody, Some("anna")) && identity.may_take_over(&nobody, None));
    let free = Identity::new(IdentityConfig { client_id_bound: false, ..config });
    assert!(free.may_take_over(&nobody, Some("anna")));
}

#[test]
fn what_is_known_already_costs_no_second_hash() {
    let config =
        IdentityConfig { passwords: passwords(&[("roger", "secret"), ("anna", "x")]), ..Default::default() };
    let identity = Identity::new(config.clone());
    let mut recent = Recent::new(1);
    let Judged::Check(check) = identity.judge(&named("roger", "secret"), &recent, NOW) else { panic!() };
    let mut checked = check.run();
    recent.note(&mut checked);
    assert_eq!(recent.len(), 1);
    let accepted = |identity: &Identity, recent: &Recent, password| {
        matches!(identity.judge(&named("roger", password), recent, NOW), Judged::Accepted(_))
    };
    assert!(accepted(&identity, &recent, "secret"));
    // Any other password takes its time as ever.
    assert!(!accepted(&identity, &recent, "secreu") && !accepted(&identity, &recent, ""));
    // A failure is not remembered, and another process has another key.
    let Judged::Check(check) = identity.judge(&named("roger", "wrong"), &recent, NOW) else { panic!() };
    recent.note(&mut check.run());
    assert!(accepted(&identity, &recent, "secret") && !accepted(&identity, &Recent::new(1), "secret"));
    // The same line in a file that was read again is the same; a new hash, be it of the same password, is not.
    let again = Identity::new(config);
    assert!(accepted(&again, &recent, "secret"));
    let rehashed =
        Identity::new(IdentityConfig { passwords: passwords(&[("roger", "secret")]), ..Default::default() });
    assert!(!accepted(&rehashed, &recent, "secret"));
    // It is bounded.
    let Judged::Check(check) = identity.judge(&named("anna", "x"), &recent, NOW) else { panic!() };
    recent.note(&mut check.run());
    assert_eq!(recent.len(), 1);
}

#[test]
fn who_is_let_in_stays_while_it_would_be_again() {
    let secret = [7; 32];
    let file = passwords(&[("roger", "r"), ("anna", "a")]);
    let config = IdentityConfig {
        passwords: file.clone(),
        jwt: jwt(&secret),
        certificate: Some(CertificateName::CommonName),
        anonymous: Some(Anonymous::Everybody),
        acl: acl("user roger\ntopic x"),
        ..Default::default()
    };
    let before = Identity::new(config.clone());
    let bearer = token(&secret, r#"{"sub":"t","exp":4102444800}"#);
    let roger = verdict(&before, &named("roger", "r")).unwrap();
    let bearer = verdict(&before, &named("", &bearer)).unwrap();
    let nobody = verdict(&before, &Presented::default()).unwrap();
    let pump =
        verdict(&before, &Presented { certificate: Some(CERTIFICATE), ..Presented::default() }).unwrap();
    let everybody = [&roger, &bearer, &nobody, &pump];
    let standings =
        |identity: &Identity| everybody.map(|who| identity.standing(who, "c", false) == Standing::Stays);
    assert_eq!(standings(&Identity::new(config.clone())), [true; 4]);
    let after = |change: &dyn Fn(&mut IdentityConfig)| {
        let mut config = config.clone();
        change(&mut config);
        Identity::new(config)
    };
    let others = after(&|it| it.passwords = passwords(&[("anna", "a")]));
    assert_eq!(standings(&others), [false, true, true, true]);
    let changed = after(&|it| it.passwords = passwords(&[("roger", "other"), ("anna", "a")]));
    assert_eq!(standings(&changed), [false, true, true, true]);
    assert_eq!(standings(&after(&|it| it.jwt = jwt(&[8; 32]))), [true, false, true, true]);
    assert_eq!(standings(&after(&|it| it.anonymous = None)), [true, true, false, true]);
    assert_eq!(standings(&after(&|it| it.certificate = None)), [true, true, true, false]);
    assert_eq!(standings(&after(&|it| it.client_id_from_user = true)), [false; 4]);
    let kept = after(&|it| {
        it.passwords = None;
        it.when_revoked = WhenRevoked::Keep;
    });
    assert_eq!(standings(&kept), [true; 4]);
    // What may be done changes at once.
    let topic = Topic::new("x").unwrap();
    assert!(before.rights(&roger, "c").may_write(topic));
    assert!(!after(&|it| it.acl = acl("user roger\ntopic read x")).rights(&roger, "c").may_write(topic));
    assert!(!before.is(&after(&|_| ())) && before.is(&before.clone()));
}

#[test]
fn limits_are_of_users() {
    let mut limits = UsersLimits::default();
    limits.everybody.connections_max = 2;
    limits.users.insert("roger".into(), UserLimits { connections_max: 9, ..UserLimits::default() });
    let identity = Identity::new(IdentityConfig { limits, ..Default::default() });
    let of = |user| identity.limits(user).connections_max;
    assert_eq!((of(Some("roger")), of(Some("anna")), of(None)), (9, 2, 2));
}

#[test]
fn nothing_shows_a_password() {
    let identity =
        Identity::new(IdentityConfig { passwords: passwords(&[("roger", "hush")]), ..Default::default() });
    let client = named("roger", "hush");
    let judged = identity.judge(&client, &Recent::new(1), NOW);
    let mut shown = format!("{client:?} {judged:?} {identity:?}");
    let Judged::Check(check) = judged else { panic!() };
    let checked = check.run();
    shown += &format!("{checked:?}");
    assert!(!shown.contains("hush") && !shown.contains("argon2"), "{shown}");
}
