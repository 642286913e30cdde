//! Who is who. Becoming somebody is tried with the real binary, in `tests/it/process.rs`.

use super::*;

fn of(user: Option<&str>, group: Option<&str>) -> Result<Option<Identity>, Wrong> {
    Identity::of(&ServerTable {
        user: user.map(str::to_owned),
        group: group.map(str::to_owned),
        ..ServerTable::default()
    })
}

#[test]
fn names_and_numbers_are_looked_up() {
    assert_eq!(of(None, None), Ok(None));
    let nobody = of(Some("nobody"), None).unwrap().unwrap();
    assert!(!nobody.uid.is_root() && nobody.groups.contains(&nobody.gid), "{nobody:?}");
    let number = of(Some("61184"), Some("61185")).unwrap().unwrap();
    assert_eq!((number.uid.as_raw(), number.gid.as_raw(), &*number.groups), (61_184, 61_185, &[][..]));
    assert_eq!(number.to_string(), "61184 (61184:61185)");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_key() {
    let wrong = |user, group| of(user, group).unwrap_err();
    assert_eq!(wrong(None, Some("nogroup")).0, "server.group");
    assert_eq!(wrong(Some("root"), None).0, "server.user");
    assert_eq!(wrong(Some("0"), Some("1")).0, "server.user");
    assert_eq!(wrong(Some("61184"), Some("0")).0, "server.group");
    assert_eq!(wrong(Some("61184"), None).1, "nobody here is user 61184: set `server.group` too");
    assert_eq!(wrong(Some("nobody-of-this-name"), None).1, "there is no user `nobody-of-this-name`");
    assert_eq!(wrong(Some("nobody"), Some("no-such-group")).1, "there is no group `no-such-group`");
}
