//! What is shown of password files, and what is wrong with the keys of an identity.

use super::*;

#[test]
fn a_password_file_is_shown_without_what_is_secret() {
    let text = "# note: all\nröger:$6$abc$ö\r\nno colon\n  anna:x:y\n";
    let shown = masked(text);
    assert_eq!(shown, "# note: all\nröger:*********\r\n********\n  anna:***\n");
    assert_eq!(shown.len(), text.len());
}

fn wrong(text: &str) -> Vec<String> {
    let table: HubTable = toml::from_str(text).unwrap();
    load(&table).err().into_iter().flatten().map(|wrong| wrong.in_words()).collect()
}

#[test]
fn keys_are_told_apart() {
    let of = |key: &str| wrong(&format!("[[identity.jwt.key]]\n{key}\n"));
    assert_eq!(of(""), ["`jwt.key[0]`: a key has a `file` or a `secret`"]);
    assert_eq!(of("secret = \"x\"\nfile = \"y\""), ["`jwt.key[0]`: a key has a `file` or a `secret`"]);
    assert_eq!(
        of("secret = \"x\""),
        ["`jwt.key[0].secret`: a secret is for HS256, HS384 or HS512: say which as `algorithm`"]
    );
    assert!(of("secret = \"x\"\nalgorithm = \"HS256\"")[0].contains("too short"));
    assert!(of(&format!("secret = \"{}\"\nalgorithm = \"HS256\"", "x".repeat(32))).is_empty());
    assert!(of("file = \"/nowhere.pem\"")[0].contains("cannot read /nowhere.pem"));
    assert_eq!(wrong("[identity.jwt]\n"), ["`jwt`: there is no key to check tokens with"]);
    assert!(
        wrong("[identity]\npassword_file = \"/nowhere\"\n")[0].starts_with("`password_file`: cannot read")
    );
}

/// What is read again and is the same is the same identity: nobody is told of a change.
#[test]
fn the_same_files_are_the_same_identity() {
    let folder = std::env::temp_dir().join(format!("windlass-identity-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("acl");
    let table: HubTable = toml::from_str(&format!("[identity]\nacl_file = {path:?}\n")).unwrap();
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        load(&table).ok().unwrap()
    };
    let first = read("topic a\n");
    assert!(first == read("topic a\n") && first != read("topic b\n"));
    assert!(matches!(
        { std::fs::write(&path, "topik a\n").unwrap(); load(&table) },
        Err(wrong) if wrong[0].in_words().ends_with("acl:1: `topik` begins no line of an ACL file")
    ));
    std::fs::remove_dir_all(&folder).unwrap();
}
