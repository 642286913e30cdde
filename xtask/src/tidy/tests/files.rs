//! Samples that break the rules on files.

use super::{broken, broken_in};

#[test]
fn module_docs() {
    assert_eq!(broken("module-docs", "crates/a/src/b.rs", "//! What it is.\n"), []);
    assert_eq!(broken("module-docs", "crates/a/src/b.rs", "use x;\n//! Late.\n"), [1]);
    assert_eq!(broken("module-docs", "crates/a/src/b.rs", "//!\n//! Late.\n"), [1]);
    assert_eq!(broken("module-docs", "crates/a/src/b.rs", ""), [1]);
    assert_eq!(broken("module-docs", "crates/a/b.toml", "x"), []);
}

#[test]
fn file_length() {
    assert_eq!(broken("file-length", "a.rs", &"x\n".repeat(800)), []);
    assert_eq!(broken("file-length", "a.rs", &"x\n".repeat(801)), [801]);
    assert_eq!(broken("file-length", "a.md", &"x\n".repeat(801)), []);
}

#[test]
fn machine_paths() {
    for folder in ["work", "root", "home", "Users"] {
        let text = format!("fine\nsee /{folder}/x/y\n`/{folder}/`, (/{folder}/z)\n");
        assert_eq!(broken("machine-paths", "a.md", &text), [2, 3, 3]);
        assert_eq!(broken("machine-paths", "crates/a/src/b.rs", &text), [2, 3, 3]);
        let text = format!("https://example.org/{folder}/x and src/{folder}/mod.rs and $DIR/{folder}/\n");
        assert_eq!(broken("machine-paths", "a.md", &text), []);
    }
}

#[test]
fn conflict_markers() {
    let [ours, theirs, base] = ['<', '>', '|'].map(|c| c.to_string().repeat(7));
    let text = format!("a\n{ours} HEAD\nb\n{base} base\n=======\nc\n{theirs} branch\n");
    assert_eq!(broken("conflict-markers", "a.toml", &text), [2, 4, 7]);
    assert_eq!(broken("conflict-markers", "a.md", &format!("Title\n=======\n{ours}<\n x {ours}\n")), []);
}

#[test]
fn links() {
    let check = |text: &str| {
        broken_in("links", &[("docs/a.md", text), ("docs/b.md", ""), ("C.md", ""), ("src/lib.rs", "//! x")])
    };
    assert_eq!(check("[b](b.md), [c](../C.md#part), [d](/src/lib.rs), [e](../src) [f](.)\n"), []);
    assert_eq!(check("[x](#part) [y](https://example.org/z.md) [m](mailto:a@b.c)\n"), []);
    assert_eq!(check("fine\n[b](c.md) ![i](i.png)\n[out](../../b.md)\n"), [2, 2, 3]);
    assert_eq!(check("[b](b.md \"title\") [n](<no.md>)\n"), [1]);
    assert_eq!(check("[ref]: b.md\n[ref]: no.md\n[^1]: a: note.\n"), [2]);
    assert_eq!(check("`[x](no.md)` and\n```\n[x](no.md)\n```\n[x](no.md)\n"), [5]);
}

#[test]
fn lock_sources() {
    let lock = "[[package]]\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    assert_eq!(broken("lock-sources", "Cargo.lock", lock), []);
    let lock = "[[package]]\nsource = \"git+https://example.org/x#1\"\n";
    assert_eq!(broken("lock-sources", "benches/peers/Cargo.lock", lock), [2]);
}
