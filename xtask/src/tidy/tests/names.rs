//! Samples that break the rules on names.

use super::broken;

#[test]
fn glossary() {
    let check = |path: &str, text: &str| broken("glossary", path, text);
    assert_eq!(check("a.rs", "struct ConnManager;\nmod io_utils {}\ntrait Handler {}\n"), [1, 2, 3]);
    assert_eq!(check("a.rs", "enum X {}\ntype EventHandlers = ();\nmod common;\n"), [2, 3]);
    assert_eq!(check("a.rs", "struct Context;\nmod data;\nstruct TlsContext;\nmod data_frame;\n"), [1, 2]);
    assert_eq!(check("crates/a/src/helpers.rs", "//! x\n"), [1]);
    assert_eq!(check("a.rs", "struct Commonplace; mod handle; fn utility() {} // struct Manager\n"), []);
    assert_eq!(check("benches/peers/src/main.rs", "struct Handler;"), []);
}

#[test]
fn open_errors() {
    let check = |text: &str| broken("open-errors", "crates/a/src/b.rs", text);
    assert_eq!(check("#[derive(Debug)]\npub enum LinesError {}\n"), [2]);
    assert_eq!(check("/// Doc.\n#[non_exhaustive]\n#[derive(Debug)]\npub enum LinesError {}\n"), []);
    assert_eq!(check("#[non_exhaustive] pub struct A; pub enum Error {}\n"), [1]);
    assert_eq!(check("pub(crate) enum InnerError {}\nenum OtherError {}\npub enum Close {}\n"), []);
}
