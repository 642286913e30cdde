//! Files that Mosquitto wrote, vectors, and what is refused.

use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};

use super::*;

/// Cheap, for tests.
const QUICK: Hashing = Hashing::Argon2id { memory: 64, passes: 1 };

fn wrong(text: &str) -> Vec<String> {
    let mistakes = Passwords::parse(text).expect_err("it is wrong");
    mistakes
        .iter()
        .map(|mistake| {
            assert!(text.get(mistake.span.clone()).is_some(), "{mistake:?}");
            format!("{}: {}", &text[mistake.span.clone()], mistake.what)
        })
        .collect()
}

/// RFC 9106, section 5.3.
#[test]
fn argon2id_is_that_of_the_rfc() {
    let params = ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    let expected = [
        0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b, 0x53, 0xc9, 0xd0,
        0x1e, 0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9, 0x6b, 0x01, 0xe6, 0x59,
    ];
    assert_eq!(tag, expected);
}

/// Of the reference implementation's own tests (`test.c`: version 0x13, 2 passes, 2^16 KiB, "password", "somesalt").
#[test]
fn phc_strings_of_the_reference_are_read() {
    let text = "a:$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc\n";
    let passwords = Passwords::parse(text).unwrap();
    assert!(passwords.check("a", b"password").run());
    assert!(!passwords.check("a", b"passwore").run());
}

/// By `mosquitto_passwd` 2.0.11: `-H sha512`, and the default.
#[test]
fn files_of_mosquitto_are_read() {
    let passwords = Passwords::parse(include_str!("written_by_mosquitto")).unwrap();
    assert_eq!(passwords.len(), 3);
    for (user, password) in [("old", "öld pässword"), ("new", "new password"), ("new too", ":$7$:")] {
        assert!(passwords.check(user, password.as_bytes()).run(), "{user}");
        assert!(!passwords.check(user, b"").run());
        assert!(!passwords.check(user, format!("{password} ").as_bytes()).run());
    }
}

#[test]
fn what_is_written_is_read_again() {
    let mut text = "# of the hall".to_owned();
    for hashing in [QUICK, Hashing::Pbkdf2 { rounds: 10 }] {
        text = set(&text, "roger", b"first", QUICK).unwrap();
        text = set(&text, "anna maria", "größer".as_bytes(), hashing).unwrap();
        text = set(&text, "roger", b"second", hashing).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        let passwords = Passwords::parse(&text).unwrap();
        assert!(passwords.check("roger", b"second").run() && !passwords.check("roger", b"first").run());
        assert!(passwords.check("anna maria", "größer".as_bytes()).run());
    }
    let without = remove(&text, "roger").unwrap();
    assert!(without.starts_with("# of the hall\nanna maria:") && remove(&without, "roger").is_none());
    for user in ["", "#a", "a:b", "a\nb", " a", "a\0"] {
        assert_eq!(set("", user, b"", QUICK), Err(HashingError::User), "{user:?}");
    }
}

#[test]
fn two_hashes_of_one_password_differ() {
    assert_ne!(QUICK.hash(b"same").unwrap(), QUICK.hash(b"same").unwrap());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text =
        "roger:secret\n\n# fine\nno colon here\n:$6$\nx:$5$a$b\ny:$6$AAAA$AAAA\nz:\nroger:$7$1$AAAA$AAAA\r\n";
    assert_eq!(
        wrong(text),
        [
            "secret: the password of `roger` is not hashed",
            "no colon here: a line without a colon",
            ": a user without a name",
            "$5$a$b: the password of `x` is hashed in a way that is not known here: argon2id, `$7$` and `$6$` are",
            "$6$AAAA$AAAA: the password of `y` has a hash that is cut short",
            ": the password of `z` is missing",
            "$7$1$AAAA$AAAA: the password of `roger` has a hash that is cut short",
        ]
    );
    let line = set("", "a", b"", QUICK).unwrap();
    assert_eq!(wrong(&format!("{line}{line}")), ["a: the user `a` is there twice"]);
    // What is wrong is told without the password.
    assert!(!wrong("roger:secret")[0].split_once(": ").unwrap().1.contains("secret"));
}

/// As Mosquitto has it. A CONNECT without a password would have it too.
#[test]
fn an_empty_password_is_never_right() {
    let passwords = Passwords::parse(&set("", "a", b"", QUICK).unwrap()).unwrap();
    assert!(!passwords.check("a", b"").run());
}

/// A line may not ask for all memory, or for minutes: who can write one could end the server.
#[test]
fn hashes_have_bounds() {
    let hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let salt = "AAAAAAAAAAAAAAAAAAAAAA";
    for costs in
        ["m=4000000,t=1,p=1", "m=262144,t=1000,p=1", "m=262144,t=1,p=17", "m=8,t=1,p=2", "m=64,t=0,p=1"]
    {
        assert!(Passwords::parse(&format!("a:$argon2id$v=19${costs}${salt}${hash}")).is_err(), "{costs}");
    }
    assert!(Passwords::parse(&format!("a:$argon2id$v=19$m=64,t=1,p=1${salt}${hash}")).is_ok());
    for hash in [
        format!("$argon2id$v=16$m=64,t=1,p=1${salt}${hash}"),
        format!("$argon2id$v=19$m=64,t=1,p=1,x=1${salt}${hash}"),
        format!("$argon2id$v=19$m=64,t=1,p=1${salt}$"),
        format!("$argon2id$v=19$m=64,t=1,p=1${salt}${hash}$"),
        format!("$argon2i$v=19$m=64,t=1,p=1${salt}${hash}"),
        format!("$7$4000000000${salt}==${hash}="),
        format!("$7$0${salt}==${hash}="),
        format!("$7$-1${salt}==${hash}="),
        format!("$6${}${hash}", "A".repeat(100_000)),
    ] {
        assert!(Passwords::parse(&format!("a:{hash}")).is_err(), "{hash}");
    }
    assert_eq!(Hashing::Argon2id { memory: 1 << 30, passes: 1 }.hash(b""), Err(HashingError::Cost));
    assert_eq!(Hashing::Pbkdf2 { rounds: 0 }.hash(b""), Err(HashingError::Cost));
}

/// Who is not there costs what somebody costs who is: the same hash is computed, always the same for one name.
#[test]
fn a_user_that_is_not_there_costs_a_hash() {
    let text = set("", "roger", b"secret", QUICK).unwrap();
    let text = set(&text, "old", b"secret", Hashing::Pbkdf2 { rounds: 1 }).unwrap();
    let passwords = Passwords::parse(&text).unwrap();
    let mut stand_ins = std::collections::BTreeSet::new();
    for n in 0..100 {
        let name = format!("nobody{n}");
        // Even with the password of the one whose hash is computed.
        let check = passwords.check(&name, b"secret");
        let stand_in = check.entry.clone().expect("there is a hash to compute");
        assert!(Arc::ptr_eq(&stand_in, passwords.check(&name, b"").entry.as_ref().unwrap()));
        stand_ins.insert(stand_in.user.clone());
        assert!(!check.run());
    }
    // Not one for all: that would tell those with the other kind of hash.
    assert_eq!(stand_ins.len(), 2);
    assert!(!Passwords::parse("").unwrap().check("a", b"").run());
}

#[test]
fn plain_passwords_are_hashed_on_request() {
    let text = "# plain\nroger:secret\nanna:$6$x$y\n";
    let (text, count) = upgrade(text, QUICK).unwrap();
    assert_eq!(count, 1);
    assert!(text.starts_with("# plain\nroger:$argon2id$") && text.ends_with("\nanna:$6$x$y\n"), "{text}");
    let (again, count) = upgrade(&text, QUICK).unwrap();
    assert_eq!((again, count), (text, 0));
}

#[test]
fn nothing_shows_a_hash_or_a_password() {
    let text = set("", "roger", b"secret", QUICK).unwrap();
    let passwords = Passwords::parse(&text).unwrap();
    let shown = format!("{passwords:?} {:?}", passwords.check("roger", b"secret"));
    assert!(!shown.contains("secret") && !shown.contains("argon2id"), "{shown}");
}
